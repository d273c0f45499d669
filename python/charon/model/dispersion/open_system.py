"""Dispersion of open systems: a sum over all pairs."""

import torch
from torch import Tensor, nn

from charon.model.electrostatics.gathered import gather_open, gathered_rows


class OpenSystems(nn.Module):
    """`E_i = -1/2 sum_j C6_ij kernel(r_ij)`, C6_ij bilinear in the weights of the reference atoms.

    Each domain holds the rows of its own atoms against all atoms of their systems.
    """

    c6: Tensor

    def __init__(self, c6: Tensor) -> None:
        super().__init__()
        self.register_buffer("c6", c6)  # [n_channels, n_channels] eV A^6

    def forward(
        self,
        table: Tensor,
        pair: Tensor,
        types: Tensor,
        positions: Tensor,
        weights: Tensor,
        batch: Tensor,
        is_open: Tensor,
    ) -> Tensor:
        """Energies [n_local] eV, zero where the system is not open.

        `table` and `pair` of `KernelTable`, `types` [n_local], `positions` [n_local, 3] A, `weights` [n_local,
        n_channels], `batch` [n_local], `is_open` [n_systems].
        """
        number = torch.cumsum(is_open.to(torch.int64), 0) - 1  # [n_systems], among the open ones
        rows = torch.nonzero(is_open.index_select(0, batch)).squeeze(1)  # [n_open]
        system = number.index_select(0, batch.index_select(0, rows))
        here, places = types.index_select(0, rows), positions.index_select(0, rows)
        slot, present, padded = gather_open(places, system, int(is_open.sum()))
        c6 = self.coefficients(weights.index_select(0, rows), slot, present, system)  # [n_open, n_max]
        there = gathered_rows(here.to(places.dtype), [slot, present]).round().to(torch.int64)
        square = (padded.index_select(0, system) - places.unsqueeze(1)).square().sum(2)  # [n_open, n_max]
        own = (slot - system * present.size(1)).unsqueeze(1)  # [n_open, 1]
        counts = present.index_select(0, system).scatter(1, own, False).to(c6.dtype)
        row = pair[here.unsqueeze(1), there.index_select(0, system)]  # [n_open, n_max]
        s3 = square * square * square
        kernel = table[0, 0] / (s3 + table[:, 2][row]) + table[:, 1][row] / (s3 * square + table[:, 3][row])
        energy = -0.5 * (c6 * counts * kernel).sum(1)
        return torch.zeros_like(positions[:, 0]).index_add(0, rows, energy)

    def coefficients(self, weights: Tensor, slot: Tensor, present: Tensor, system: Tensor) -> Tensor:
        """C6 of own open atoms with all of their systems, [n_open, n_max] eV A^6; `weights` [n_open, n_channels]."""
        everyone = gathered_rows(weights, [slot, present])  # [n_systems, n_max, n_channels]
        projected = torch.matmul(weights, self.c6)  # [n_open, n_channels]
        if present.size(0) == 1:
            return torch.matmul(projected, everyone[0].t())
        rows = torch.zeros((present.numel(), projected.size(1)), dtype=weights.dtype, device=weights.device)
        rows = rows.index_add(0, slot, projected).reshape(everyone.shape)
        pairs = torch.bmm(rows, everyone.transpose(1, 2))  # [n_systems, n_max, n_max]
        return pairs.flatten(0, 1).index_select(0, slot)
