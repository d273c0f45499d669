"""Dispersion of one periodic system by wave vectors: all images of all atoms, without a long list of neighbors."""

import torch
from torch import Tensor, nn

from charon.model.dispersion.transform import RestTransform
from charon.model.dispersion.vacuum import enclosing_cell, images_of_a_slab
from charon.model.electrostatics.reciprocal import Reciprocal
from charon.ops import allsum


class PeriodicSystem(nn.Module):
    """What `NearPairs` leaves, for one system at a time; channels are the reference atoms of all elements.

        E_i = -1/2 sum_c W_ic [1/V sum_k exp(i k r_i) sum_d C6_cd transform_cd(k) S_d(k)] + 1/2 sum_cd W_ic C6_cd W_id rest(0)

    S_d(k) = sum_j W_jd exp(-i k r_j). The wave vector zero counts: dispersion has no neutrality.
    """

    c6: Tensor
    element: Tensor

    def __init__(self, c6: Tensor, element: Tensor, cutoff: float) -> None:
        super().__init__()
        self.register_buffer("c6", c6)  # [n_channels, n_channels] eV A^6
        self.register_buffer("element", element)  # [n_channels]
        self.rest = RestTransform(cutoff)
        self.reciprocal = Reciprocal(self.rest.k_max)

    def forward(
        self,
        table: Tensor,
        pair: Tensor,
        types: Tensor,
        positions: Tensor,
        weights: Tensor,
        cell: Tensor,
        pbc: Tensor,
    ) -> Tensor:
        """Energies [n] eV.

        `table` and `pair` of `KernelTable`, `types` [n], `positions` [n, 3] A, `weights` [n, n_channels], `cell` [3, 3]
        A, `pbc` [3].
        """
        present = allsum(torch.bincount(types, minlength=pair.size(0)).to(positions.dtype)) > 0.5
        channels = torch.nonzero(present[self.element]).squeeze(1)
        element = self.element.index_select(0, channels)
        c6 = self.c6.index_select(0, channels).index_select(1, channels)
        weights = weights.index_select(1, channels)
        cell = enclosing_cell(positions, cell, pbc)
        prepared = self.reciprocal.prepare(positions, cell)
        factors = self.reciprocal.transform(weights, prepared)  # [n_k, n_channels]
        transform = self.rest(self.reciprocal.squared(prepared), table)  # [n_k, n_pairs]
        transform = transform * self.reciprocal.weight(prepared).unsqueeze(1)
        waves = convolved(factors, transform, c6, pair, element)
        own = self.rest.origin(table)[pair[types, types]]  # [n]
        alike = torch.matmul(weights, c6)  # [n, n_channels]
        seen = self.reciprocal.back(waves, prepared) - own.unsqueeze(1) * alike
        if int(pbc.sum()) == 2:
            total = allsum(weights.sum(0))  # [n_channels]
            seen = seen - table[0, 0] * images_of_a_slab(cell) * torch.mv(c6, total)
        return -0.5 * (weights * seen).sum(1)


def convolved(factors: Tensor, transform: Tensor, c6: Tensor, pair: Tensor, element: Tensor) -> Tensor:
    """`sum_d C6_cd transform_cd(k) S_d(k)`, element by element: [n_k, n_channels] complex.

    `factors` [n_k, n_channels] complex, `transform` [n_k, n_pairs], `c6` [n_channels, n_channels], `pair` [n_elements,
    n_elements], `element` [n_channels].
    """
    real, imaginary = torch.zeros_like(factors.real), torch.zeros_like(factors.real)
    elements: list[int] = torch.unique(element).tolist()
    for other in elements:
        sources = torch.nonzero(element == other).squeeze(1)
        rows = c6.index_select(0, sources)  # [n_sources, n_channels]
        kernels = transform.index_select(1, pair[other].index_select(0, element))  # [n_k, n_channels]
        real = real + kernels * torch.matmul(factors.real.index_select(1, sources), rows)
        imaginary = imaginary + kernels * torch.matmul(factors.imag.index_select(1, sources), rows)
    return torch.complex(real, imaginary)
