"""Screened nuclear repulsion at short range (Ziegler, Biersack, Littmark 1985)."""

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from charon.model.radial import cutoff_envelope
from charon.units import COULOMB


class Repulsion(nn.Module):
    """`Z_i Z_j e^2 / r phi(r / a) envelope(r / (R_i + R_j))`, a = 0.46850 / (Z_i^0.23 + Z_j^0.23) A.

    It ends smoothly at the sum of the covalent radii R, so that it acts where no data is and not on bonds.
    """

    number: Tensor
    power: Tensor
    radius: Tensor
    amplitude: Tensor
    decay: Tensor

    def __init__(self, elements: list[int]) -> None:
        super().__init__()
        self.half_coulomb = 0.5 * COULOMB
        self.reach = 2.0 * max(float(covalent_radii[z]) for z in elements)
        numbers = torch.tensor(elements, dtype=torch.float64)
        self.register_buffer("number", numbers)
        self.register_buffer("power", numbers**0.23)
        self.register_buffer("radius", torch.tensor([float(covalent_radii[z]) for z in elements], dtype=torch.float64))
        self.register_buffer("amplitude", torch.tensor([0.18175, 0.50986, 0.28022, 0.02817], dtype=torch.float64))
        self.register_buffer("decay", torch.tensor([3.19980, 0.94229, 0.40290, 0.20162], dtype=torch.float64))

    def forward(self, types: Tensor, edge_vector: Tensor, edge_index: Tensor, n_local: int) -> Tensor:
        """`types` [n_all], `edge_vector` [n_edges, 3] A -> energy per atom [n_local] eV, half of each pair's."""
        squared = edge_vector.detach().square().sum(1)  # [n_edges]
        near = torch.nonzero(squared < self.reach * self.reach).squeeze(1)  # few: the others contribute nothing
        length = edge_vector.index_select(0, near).square().sum(1).sqrt()  # [n_near]
        center = edge_index[0].index_select(0, near)
        here, there = types.index_select(0, center), types.index_select(0, edge_index[1].index_select(0, near))
        reach = self.radius[here] + self.radius[there]
        x = length * (self.power[here] + self.power[there]) / 0.46850
        screening = (self.amplitude * torch.exp(-x.unsqueeze(1) * self.decay)).sum(1)
        pair = self.number[here] * self.number[there] * screening / length * cutoff_envelope(length / reach)
        energy = torch.zeros(n_local, dtype=length.dtype, device=length.device)
        return energy.index_add(0, center, self.half_coulomb * pair)
