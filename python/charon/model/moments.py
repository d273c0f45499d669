"""Dipole and quadrupole of systems from atomic charges and atomic dipoles."""

import torch
from torch import Tensor


def relative_positions(positions: Tensor, batch: Tensor, n_systems: int) -> Tensor:
    """Positions [n_atoms, 3] A about the center of geometry of their system, the origin of all moments."""
    ones = torch.ones_like(positions[:, :1])
    count = ones.new_zeros((n_systems, 1)).index_add(0, batch, ones).clamp(min=1.0)
    origin = positions.new_zeros((n_systems, 3)).index_add(0, batch, positions) / count
    return positions - origin.index_select(0, batch)


def dipole(charges: Tensor, dipoles: Tensor, relative: Tensor, batch: Tensor, n_systems: int) -> Tensor:
    """`sum_i q_i r_i + mu_i` [n_systems, 3] e A; `charges` [n_atoms], `dipoles` [n_atoms, 3]."""
    return relative.new_zeros((n_systems, 3)).index_add(0, batch, charges.unsqueeze(1) * relative + dipoles)


def quadrupole(charges: Tensor, dipoles: Tensor, relative: Tensor, batch: Tensor, n_systems: int) -> Tensor:
    """Traceless quadrupole [n_systems, 3, 3] e A^2.

    `Q_ab = sum_i q_i (3/2 r_a r_b - r^2 delta_ab / 2) + 3/2 (mu_a r_b + r_a mu_b) - mu.r delta_ab` (Buckingham 1959).
    """
    outer = charges[:, None, None] * relative[:, :, None] * relative[:, None, :]  # [n_atoms, 3, 3]
    mixed = dipoles[:, :, None] * relative[:, None, :]
    second = 1.5 * (outer + mixed + mixed.transpose(1, 2))
    sums = relative.new_zeros((n_systems, 3, 3)).index_add(0, batch, second)
    trace = sums.diagonal(dim1=1, dim2=2).sum(1)  # [n_systems]
    return sums - trace[:, None, None] / 3.0 * torch.eye(3, dtype=sums.dtype, device=sums.device)
