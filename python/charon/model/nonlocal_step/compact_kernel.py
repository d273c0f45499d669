"""A kernel of finite reach, `G(r) = (1 - r^2/R^2)^6` inside R, in space and in wave vectors.

It has five continuous derivatives at R and resembles a Gaussian of width R / sqrt(12). Its transform is

    4 pi R^3 2^6 6! j_7(kR) / (kR)^7

with the spherical Bessel function j_7; beyond kR = 28 less than 5e-6 of its value at 0.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from charon.model.electrostatics.window import window

POWER = 6
LARGEST = 28.0
"""k R up to which wave vectors are summed."""
DEGREE = 32
"""Of the Chebyshev polynomial in (kR)^2 that stands for the transform; exact to 1e-13 of the value at 0."""


def exact_transform(x: np.ndarray) -> np.ndarray:
    """Transform for R = 1 at wave numbers x [n], by quadrature of `4 pi r sin(x r) / x (1 - r^2)^6`."""
    nodes, weights = np.polynomial.legendre.leggauss(80)
    r, weights = 0.5 * (nodes + 1.0), 0.5 * weights
    shell = 4.0 * math.pi * weights * r**2 * (1.0 - r**2) ** POWER  # [n_nodes]
    return np.sinc(np.outer(x, r) / math.pi) @ shell


class CompactKernel(nn.Module):
    """`G` of several reaches; `reaches` R in A."""

    coefficients: Tensor

    def __init__(self, reaches: tuple[float, ...]) -> None:
        super().__init__()
        self.reaches = list(reaches)
        self.k_max = LARGEST / min(reaches)
        fit = np.polynomial.chebyshev.Chebyshev.interpolate(
            lambda s: exact_transform(np.sqrt(s)), DEGREE, domain=[0.0, LARGEST**2]
        )
        self.register_buffer("coefficients", torch.from_numpy(fit.coef))  # [DEGREE + 1]
        self.middle = 0.5 * LARGEST**2

    def in_space(self, square: Tensor, head: int) -> Tensor:
        """`square` r^2 of any shape, A^2."""
        reach = self.reaches[head]
        inside = (1.0 - square / (reach * reach)).clamp(min=0.0)
        cubed = inside * inside * inside
        return cubed * cubed

    def in_waves(self, square: Tensor, head: int) -> Tensor:
        """`square` k^2 of any shape, A^-2 -> A^3; 0 from kR = 28, with four continuous derivatives."""
        reach = self.reaches[head]
        x = (square * (reach * reach) / self.middle - 1.0).clamp(max=1.0)  # [-1, 1]
        last, before = torch.zeros_like(x), torch.zeros_like(x)
        for m in range(self.coefficients.size(0) - 1, 0, -1):  # Clenshaw
            last, before = 2.0 * x * last - before + self.coefficients[m], last
        found = x * last - before + self.coefficients[0]
        end = self.k_max * min(self.reaches) / reach
        return reach * reach * reach * found * window(square, end)
