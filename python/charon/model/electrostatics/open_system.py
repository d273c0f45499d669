"""Electrostatics of open systems: a sum over all pairs."""

import math

import torch
from torch import Tensor, nn

from charon.model.electrostatics.gathered import gather_open, gathered_rows
from charon.model.electrostatics.widths import inverse_widths, pair_widths, self_potential
from charon.units import COULOMB


class OpenSystems(nn.Module):
    """`phi_i = k_e sum_j q_j erf(r_ij / (sqrt2 g_ij)) / r_ij`, the own Gaussian with `k_e q_i / (s_i sqrt(pi))`.

    Each domain holds the rows of its own atoms against all atoms of their systems.
    """

    inverse: Tensor
    own: Tensor

    def __init__(self, widths: Tensor) -> None:
        super().__init__()
        self.coulomb = COULOMB
        pair = pair_widths(widths)
        self.register_buffer("inverse", inverse_widths(pair))  # [n_elements, n_elements]
        self.register_buffer("own", self_potential(pair))  # [n_elements]

    def prepare(self, types: Tensor, positions: Tensor, batch: Tensor, is_open: Tensor) -> list[Tensor]:
        """What depends on `types` [n_local], `positions` [n_local, 3], `batch` [n_local], `is_open` [n_systems].

        Rows of open atoms, their systems, slots and present slots, vectors to and distances of all atoms of the
        system, decay of each pair, and the potential of unit charges [n_open, n_max].
        """
        system = torch.cumsum(is_open.to(torch.int64), 0) - 1  # [n_systems], number among the open ones
        rows = torch.nonzero(is_open.index_select(0, batch)).squeeze(1)  # [n_open]
        system = system.index_select(0, batch.index_select(0, rows))
        positions = positions.index_select(0, rows)
        own_type = types.index_select(0, rows)
        slot, present, padded = gather_open(positions, system, int(is_open.sum()))
        others = gathered_rows(own_type.to(positions.dtype), [slot, present]).round().to(torch.int64)
        vector = padded.index_select(0, system) - positions.unsqueeze(1)  # [n_open, n_max, 3]
        here = (slot - system * present.size(1)).unsqueeze(1)  # [n_open, 1]
        counts = present.index_select(0, system).scatter(1, here, False)  # [n_open, n_max], other atoms
        squared = torch.where(counts, vector.square().sum(2), torch.ones_like(vector[:, :, 0]))
        distance = squared.sqrt()
        inverse = self.inverse[own_type.unsqueeze(1), others.index_select(0, system)]  # [n_open, n_max]
        pairs = torch.where(counts, torch.erf(distance * inverse) / distance, torch.zeros_like(distance))
        own = torch.zeros_like(pairs).scatter(1, here, self.own.index_select(0, own_type).unsqueeze(1))
        return [rows, system, slot, present, vector, distance, inverse, counts, self.coulomb * (pairs + own)]

    def potential(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n_local] e -> [n_local] V, zero where the system is not open."""
        rows, system = prepared[0], prepared[1]
        everyone = gathered_rows(charges.index_select(0, rows), [prepared[2], prepared[3]])  # [n_systems, n_max]
        potential = (prepared[8] * everyone.index_select(0, system)).sum(1)
        return torch.zeros_like(charges).index_add(0, rows, potential)

    def field(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n_local] e -> [n_local, 3] V/A."""
        rows, system, vector, distance, inverse = prepared[0], prepared[1], prepared[4], prepared[5], prepared[6]
        everyone = gathered_rows(charges.index_select(0, rows), [prepared[2], prepared[3]])
        slope = erf_slope(distance, inverse) / distance  # [n_open, n_max]
        weight = (
            self.coulomb * torch.where(prepared[7], slope, torch.zeros_like(slope)) * everyone.index_select(0, system)
        )
        field = (weight.unsqueeze(2) * vector).sum(1)
        return torch.zeros((charges.size(0), 3), dtype=charges.dtype, device=charges.device).index_add(0, rows, field)


def erf_slope(distance: Tensor, inverse: Tensor) -> Tensor:
    """Derivative of `erf(inverse r) / r` with respect to r."""
    x = distance * inverse
    gaussian = 2.0 / math.sqrt(math.pi) * inverse * torch.exp(-x * x)
    return (gaussian - torch.erf(x) / distance) / distance
