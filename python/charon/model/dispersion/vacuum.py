"""Open directions of slabs and wires: a cell with enough vacuum."""

import math

import torch
from torch import Tensor

from charon.ops import allsum


def extent(height: Tensor, gap: float = 25.0) -> Tensor:
    """Length that holds all of `height` [n] A and at least `gap` more, smooth and the same on all domains: []."""
    ones = torch.ones_like(height)
    sums = allsum(torch.stack([ones.sum(), height.sum()]))
    centered = height - sums[1] / sums[0].clamp(min=1.0)
    width = (allsum(centered.square().sum()) / sums[0].clamp(min=1.0) + 1.0).sqrt()
    norm = allsum(((centered / width) ** 16).sum()).clamp(min=1e-30) ** (1.0 / 16.0)
    return 2.0 * width * norm + gap


def enclosing_cell(positions: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """`cell` [3, 3] A with open directions, by `pbc` [3], replaced by perpendicular ones that hold atoms and vacuum."""
    periodic = torch.nonzero(pbc).squeeze(1)
    if periodic.size(0) == 3:
        return cell
    first = cell[int(periodic[0])]
    if periodic.size(0) == 2:
        normal = torch.linalg.cross(first, cell[int(periodic[1])])
        normal = normal / normal.square().sum().sqrt()
        length = extent(torch.mv(positions, normal))
        return torch.stack([first, cell[int(periodic[1])], length * normal])
    along = first / first.square().sum().sqrt()
    axis = torch.zeros_like(along)
    axis[int(along.detach().abs().argmin())] = 1.0
    across = torch.linalg.cross(along, axis)
    across = across / across.square().sum().sqrt()
    third = torch.linalg.cross(along, across)
    return torch.stack(
        [
            first,
            extent(torch.mv(positions, across)) * across,
            extent(torch.mv(positions, third)) * third,
        ]
    )


def images_of_a_slab(cell: Tensor) -> Tensor:
    """`sum over the images of 1/r^6`, averaged over the plane, that a slab in `enclosing_cell` sees, A^-6: [].

    `pi / (2 A) sum_(m != 0) (m L)^-4`, A the area and L the height of the cell; thickness over L is neglected.
    """
    area = torch.linalg.cross(cell[0], cell[1]).square().sum().sqrt()
    return math.pi**5 / 90.0 / area / cell[2].square().sum() ** 2
