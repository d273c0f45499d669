"""Slabs, periodic in two directions, as three-dimensional sums in a cell with vacuum of its own."""

import math

import torch
from torch import Tensor

from charon.ops import all_rows, allsum


def slab_box(positions: Tensor, cell: Tensor, pbc: Tensor, reach: float) -> tuple[Tensor, Tensor, Tensor]:
    """Cell with vacuum [3, 3], heights of the atoms [n_atoms] about their middle, and the normal [3].

    The third vector is normal to the two periodic ones, whatever the given one is. The images of a slab at the distance
    d act by `exp(-G d)`, G the shortest wave vector of the plane: the vacuum makes that 1e-6, and is at least `reach`.
    Everything is smooth in positions and cell and the same on each domain.
    """
    normal_axis = int(torch.argmin(pbc.to(torch.int64)))
    first, second = cell[(normal_axis + 1) % 3], cell[(normal_axis + 2) % 3]
    normal = torch.linalg.cross(first, second)
    normal = normal / normal.square().sum().sqrt()
    plane = torch.stack([first, second])
    height = torch.mv(positions, normal)  # [n_atoms]
    low, high = -smooth_maximum(-height), smooth_maximum(height)
    metric = torch.matmul(plane, plane.t())  # [2, 2] A^2
    fourth_power = torch.linalg.matrix_power(metric, 4)
    longest = torch.diagonal(fourth_power).sum() ** 0.125  # at least the largest singular value of the plane
    length = high - low + reach + 14.0 / (2.0 * math.pi) * longest
    return torch.stack([first, second, normal * length]), height - 0.5 * (low + high), normal


def smooth_maximum(x: Tensor) -> Tensor:
    """`x0 + t log sum exp((x - x0)/t)` over the rows of all domains, at least their maximum x0; t = 0.5 A; 0-d."""
    scale = 0.5
    own = x.detach()
    own = own.max().unsqueeze(0) if own.size(0) > 0 else own
    largest = all_rows(own).max()
    return largest + scale * torch.log(allsum(torch.exp((x - largest) / scale).sum()))


def moments(charges: Tensor, height: Tensor) -> Tensor:
    """Sums of q, q z, q z^2 over all domains, [3]."""
    return allsum(torch.stack([charges.sum(), (charges * height).sum(), (charges * height * height).sum()]))


def slab_potential(charges: Tensor, height: Tensor, length: Tensor, volume: Tensor) -> Tensor:
    """What turns a sum over three directions into one over two: potential [n_atoms] times 1/k_e.

    `4 pi/V [z_i sum_j q_j z_j - (Q z_i^2 + sum_j q_j z_j^2)/2 - Q L^2/12]`; Yeh and Berkowitz 1999, for charged slabs
    Ballenegger, Arnold and Cerda 2009. `height` z [n_atoms], `length` L of the cell along the normal, `volume` V.
    """
    total = moments(charges, height)
    bent = 0.5 * (total[0] * height * height + total[2]) + total[0] * length * length / 12.0
    return 4.0 * math.pi / volume * (height * total[1] - bent)


def slab_field(charges: Tensor, height: Tensor, volume: Tensor, normal: Tensor) -> Tensor:
    """Field of `slab_potential`, [n_atoms, 3] times 1/k_e."""
    total = moments(charges, height)
    return (-4.0 * math.pi / volume * (total[1] - total[0] * height)).unsqueeze(1) * normal
