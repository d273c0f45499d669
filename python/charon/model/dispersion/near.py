"""The part of the attraction that ends at the cutoff: a sum over the edges of periodic systems."""

import torch
from torch import Tensor, nn

from charon.model.dispersion.kernel import inner
from charon.ops import halo_forward


class NearPairs(nn.Module):
    """`E_i = -1/2 sum_edges C6_ij inner(r_ij)`; weights of neighbors cost one halo exchange."""

    c6: Tensor

    def __init__(self, c6: Tensor, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("c6", c6)  # [n_elements, n, n_elements n] eV A^6

    def forward(
        self, table: Tensor, pair: Tensor, types: Tensor, edge_index: Tensor, square: Tensor, weights: Tensor
    ) -> Tensor:
        """Energies [n_local] eV.

        `table` and `pair` of `KernelTable`, `types` [n_all], `square` r^2 [n_edges] A^2, `weights` [n_local, n] of each
        atom's reference atoms.
        """
        n_local, n = weights.size(0), weights.size(1)
        sent = halo_forward(weights, types.size(0))  # [n_all, n]
        projected = torch.bmm(weights.unsqueeze(1), self.c6.index_select(0, types[:n_local]))
        projected = projected.reshape(-1, n)  # [n_local n_elements, n]
        center, neighbor = edge_index[0], edge_index[1]
        here, there = types.index_select(0, center), types.index_select(0, neighbor)
        row = center * (self.c6.size(2) // n) + there
        c6 = (projected.index_select(0, row) * sent.index_select(0, neighbor)).sum(1)  # [n_edges]
        rows = table.index_select(0, pair[here, there])
        pairs = -0.5 * c6 * inner(square, rows, self.cutoff)
        return torch.zeros_like(weights[:, 0]).index_add(0, center, pairs)
