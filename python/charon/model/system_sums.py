"""Sums over the atoms of each system, on all ranks."""

import torch
from torch import Tensor

from charon.ops import allsum


def system_sums(values: Tensor, batch: Tensor, n_systems: int) -> Tensor:
    """`values` [n_local, k] of atoms of the systems `batch` [n_local] -> their sums [n_systems, k]."""
    sums = torch.zeros((n_systems, values.size(1)), dtype=values.dtype, device=values.device)
    return allsum(sums.index_add(0, batch, values))
