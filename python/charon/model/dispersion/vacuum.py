"""Open directions of slabs and wires: a cell with enough vacuum."""

import math

import torch
from torch import Tensor

from charon.model.electrostatics.slab import smooth_maximum


def height_of_cell(height: Tensor, gap: float = 25.0) -> Tensor:
    """Length that holds all of `height` [n] A and `gap` more, smooth and the same on all domains: 0-d."""
    return smooth_maximum(height) + smooth_maximum(-height) + gap


def enclosing_cell(positions: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """`cell` [3, 3] A with open directions, by `pbc` [3], replaced by perpendicular ones that hold atoms and vacuum.

    The open vectors follow the periodic ones, which come first.
    """
    periodic = torch.nonzero(pbc).squeeze(1)
    if periodic.size(0) == 3:
        return cell
    vectors = [cell[int(periodic[0])]]
    if periodic.size(0) == 2:
        vectors.append(cell[int(periodic[1])])
    else:
        axis = torch.zeros_like(vectors[0])
        axis[int(vectors[0].detach().abs().argmin())] = 1.0
        vectors.append(across(vectors[0], axis, positions))
    vectors.append(across(vectors[0], vectors[1], positions))
    return torch.stack(vectors)


def across(first: Tensor, second: Tensor, positions: Tensor) -> Tensor:
    """Vector [3] normal to both, as long as the atoms and the vacuum need."""
    normal = torch.linalg.cross(first, second)
    normal = normal / normal.square().sum().sqrt()
    return normal * height_of_cell(torch.mv(positions, normal))


def images_of_a_slab(cell: Tensor) -> Tensor:
    """Sum of 1/r^6 over the images of a thin slab in `enclosing_cell`, on average over its plane: 0-d, A^-6.

    `pi / (2 A) sum_(m != 0) (m L)^-4`, A the area and L the height of the cell.
    """
    area = torch.linalg.cross(cell[0], cell[1]).square().sum().sqrt()
    return math.pi**5 / 90.0 / area / cell[2].square().sum() ** 2
