"""Functions of the distance: a Bessel basis that ends smoothly at the cutoff."""

import math

import torch
from torch import Tensor, nn


def cutoff_envelope(x: Tensor) -> Tensor:
    """Polynomial that falls from 1 at x = 0 to 0 at x = 1, with two continuous derivatives at 1.

    `x` is the distance over the cutoff, any shape. Source: Gasteiger et al. 2020 (DimeNet), eq. 8, p = 5.
    """
    y = x.clamp(max=1.0)
    return 1.0 - y**5 * (21.0 + y * (-35.0 + 15.0 * y))


class BesselBasis(nn.Module):
    """`sqrt(2/r_c) sin(n pi r / r_c) / r * envelope(r / r_c)`, n = 1 .. functions (Gasteiger et al. 2020, eq. 7)."""

    order: Tensor

    def __init__(self, functions: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("order", torch.arange(1, functions + 1, dtype=torch.float64) * (math.pi / cutoff))

    def forward(self, length: Tensor) -> Tensor:
        """`length` [n_edges] A -> [n_edges, functions]."""
        amplitude = math.sqrt(2.0 / self.cutoff) * cutoff_envelope(length / self.cutoff) / length  # [n_edges]
        return torch.sin(length.unsqueeze(1) * self.order) * amplitude.unsqueeze(1)
