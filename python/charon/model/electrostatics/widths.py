"""Widths of the Gaussian charges, and what follows from them for each pair of elements."""

import math

import torch
from ase.data import covalent_radii
from torch import Tensor

from charon.model.electrostatics.config import ElectrostaticsConfig

SMALLEST = 1e-5
"""Width that stands for a point charge, A: erf(r / (sqrt(2) SMALLEST)) is 1 at every distance of atoms."""


def element_widths(elements: list[int], config: ElectrostaticsConfig) -> Tensor:
    """Gaussian width of each element, [n_elements] A, float64."""
    radii = torch.tensor([float(covalent_radii[z]) for z in elements], dtype=torch.float64)
    return radii if config.widths == "covalent" else radii * float(config.widths)


def pair_widths(widths: Tensor) -> Tensor:
    """`g_ab = sqrt(s_a^2 + s_b^2)`, [n_elements, n_elements] A: two Gaussians interact by erf(r / (sqrt2 g)) / r."""
    return (widths.unsqueeze(0).square() + widths.unsqueeze(1).square()).sqrt()


def decay(accuracy: float) -> float:
    """The x at which erfc(x) is `accuracy`."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if math.erfc(middle) > accuracy else (low, middle)
    return high


def smearing(cutoff: float, accuracy: float) -> float:
    """Pair width G, A, of charges that act as points beyond the cutoff: erfc(cutoff / (sqrt2 G)) is `accuracy`."""
    return cutoff / (math.sqrt(2.0) * decay(accuracy))


def self_potential(pair: Tensor) -> Tensor:
    """Potential of a Gaussian at its own center per unit charge, [n_elements] 1/A, from `pair_widths`; 0 for points."""
    width = pair.diagonal()
    return torch.where(width > 0, math.sqrt(2.0 / math.pi) / width.clamp(min=SMALLEST), torch.zeros_like(width))


def inverse_widths(pair: Tensor) -> Tensor:
    """`1 / (sqrt2 g)`, [n_elements, n_elements] 1/A, finite for points."""
    return 1.0 / (math.sqrt(2.0) * pair.clamp(min=SMALLEST))


def channels_of(pair: Tensor) -> tuple[list[int], list[int]]:
    """Elements that interact alike with every element share a channel.

    Returns the channel of each element, and an element of each channel.
    """
    channels: list[int] = []
    first: list[int] = []
    for element in range(pair.size(0)):
        alike = [c for c, other in enumerate(first) if torch.equal(pair[element], pair[other])]
        if not alike:
            first.append(element)
        channels.append(alike[0] if alike else len(first) - 1)
    return channels, first
