"""Dispersion of one periodic system by wave vectors: all images of all atoms, without a long list of neighbors."""

import torch
from torch import Tensor, nn

from charon.model.dispersion.transform import RestTransform
from charon.model.dispersion.vacuum import enclosing_cell, seen_of_images
from charon.model.electrostatics.mesh import Mesh
from charon.model.electrostatics.reciprocal import Reciprocal
from charon.model.electrostatics.window import window
from charon.ops import allsum

MESH_ORDER, MESH_SPACING = 8, 3.6
"""Order of the splines, and spacing of the grid times the largest wave number."""


class PeriodicSystem(nn.Module):
    """What `NearPairs` leaves, for one system at a time; channels are the reference atoms of all elements.

        E_i = -1/2 sum_c W_ic [1/V sum_k exp(i k r_i) sum_d C_cd t_cd(k) S_d(k) - sum_d C_cd W_id rest(0)]

    with C the C6 of reference atoms, `S_d(k) = sum_j W_jd exp(-i k r_j)` and t, rest those of `RestTransform`. Wave
    vector zero counts: dispersion has no neutrality. Wave vectors are summed plainly, or on a mesh above `mesh_above`
    atoms (never if that is negative).
    """

    c6: Tensor
    element: Tensor

    def __init__(self, c6: Tensor, element: Tensor, cutoff: float, mesh_above: int) -> None:
        super().__init__()
        self.mesh_above = mesh_above
        self.register_buffer("c6", c6)  # [n_channels, n_channels] eV A^6
        self.register_buffer("element", element)  # [n_channels]
        self.rest = RestTransform(cutoff)
        self.k_max = self.rest.k_max
        self.sum = Reciprocal(self.k_max)
        self.mesh = Mesh(MESH_ORDER, MESH_SPACING / self.k_max)

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
        counts = allsum(torch.bincount(types, minlength=pair.size(0)).to(torch.float64))  # [n_elements]
        present = torch.nonzero(counts).squeeze(1)
        place = torch.cumsum((counts > 0.0).to(torch.int64), 0) - 1  # [n_elements], among those that are present
        channels = torch.nonzero(counts.index_select(0, self.element)).squeeze(1)
        element = place.index_select(0, self.element.index_select(0, channels))
        c6 = self.c6.index_select(0, channels).index_select(1, channels)
        table, pair = pairs_of(present, table, pair)
        weights, types = weights.index_select(1, channels), place.index_select(0, types)
        cell = enclosing_cell(positions, cell, pbc)
        use_mesh = self.mesh_above >= 0 and int(counts.sum()) > self.mesh_above
        seen = self.seen(table, pair, element, c6, positions, weights, cell, use_mesh)
        own = self.rest.origin(table)[pair[types, types]]  # [n]
        seen = seen - own.unsqueeze(1) * torch.matmul(weights, c6)
        if int(pbc.to(torch.int64).sum()) == 2:
            images = seen_of_images(weights, positions, cell)  # [n, n_channels]
            seen = seen - table[0, 0] * torch.matmul(images, c6)
        return -0.5 * (weights * seen).sum(1)

    def seen(
        self,
        table: Tensor,
        pair: Tensor,
        element: Tensor,
        c6: Tensor,
        positions: Tensor,
        weights: Tensor,
        cell: Tensor,
        use_mesh: bool,
    ) -> Tensor:
        """What each reference atom would feel at the places of the atoms, [n, n_channels] eV."""
        waves = self.mesh.prepare(positions, cell) if use_mesh else self.sum.prepare(positions, cell)
        square = self.mesh.squared(waves) if use_mesh else self.sum.squared(waves)
        weight = self.mesh.weight(waves) * window(square, self.k_max) if use_mesh else self.sum.weight(waves)
        transform = self.rest(square, table) * weight.unsqueeze(1)  # [n_k, n_pairs]
        factors = self.mesh.transform(weights, waves) if use_mesh else self.sum.transform(weights, waves)
        values = convolved(factors, transform, c6, pair, element)
        return self.mesh.back(values, waves) if use_mesh else self.sum.back(values, waves)


def pairs_of(elements: Tensor, table: Tensor, pair: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of `table` and numbers `pair` of pairs of these elements only."""
    n = elements.size(0)
    upper = torch.triu_indices(n, n, device=pair.device)
    number = torch.zeros_like(pair[:n, :n])
    number[upper[0], upper[1]] = torch.arange(upper.size(1), device=pair.device)
    number[upper[1], upper[0]] = number[upper[0], upper[1]]
    rows = pair[elements.index_select(0, upper[0]), elements.index_select(0, upper[1])]
    return table.index_select(0, rows), number


def convolved(factors: Tensor, transform: Tensor, c6: Tensor, pair: Tensor, element: Tensor) -> Tensor:
    """`sum_d C_cd t_cd(k) S_d(k)`, element by element: [n_k, n_channels] complex.

    `factors` S [n_k, n_channels] complex, `transform` t [n_k, n_pairs], `c6` [n_channels, n_channels], `pair`
    [n_elements, n_elements], `element` [n_channels].
    """
    parts = torch.view_as_real(factors).transpose(1, 2)  # [n_k, 2, n_channels]
    total = torch.zeros_like(parts)
    for other in range(pair.size(0)):
        sources = torch.nonzero(element == other).squeeze(1)
        rows = c6.index_select(0, sources)  # [n_sources, n_channels]
        kernels = transform.index_select(1, pair[other].index_select(0, element))  # [n_k, n_channels]
        total = total + kernels.unsqueeze(1) * torch.matmul(parts.index_select(2, sources), rows)
    return torch.view_as_complex(total.transpose(1, 2).contiguous())
