"""Sums over wave vectors by Fourier transforms of a grid (smooth particle mesh, Essmann et al. 1995)."""

import math

import torch
from torch import Tensor, nn

from charon.model.electrostatics.grid_sizes import blended_sizes
from charon.ops import allsum
from charon.ops.mesh import mesh_gather, mesh_spread, spline


class Mesh(nn.Module):
    """The same face as `Reciprocal`, for large systems: B-splines of even order carry sources to a grid and back.

    The factors `sinc^(2p) / (sum_m sinc^(2p)(x + m))^2`, which bring the result closest to the exact one on average
    over all places (Hockney and Eastwood 1988, ch. 8), are in `weight`. The size of the grid follows the cell, and
    where it changes both results are blended, so that the energy is smooth in the cell.
    """

    aliases: Tensor

    def __init__(self, order: int, spacing: float) -> None:
        super().__init__()
        self.order, self.spacing = order, spacing
        doubled = spline(torch.zeros(1, dtype=torch.float64), 2 * order, 0)[0]  # [2 order]
        at_integers = doubled[order - 1 : 2 * order - 1]
        twice = torch.tensor([1.0] + [2.0] * (order - 1), dtype=torch.float64)
        self.register_buffer("aliases", at_integers * twice)  # [order], coefficients of cos(2 pi j x)

    def prepare(self, positions: Tensor, cell: Tensor) -> list[Tensor]:
        """`positions` [n_atoms, 3] A of this domain, `cell` [3, 3] A -> what depends on them.

        Wave vectors [n_k, 3] and weights [n_k] of all grids; then of each grid its sizes, the places of the atoms
        [n_atoms, 3] and their derivative with respect to the positions [3, 3].
        """
        inverse = torch.linalg.inv(cell)
        fractional = torch.matmul(positions, inverse)  # [n_atoms, 3]
        fractional = fractional - fractional.detach().floor()
        sizes, shares = blended_sizes(cell.square().sum(1).sqrt() / self.spacing, self.order)
        vectors: list[Tensor] = []
        weights: list[Tensor] = []
        grids: list[Tensor] = []
        for grid, share in zip(sizes, shares):
            size = torch.tensor(grid, device=cell.device)
            vectors.append(2.0 * math.pi * torch.matmul(self.numbers(grid, inverse), inverse.t()))
            weights.append(share * self.influence(grid, inverse))
            grids += [size, fractional * size, inverse * size]
        return [torch.cat(vectors), torch.cat(weights) / torch.linalg.det(cell).abs()] + grids

    def axes(self, grid: list[int], like: Tensor) -> list[Tensor]:
        """Numbers n of the waves along each axis, half of them along the last: [n_1], [n_2], [n_3]."""
        numbers: list[Tensor] = []
        for axis, size in enumerate(grid):
            count = size // 2 + 1 if axis == 2 else size
            n = torch.arange(count, dtype=like.dtype, device=like.device)
            numbers.append(torch.where(n > size // 2, n - size, n))
        return numbers

    def numbers(self, grid: list[int], like: Tensor) -> Tensor:
        """The three numbers of each wave, [n_k, 3]."""
        axes = self.axes(grid, like)
        return torch.stack(torch.meshgrid(axes[0], axes[1], axes[2], indexing="ij"), dim=3).reshape(-1, 3)

    def influence(self, grid: list[int], like: Tensor) -> Tensor:
        """What undoes the splines, times the number of waves that each stands for: [n_k]."""
        factors: list[Tensor] = []
        for axis, n in enumerate(self.axes(grid, like)):
            x = n / grid[axis]
            waves = torch.cos(2.0 * math.pi * x.unsqueeze(1) * torch.arange(self.order, device=like.device))
            aliases = torch.mv(waves, self.aliases)  # [size], sum_m sinc^(2p)(x + m)
            factor = torch.sinc(x) ** (2 * self.order) / aliases.square()
            if axis == 2:
                factor = factor / self.inverse_count(grid[2], like)
            factors.append(factor)
        return (factors[0][:, None, None] * factors[1][:, None] * factors[2]).flatten()

    def inverse_count(self, size: int, like: Tensor) -> Tensor:
        """1 / number of waves that each wave along the last axis stands for, [size // 2 + 1]."""
        n = torch.arange(size // 2 + 1, device=like.device)
        return torch.where((n == 0) | (2 * n == size), torch.ones_like(n), torch.full_like(n, 0.5, dtype=like.dtype))

    def vectors(self, prepared: list[Tensor]) -> Tensor:
        """Wave vectors [n_k, 3], 1/A."""
        return prepared[0]

    def squared(self, prepared: list[Tensor]) -> Tensor:
        """k^2, [n_k] 1/A^2."""
        return prepared[0].square().sum(1)

    def weight(self, prepared: list[Tensor]) -> Tensor:
        """What undoes the splines, times number of wave vectors that each stands for, per volume: [n_k] 1/A^3."""
        return prepared[1]

    def transform(self, sources: Tensor, prepared: list[Tensor]) -> Tensor:
        """`sources` [n_atoms, channels] -> [n_k, channels] complex, summed over the domains."""
        factors: list[Tensor] = []
        for first in range(2, len(prepared), 3):
            sizes: list[int] = prepared[first].tolist()
            grid = mesh_spread(sources.unsqueeze(2), prepared[first + 1], sizes, self.order, 0)
            factors.append(torch.fft.rfftn(allsum(grid), dim=[1, 2, 3]).flatten(1))
        return torch.cat(factors, dim=1).t()

    def grids(self, values: Tensor, prepared: list[Tensor]) -> list[Tensor]:
        """Fourier sums of `values` [n_k, channels] on each grid, [channels, sizes]."""
        values = values.t()  # [channels, n_k]
        found: list[Tensor] = []
        begin = 0
        for first in range(2, len(prepared), 3):
            sizes: list[int] = prepared[first].tolist()
            last = sizes[2] // 2 + 1
            end = begin + sizes[0] * sizes[1] * last
            waves = values[:, begin:end].reshape(values.size(0), sizes[0], sizes[1], last)
            waves = waves * self.inverse_count(sizes[2], prepared[first + 1])
            found.append(torch.fft.irfftn(waves, s=sizes, dim=[1, 2, 3], norm="forward"))
            begin = end
        return found

    def back(self, values: Tensor, prepared: list[Tensor]) -> Tensor:
        """`values` [n_k, channels] complex -> `Re sum_k values exp(i k r_i)`, [n_atoms, channels]."""
        total = torch.zeros((prepared[3].size(0), values.size(1)), dtype=prepared[3].dtype, device=values.device)
        for index, grid in enumerate(self.grids(values, prepared)):
            total = total + mesh_gather(grid, prepared[3 * index + 3], self.order, 0).squeeze(2)
        return total

    def slope(self, values: Tensor, prepared: list[Tensor]) -> Tensor:
        """Gradient of `back` with respect to the positions, [n_atoms, channels, 3]."""
        total = torch.zeros((prepared[3].size(0), values.size(1), 3), dtype=prepared[3].dtype, device=values.device)
        for index, grid in enumerate(self.grids(values, prepared)):
            along_axes = mesh_gather(grid, prepared[3 * index + 3], self.order, 1)  # [n_atoms, channels, 3]
            total = total + torch.matmul(along_axes, prepared[3 * index + 4].t())
        return total
