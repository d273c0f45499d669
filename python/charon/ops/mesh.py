"""B-splines between atoms and a periodic grid: what each atom spreads on the grid, and what it gathers from it.

The two are each other's adjoint. `degree` d stands for all derivatives of degree d along the axes of the grid, in the
order a falling, then b falling, of d^a/dx^a d^b/dy^b d^c/dz^c with a + b + c = d.
"""

import torch
from torch import Tensor

from charon.ops import has_kernels


def mesh_gather(grid: Tensor, places: Tensor, order: int, degree: int) -> Tensor:
    """Values of the spline with coefficients `grid` at the atoms, or their derivatives.

    `f_i = sum_m grid_m M(u_i - m)`, M a product of centered B-splines, m modulo the sizes.

    `grid` [channels, size_1, size_2, size_3], `places` u [n_atoms, 3] in units of the grid, `order` 4, 6 or 8 (as many
    points along each axis). Returns [n_atoms, channels, (degree + 1)(degree + 2)/2]; differentiable up to degree 4 and
    `order - 1` in all. Raises RuntimeError for shapes and orders that are not these.
    """
    if has_kernels(grid):
        return torch.ops.charon.mesh_gather(grid, places, order, degree)
    indices, weights = stencils(places, list(grid.shape[1:]), order, degree)
    values = grid.flatten(1).index_select(1, indices.flatten()).reshape(grid.size(0), places.size(0), -1)
    return torch.matmul(values.transpose(0, 1), weights)


def mesh_spread(sources: Tensor, places: Tensor, sizes: list[int], order: int, degree: int) -> Tensor:
    """The adjoint of `mesh_gather`: `grid_m = sum_i x_i M(u_i - m)`.

    `sources` [n_atoms, channels, (degree + 1)(degree + 2)/2] -> [channels, *sizes].
    """
    if has_kernels(sources):
        return torch.ops.charon.mesh_spread(sources, places, sizes, order, degree)
    indices, weights = stencils(places, sizes, order, degree)
    spread = torch.matmul(sources, weights.transpose(1, 2))  # [n_atoms, channels, points]
    spread = spread.transpose(0, 1).reshape(sources.size(1), -1)
    grid = torch.zeros([sources.size(1), sizes[0] * sizes[1] * sizes[2]], dtype=sources.dtype, device=sources.device)
    return grid.index_add(1, indices.flatten(), spread).reshape([sources.size(1)] + list(sizes))


def stencils(places: Tensor, sizes: list[int], order: int, degree: int) -> tuple[Tensor, Tensor]:
    """Points of the grid that each atom touches, [n_atoms, order^3], and weights [n_atoms, order^3, components]."""
    below = places.detach().floor()
    splines: list[Tensor] = []
    for derivative in range(degree + 1):
        splines.append(spline(places - below, order, derivative))  # [n_atoms, 3, order]
    offsets = torch.arange(order, device=places.device) - (order // 2 - 1)
    size = torch.tensor(list(sizes), device=places.device).unsqueeze(1)
    point = (below.to(torch.int64).unsqueeze(2) + offsets).remainder(size)  # [n_atoms, 3, order]
    plane = (point[:, 0] * sizes[1]).unsqueeze(2) + point[:, 1].unsqueeze(1)  # [n_atoms, order, order]
    indices = (plane * sizes[2]).unsqueeze(3) + point[:, 2].unsqueeze(1).unsqueeze(2)
    weights: list[Tensor] = []
    for a in range(degree, -1, -1):
        for b in range(degree - a, -1, -1):
            x, y, z = splines[a][:, 0], splines[b][:, 1], splines[degree - a - b][:, 2]
            weights.append((x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).flatten(1))
    return indices.flatten(1), torch.stack(weights, dim=2)


def spline(fraction: Tensor, order: int, derivative: int) -> Tensor:
    """Centered B-spline, or its derivative, at the `order` points around an atom: [..., order].

    `fraction` [...] is the distance of the atom from the point below it, in [0, 1). Recursion over the order: Essmann
    et al. 1995, eqs. 4.1 and 4.2.
    """
    rows = [torch.ones_like(fraction)]
    zero = torch.zeros_like(fraction)
    for n in range(2, order - derivative + 1):
        padded = [zero] + rows + [zero]
        rows = [((fraction + j) * padded[j + 1] + (n - j - fraction) * padded[j]) / (n - 1) for j in range(n)]
    for _ in range(derivative):
        padded = [zero] + rows + [zero]
        rows = [padded[j + 1] - padded[j] for j in range(len(rows) + 1)]
    return torch.stack(rows, dim=-1).flip(-1)
