"""The communication ops written in plain torch, for the index map of one process: what the native ops must equal.

`owner` [n_ghosts] holds the owned atom of each ghost.
"""

import torch
from torch import Tensor


def halo_forward(x: Tensor, owner: Tensor) -> Tensor:
    """`x` [n_local, ...] followed by x_owner(a) for each ghost a: [n_local + n_ghosts, ...]."""
    return torch.cat([x, x.index_select(0, owner)])


def halo_reverse(g: Tensor, owner: Tensor) -> Tensor:
    """Owned rows of `g` [n_local + n_ghosts, ...] with the rows of their ghosts added: [n_local, ...]."""
    n_local = g.size(0) - owner.size(0)
    return g[:n_local].index_add(0, owner, g[n_local:])


def allsum(parts: list[Tensor]) -> Tensor:
    """Sum of the parts of all domains."""
    return torch.stack(parts).sum(0)
