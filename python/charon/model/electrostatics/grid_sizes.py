"""Sizes of the grid of a cell, and how two of them share the work where the size changes."""

import torch
from torch import Tensor

from charon.model.electrostatics.window import rising


def good_sizes(largest: int) -> list[int]:
    """Even numbers with factors 2, 3 and 5 only, at least 4 % apart."""
    sizes: list[int] = []
    for size in range(8, largest + 1, 2):
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest = rest // prime
        if rest == 1 and (len(sizes) == 0 or size >= 1.04 * sizes[-1]):
            sizes.append(size)
    return sizes


def axis_sizes(intervals: Tensor, good: list[int], overlap: float) -> tuple[list[int], list[Tensor]]:
    """One or two sizes of at least `intervals` points, and their shares, smooth in `intervals`, which sum to 1.

    The next larger size takes over in the part `overlap` of each size, at its upper end.
    """
    wanted = float(intervals.detach())
    index = 0
    while good[index] <= wanted:
        index += 1
    start = good[index] * (1.0 - overlap)
    if wanted <= start:
        return [good[index]], [torch.ones_like(intervals)]
    share = rising((intervals - start) / (good[index] - start))
    return [good[index], good[index + 1]], [1.0 - share, share]


def blended_sizes(intervals: Tensor, least: int) -> tuple[list[list[int]], list[Tensor]]:
    """Grids for a cell that needs at least `intervals` [3] points along its vectors, and the share of each.

    The three vectors of a cubic cell do not change their sizes at once, or up to eight grids would share the work.
    """
    shifted = intervals * torch.tensor([1.0, 1.013, 1.026], dtype=intervals.dtype, device=intervals.device)
    shifted = torch.maximum(shifted, torch.full_like(shifted, float(least)))
    good = good_sizes(16 + 2 * int(shifted.detach().max()))
    x_sizes, x_shares = axis_sizes(shifted[0], good, 0.01)
    y_sizes, y_shares = axis_sizes(shifted[1], good, 0.01)
    z_sizes, z_shares = axis_sizes(shifted[2], good, 0.01)
    sizes: list[list[int]] = []
    shares: list[Tensor] = []
    for x, x_share in zip(x_sizes, x_shares):
        for y, y_share in zip(y_sizes, y_shares):
            for z, z_share in zip(z_sizes, z_shares):
                sizes.append([x, y, z])
                shares.append(x_share * y_share * z_share)
    return sizes, shares
