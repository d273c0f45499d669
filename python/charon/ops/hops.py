"""Sparse products along bonds, with one number per bond and channel: `y_i = sum_j w_ij x_j`."""

import torch
from torch import Tensor

from charon.ops import has_kernels


def hop(weight: Tensor, x: Tensor, lists: list[Tensor]) -> Tensor:
    """`sum_j w_ij x_j` over the bonds of each atom.

    `weight` [n_bonds, channels], `x` [n_all, components, channels], `lists` of `edge_lists` of the bonds. Returns
    [n_local, components, channels]; differentiable any number of times. Raises RuntimeError for other shapes.
    """
    if has_kernels(x):
        return torch.ops.charon.hop(weight, x, lists)
    neighbor = lists[1].to(torch.int64)
    counts = (lists[0][1:] - lists[0][:-1]).to(torch.int64)
    center = torch.repeat_interleave(torch.arange(counts.size(0), device=x.device), counts)
    along = weight.unsqueeze(1) * x.index_select(0, neighbor)  # [n_bonds, components, channels]
    out = torch.zeros([counts.size(0), x.size(1), x.size(2)], dtype=x.dtype, device=x.device)
    return out.index_add(0, center, along)


def green(hops: Tensor, decay: Tensor, source: Tensor, lists: list[Tensor], n_all: int, steps: int) -> Tensor:
    """`sum_(k = 0 .. steps) eta^k T_k(A) b` by the Chebyshev recursion, with an exchange in each step; CPU only.

    `hops` A [n_bonds, channels], symmetric; `decay` eta [channels]; `source` b [n_local, components, channels]; `lists`
    of `edge_lists` of the bonds. Returns the shape of b; differentiable once, by hops and source. Raises RuntimeError
    for other shapes, and if a derivative of its gradients is asked for.
    """
    return torch.ops.charon.green(hops, decay, source, lists, n_all, steps)
