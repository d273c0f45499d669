"""Electrostatics of one periodic system: smooth charges by wave vectors, with the exact background."""

import math

import torch
from torch import Tensor, nn

from charon.model.electrostatics.reciprocal import Reciprocal
from charon.model.electrostatics.widths import self_potential
from charon.ops import allsum
from charon.units import COULOMB

OWN = 5
"""Tensors of a system before those of its wave vectors."""


class PeriodicSystem(nn.Module):
    """What `NearPairs` leaves: pairs of width h, self terms and background, for one system at a time.

        phi_i = k_e sum_j q_j [4 pi/V sum_(k != 0) exp(-h_ij^2 k^2/2)/k^2 exp(i k r_ij) - 2 pi (h_ij^2 - g_ij^2)/V]
                + k_e q_i sqrt(2/pi) (1/g_ii - 1/h_ii)

    With the near part it is the potential of Gaussian charges of pair width g and a uniform neutralising background
    that is zero on average over the cell. Elements that need different h have channels of their own.
    """

    volume_excess: Tensor
    own: Tensor
    channel: Tensor
    smooth: Tensor

    def __init__(self, pair: Tensor, smooth: Tensor, channels: tuple[list[int], list[int]], k_max: float) -> None:
        super().__init__()
        self.coulomb = COULOMB
        element, first = channels
        self.n_channels, self.n_elements, self.before = len(first), len(element), OWN
        self.reciprocal = Reciprocal(k_max)
        self.register_buffer("volume_excess", smooth.square() - pair.square())  # [n_elements, n_elements] A^2
        self.register_buffer("own", self_potential(pair) - self_potential(smooth))  # [n_elements]
        self.register_buffer("channel", torch.tensor(element))  # [n_elements]
        self.register_buffer("smooth", smooth[first][:, first].square())  # [n_channels, n_channels] A^2

    def prepare(self, types: Tensor, positions: Tensor, cell: Tensor, rows: Tensor) -> list[Tensor]:
        """`types` [n], `positions` [n, 3] A, `cell` [3, 3] A; `rows` [n] of the batch they are."""
        waves = self.reciprocal.prepare(positions, cell)
        squared = self.reciprocal.squared(waves)
        kernel = self.reciprocal.weight(waves)[:, None, None] * self.kernel(squared)  # [n_k, n_channels, n_channels]
        channel = self.channel.index_select(0, types).unsqueeze(1)  # [n, 1]
        own = [rows, types, channel, torch.linalg.det(cell).abs(), kernel]
        return own + waves

    def kernel(self, squared: Tensor) -> Tensor:
        """`4 pi k_e exp(-h^2 k^2/2) / k^2` of each pair of channels, 0 at k = 0; `squared` k^2 [n_k]."""
        squared = squared[:, None, None]
        safe = torch.where(squared > 0, squared, torch.ones_like(squared))
        kernel = 4.0 * math.pi * self.coulomb / safe * torch.exp(-0.5 * safe * self.smooth)
        return torch.where(squared > 0, kernel, torch.zeros_like(kernel))

    def waves(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """Fourier coefficients of the potential seen by each channel, [n_k, n_channels] complex."""
        sources = torch.zeros((charges.size(0), self.n_channels), dtype=charges.dtype, device=charges.device)
        sources = sources.scatter(1, prepared[2], charges.unsqueeze(1))
        factors = self.reciprocal.transform(sources, prepared[self.before :])  # [n_k, n_channels]
        if self.n_channels == 1:
            return prepared[4].squeeze(2) * factors
        return (prepared[4] * factors.unsqueeze(1)).sum(2)

    def background(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """Potential [n] of the background's part that depends on widths."""
        totals = torch.zeros(self.n_elements, dtype=charges.dtype, device=charges.device)
        totals = allsum(totals.index_add(0, prepared[1], charges))  # [n_elements] e
        by_element = (-2.0 * math.pi * self.coulomb / prepared[3]) * torch.mv(self.volume_excess, totals)
        return by_element.index_select(0, prepared[1])

    def potential(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n] e of the system's atoms -> [n] V."""
        found = self.reciprocal.back(self.waves(charges, prepared), prepared[self.before :])  # [n, n_channels]
        potential = found.gather(1, prepared[2]).squeeze(1)
        own = self.coulomb * self.own.index_select(0, prepared[1]) * charges
        return potential + own + self.background(charges, prepared)

    def field(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n] e -> [n, 3] V/A."""
        slope = self.reciprocal.slope(self.waves(charges, prepared), prepared[self.before :])  # [n, n_channels, 3]
        return -slope.gather(1, prepared[2].unsqueeze(2).expand(-1, 1, 3)).squeeze(1)
