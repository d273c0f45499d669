"""Fourier transform of the smooth rest of the kernel.

The transform of the whole kernel is a sum over the poles r_p of 1 / (r^n + R^n) in the upper half plane,

    (4 pi^2 / (n k)) Re sum_p r_p^(2 - n) exp(i k r_p),        4 pi^2 R^(3 - n) / (n sin(3 pi / n)) at k = 0,

from which that of the inner part is taken, by quadrature over the cutoff's sphere.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from charon.model.dispersion.kernel import inner
from charon.model.electrostatics.window import window

NODES = 40
INTERVALS = 512
REACH = 30.0
"""Largest k times the cutoff; what the rest has beyond is worth less than 1e-6 eV per atom (measured at 4 to 6 A)."""


def sixth_power(x: Tensor) -> Tensor:
    """Transform of `1 / (r^6 + 1)` at wave numbers x > 0, any shape."""
    slow = torch.exp(-0.5 * x) * torch.cos(math.sqrt(0.75) * x - 2.0 * math.pi / 3.0)
    return (2.0 * math.pi**2 / 3.0) * (2.0 * slow + torch.exp(-x)) / x


def eighth_power(x: Tensor) -> Tensor:
    """Transform of `1 / (r^8 + 1)` at wave numbers x > 0, any shape."""
    low, high = math.sin(math.pi / 8.0), math.cos(math.pi / 8.0)
    slow = torch.exp(-low * x) * torch.cos(high * x - 0.75 * math.pi)
    return math.pi**2 * (slow + torch.exp(-high * x) * torch.cos(low * x - 0.25 * math.pi)) / x


class RestTransform(nn.Module):
    """The transform of the rest of each pair of elements, and the rest at r = 0.

    It is tabulated up to `k_max` once per evaluation and interpolated by cubic B-splines, to 1e-8 of its value at 0.
    """

    nodes: Tensor
    node_weights: Tensor

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff, self.k_max, self.intervals = cutoff, REACH / cutoff, INTERVALS
        self.sixth_limit = 2.0 * math.pi**2 / 3.0
        self.eighth_limit = 0.5 * math.pi**2 / math.sin(3.0 * math.pi / 8.0)
        nodes, node_weights = np.polynomial.legendre.leggauss(NODES)
        self.register_buffer("nodes", torch.from_numpy(0.5 * (nodes + 1.0)))  # on [0, 1]
        self.register_buffer("node_weights", torch.from_numpy(0.5 * node_weights))

    def exact(self, k: Tensor, table: Tensor) -> Tensor:
        """`k` [n] 1/A, `table` [n_pairs, ...] of `KernelTable` -> [n, n_pairs] A^-3."""
        at_zero = (k == 0.0).unsqueeze(1)  # [n, 1]
        k = torch.where(k == 0.0, torch.ones_like(k), k)
        radius = table[:, 2] ** (1.0 / 6.0)
        x = k.unsqueeze(1) * radius  # [n, n_pairs]
        sixth = torch.where(at_zero, torch.full_like(x, self.sixth_limit), sixth_power(x)) / radius**3
        eighth = torch.where(at_zero, torch.full_like(x, self.eighth_limit), eighth_power(x)) / radius**5
        r = self.cutoff * self.nodes  # [n_nodes]
        shell = 4.0 * math.pi * self.cutoff * self.node_weights * r * r
        part = inner(r.square().unsqueeze(1), table.unsqueeze(0), self.cutoff)  # [n_nodes, n_pairs]
        phase = k.unsqueeze(1) * r  # [n, n_nodes]
        wave = torch.where(at_zero, torch.ones_like(phase), torch.sin(phase) / phase)
        return table[:, 0] * sixth + table[:, 1] * eighth - torch.matmul(wave, shell.unsqueeze(1) * part)

    def forward(self, square: Tensor, table: Tensor) -> Tensor:
        """`square` k^2 [n_k] A^-2 -> [n_k, n_pairs] A^-3; constant beyond `k_max`.

        Below zero the formula of `exact` goes on without the kink that 1/r^6 has there in its third derivative.
        """
        knots = torch.arange(-2, self.intervals + 4, dtype=square.dtype, device=square.device)
        values = self.exact(knots * (self.k_max / self.intervals), table)
        values = (8.0 * values[1:-1] - values[:-2] - values[2:]) / 6.0  # coefficients at knots -1 ... intervals + 2
        safe = torch.where(square > 0.0, square, torch.ones_like(square)).sqrt()
        k = torch.where(square > 0.0, safe, torch.zeros_like(square)).clamp(max=self.k_max)
        k = k * (self.intervals / self.k_max)  # [n_k]
        first = k.detach().floor().to(torch.int64)
        u = k - first.to(k.dtype)
        v = 1.0 - u
        splines = [v * v * v, 4.0 - 6.0 * u * u + 3.0 * u * u * u, 4.0 - 6.0 * v * v + 3.0 * v * v * v, u * u * u]
        total = (splines[0] / 6.0).unsqueeze(1) * values.index_select(0, first)
        for j in range(1, 4):
            total = total + (splines[j] / 6.0).unsqueeze(1) * values.index_select(0, first + j)
        return total

    def origin(self, table: Tensor) -> Tensor:
        """The rest at r = 0 as far as wave vectors up to `k_max` have it: [n_pairs] A^-6.

        With it, what the wave vectors lack cancels where it is largest, in each atom's attraction to itself.
        """
        k = self.k_max * self.nodes  # [n_nodes]
        shell = self.k_max * self.node_weights * k * k * window(k * k, self.k_max) / (2.0 * math.pi**2)
        return torch.matmul(shell, self.exact(k, table))
