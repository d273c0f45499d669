"""Screened nuclear repulsion at short range (Ziegler, Biersack, Littmark 1985)."""

from typing import Final

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from charon.model.radial import cutoff_envelope
from charon.units import COULOMB

AMPLITUDES = [0.18175, 0.50986, 0.28022, 0.02817]
DECAYS = [3.19980, 0.94229, 0.40290, 0.20162]
POWER, LENGTH = 0.23, 0.46850


class Repulsion(nn.Module):
    """`Z_i Z_j e^2 / r phi(r / a) envelope(r / (R_i + R_j))`, a = 0.46850 / (Z_i^0.23 + Z_j^0.23) A.

    It ends smoothly at `ends` times the sum of the covalent radii, R_i + R_j here. If `trainable`, amplitudes, decays,
    power and length are positive parameters that start at these values, and the amplitudes are normalised, which keeps
    the Coulomb singularity (Unke et al. 2021, SpookyNet). With `ends` 1 it acts on multiple bonds too: that helps with
    unseen chains, and a trainable one unlearns what is too much of it; with 0.75 it reaches no bond
    (tests/benchmarks/nonlocal.md).
    """

    trainable: Final[bool]
    number: Tensor
    radius: Tensor
    power: Tensor
    amplitude: Tensor
    decay: Tensor

    def __init__(self, elements: list[int], ends: float, trainable: bool = False) -> None:
        super().__init__()
        self.trainable = trainable
        self.half_coulomb = 0.5 * COULOMB
        radii = [ends * float(covalent_radii[z]) for z in elements]
        numbers = torch.tensor(elements, dtype=torch.float64)
        self.register_buffer("number", numbers)
        self.register_buffer("radius", torch.tensor(radii, dtype=torch.float64))
        if trainable:
            start = torch.tensor([*AMPLITUDES, *DECAYS, POWER, LENGTH], dtype=torch.float64)
            self.free = nn.Parameter(start + torch.log(-torch.expm1(-start)))  # softplus takes it back
        else:
            self.register_buffer("power", numbers**POWER)
            self.register_buffer("amplitude", torch.tensor(AMPLITUDES, dtype=torch.float64))
            self.register_buffer("decay", torch.tensor(DECAYS, dtype=torch.float64))
            self.length = LENGTH

    def screening(self) -> tuple[Tensor, Tensor, Tensor]:
        """Amplitudes [4], decays [4], and the part of each element [n_elements] in 1/a, 1/A."""
        if self.trainable:
            values = torch.nn.functional.softplus(self.free)  # [10]
            amplitude = values[:4] / values[:4].sum()
            return amplitude, values[4:8], self.number ** values[8] / values[9]
        return self.amplitude, self.decay, self.power / self.length

    def forward(self, types: Tensor, edge_vector: Tensor, edge_index: Tensor, n_local: int) -> Tensor:
        """`types` [n_all], `edge_vector` [n_edges, 3] A -> energy per atom [n_local] eV, half of each pair's."""
        amplitude, decay, inverse = self.screening()
        squared = edge_vector.detach().square().sum(1)  # [n_edges]
        near = torch.nonzero(squared < (2.0 * self.radius.max()) ** 2).squeeze(1)  # few: others contribute nothing
        length = edge_vector.index_select(0, near).square().sum(1).sqrt()  # [n_near]
        center = edge_index[0].index_select(0, near)
        here, there = types.index_select(0, center), types.index_select(0, edge_index[1].index_select(0, near))
        reach = self.radius[here] + self.radius[there]
        x = length * (inverse[here] + inverse[there])
        screening = (amplitude * torch.exp(-x.unsqueeze(1) * decay)).sum(1)
        pair = self.number[here] * self.number[there] * screening / length * cutoff_envelope(length / reach)
        energy = torch.zeros(n_local, dtype=length.dtype, device=length.device)
        return energy.index_add(0, center, self.half_coulomb * pair)
