"""Radial filters: cubic splines of the distance that end smoothly at the cutoff.

The model *is* the spline: its coefficients are linear in smooth functions at the knots, made once per evaluation, so
that an edge costs four multiplications per filter however the filters are parameterised.
"""

import math

import torch
from torch import Tensor, nn


def cutoff_envelope(x: Tensor) -> Tensor:
    """Polynomial that falls from 1 at x = 0 to 0 at x = 1, with two continuous derivatives at 1.

    `x` is the distance over the cutoff, any shape. Source: Gasteiger et al. 2020 (DimeNet), eq. 8, p = 5.
    """
    y = x.clamp(max=1.0)
    return 1.0 - y**5 * (21.0 + y * (-35.0 + 15.0 * y))


def knot_values(functions: int, cutoff: float, knots: int) -> Tensor:
    """Bessel functions at the knots of a uniform spline: [knots + 3, functions], float64.

    `sqrt(2/r_c) sin(n pi r / r_c) / r * envelope(r / r_c)`, n = 1 .. functions (Gasteiger et al. 2020, eq. 7), at
    r = -spacing, 0, spacing ... with spacing = cutoff / knots; the last three rows, which alone reach the cutoff, are
    zero.
    """
    spacing = cutoff / knots
    r = torch.arange(-1, knots + 2, dtype=torch.float64) * spacing  # [knots + 3]
    order = torch.arange(1, functions + 1, dtype=torch.float64) / cutoff  # [functions]
    values = math.sqrt(2.0 / cutoff) * math.pi * order * torch.sinc(r.unsqueeze(1) * order)
    values = values * cutoff_envelope(r.abs() / cutoff).unsqueeze(1)
    values[-3:] = 0.0
    return values


class RadialTable(nn.Module):
    """Spline coefficients of `filters` filters of `channels` channels: linear in the functions at the knots."""

    values: Tensor

    def __init__(self, functions: int, cutoff: float, knots: int, filters: int, channels: int) -> None:
        super().__init__()
        self.filters, self.channels = filters, channels
        self.spacing = cutoff / knots
        self.weight = nn.Linear(functions, filters * channels, bias=False)
        self.register_buffer("values", knot_values(functions, cutoff, knots))

    def forward(self) -> Tensor:
        """[knots + 3, filters, channels]."""
        return self.weight(self.values).reshape(self.values.size(0), self.filters, self.channels)


class DecayTable(nn.Module):
    """Spline coefficients of positive filters that fall off exponentially and end at the cutoff.

    Positive coefficients make positive splines. `amplitude`, before softplus, is where they start at 2 A.
    """

    distance: Tensor
    envelope: Tensor

    def __init__(self, width: int, amplitude: float, cutoff: float, knots: int) -> None:
        super().__init__()
        self.spacing = cutoff / knots
        self.amplitude = nn.Parameter(torch.full((width,), amplitude))
        self.decay = nn.Parameter(torch.linspace(0.0, 2.0, width))  # before softplus, 1/A
        distance = torch.arange(-1, knots + 2, dtype=torch.float64) * self.spacing  # [knots + 3]
        envelope = cutoff_envelope(distance.abs() / cutoff)
        envelope[-3:] = 0.0
        self.register_buffer("distance", distance.unsqueeze(1))
        self.register_buffer("envelope", envelope.unsqueeze(1))

    def forward(self) -> Tensor:
        """[knots + 3, 1, width]."""
        decay, amplitude = torch.nn.functional.softplus(self.decay), torch.nn.functional.softplus(self.amplitude)
        return (amplitude * torch.exp(-decay * (self.distance - 2.0)) * self.envelope).unsqueeze(1)
