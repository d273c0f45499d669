"""Electrostatics of one periodic system: smooth charges by wave vectors, with the exact background."""

import math

import torch
from torch import Tensor, nn

from charon.model.electrostatics.mesh import Mesh
from charon.model.electrostatics.reciprocal import Reciprocal
from charon.model.electrostatics.slab import slab_box, slab_field, slab_potential
from charon.model.electrostatics.widths import channels_of, self_potential
from charon.ops import allsum
from charon.units import COULOMB


class PeriodicSystem(nn.Module):
    """What `NearPairs` leaves: pairs of width h, self terms and background, for one system at a time.

        phi_i = k_e sum_j q_j [4 pi/V sum_(k != 0) exp(-h_ij^2 k^2/2)/k^2 exp(i k r_ij) - 2 pi (h_ij^2 - g_ij^2)/V]
                + k_e q_i sqrt(2/pi) (1/g_ii - 1/h_ii)

    With the near part it is the potential of Gaussian charges of pair width g and a uniform neutralising background,
    zero on average over the cell. Elements that need different h have channels of their own. In slabs the potential is
    that of point charges at a distance, without the term in g^2.
    """

    excess: Tensor
    own: Tensor
    channel: Tensor
    smooth: Tensor

    def __init__(self, pair: Tensor, smooth: Tensor, cutoff: float, waves: Reciprocal | Mesh) -> None:
        super().__init__()
        element, first = channels_of(smooth)
        self.coulomb, self.cutoff, self.waves = COULOMB, cutoff, waves
        self.n_channels, self.n_elements, self.n_own = len(first), len(element), 9
        self.register_buffer("excess", torch.stack([smooth.square() - pair.square(), smooth.square()]))
        self.register_buffer("own", self_potential(pair) - self_potential(smooth))  # [n_elements] 1/A
        self.register_buffer("channel", torch.tensor(element))  # [n_elements]
        self.register_buffer("smooth", smooth[first][:, first].square())  # [n_channels, n_channels] A^2

    def prepare(self, types: Tensor, positions: Tensor, cell: Tensor, pbc: Tensor, rows: Tensor) -> list[Tensor]:
        """`types` [n], `positions` [n, 3] A, `cell` [3, 3] A, `pbc` [3]; `rows` [n] of the batch they are."""
        is_slab = ~pbc.all()
        normal, height = torch.zeros_like(cell[0]), torch.zeros_like(positions[:, 0])
        if bool(is_slab):
            cell, height, normal = slab_box(positions, cell, pbc, self.cutoff)
        volume, length = torch.linalg.det(cell).abs(), cell[2].square().sum().sqrt()
        waves = self.waves.prepare(positions, cell)
        kernel = self.waves.weight(waves)[:, None, None] * self.kernel(self.waves.squared(waves))
        channel = self.channel.index_select(0, types).unsqueeze(1)  # [n, 1]
        return [rows, is_slab, types, channel, height, normal, length, volume, kernel] + waves

    def kernel(self, squared: Tensor) -> Tensor:
        """`4 pi k_e exp(-h^2 k^2/2) / k^2` of each pair of channels, 0 at k = 0; `squared` k^2 [n_k]."""
        squared = squared[:, None, None]
        safe = torch.where(squared > 0, squared, torch.ones_like(squared))
        kernel = 4.0 * math.pi * self.coulomb / safe * torch.exp(-0.5 * safe * self.smooth)
        return torch.where(squared > 0, kernel, torch.zeros_like(kernel))

    def coefficients(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """Fourier coefficients of the potential seen by each channel, [n_k, n_channels] complex."""
        sources = torch.zeros((charges.size(0), self.n_channels), dtype=charges.dtype, device=charges.device)
        sources = sources.scatter(1, prepared[3], charges.unsqueeze(1))
        factors, kernel = self.waves.transform(sources, prepared[self.n_own :]), prepared[8]
        if self.n_channels == 1:
            return kernel.squeeze(2) * factors
        return (kernel * factors.unsqueeze(1)).sum(2)

    def background(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """Potential [n] of the background's part that depends on widths."""
        types, is_slab = prepared[2], int(prepared[1])
        totals = torch.zeros(self.n_elements, dtype=charges.dtype, device=charges.device)
        totals = allsum(totals.index_add(0, types, charges))  # [n_elements] e
        by_element = (-2.0 * math.pi * self.coulomb / prepared[7]) * torch.mv(self.excess[is_slab], totals)
        return by_element.index_select(0, types)

    def potential(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n] e of the system's atoms -> [n] V."""
        found = self.waves.back(self.coefficients(charges, prepared), prepared[self.n_own :])  # [n, n_channels]
        potential = found.gather(1, prepared[3]).squeeze(1) + self.background(charges, prepared)
        if bool(prepared[1]):
            potential = potential + self.coulomb * slab_potential(charges, prepared[4], prepared[6], prepared[7])
        return potential + self.coulomb * self.own.index_select(0, prepared[2]) * charges

    def field(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n] e -> [n, 3] V/A."""
        slope = self.waves.slope(self.coefficients(charges, prepared), prepared[self.n_own :])
        field = -slope.gather(1, prepared[3].unsqueeze(2).expand(-1, 1, 3)).squeeze(1)
        if bool(prepared[1]):
            field = field + self.coulomb * slab_field(charges, prepared[4], prepared[7], prepared[5])
        return field
