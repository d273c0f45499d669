"""Open directions of slabs and wires: a cell with enough vacuum."""

import math

import torch
from torch import Tensor

from charon.model.electrostatics.slab import smooth_maximum
from charon.ops import allsum


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


def seen_of_images(weights: Tensor, positions: Tensor, cell: Tensor) -> Tensor:
    """Sum of `W_j / r^6` over the images of a slab in `enclosing_cell`, averaged over its plane: [n, n_channels] A^-6.

    `pi / (2 A) sum_j W_j sum_(m != 0) (m L + z_ij)^-4 = pi / (A L^4) sum_j W_j [zeta(4) + 10 zeta(6) z_ij^2/L^2 + ...]`
    with A the area, L the height of the cell. `weights` [n, n_channels], `positions` [n, 3] A, `cell` [3, 3] A.
    """
    area = torch.linalg.cross(cell[0], cell[1]).square().sum().sqrt()
    height = torch.mv(positions, cell[2]) / cell[2].square().sum()  # [n], in units of L
    sums = allsum(torch.stack([torch.ones_like(height).sum(), height.sum()]))
    height = height - sums[1] / sums[0]
    powers = torch.stack([torch.ones_like(height), height, height * height])  # [3, n]
    moments = allsum(torch.matmul(powers, weights))  # [3, n_channels]
    flat, bent = math.pi**4 / 90.0, 10.0 * math.pi**6 / 945.0
    seen = flat * moments[0] + bent * moments[2] + height.unsqueeze(1) * (-2.0 * bent) * moments[1]
    seen = seen + powers[2].unsqueeze(1) * bent * moments[0]
    return math.pi / area / cell[2].square().sum() ** 2 * seen
