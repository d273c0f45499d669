"""Sums over wave vectors, term by term."""

import math

import torch
from torch import Tensor, nn

from charon.model.electrostatics.window import window
from charon.ops import allsum


def phases(fractional: Tensor, low: int, high: int) -> Tensor:
    """`exp(-2 pi i n s)` for n = low ... high; `fractional` [n_atoms] -> [n_atoms, high - low + 1] complex."""
    n = torch.arange(low, high + 1, dtype=fractional.dtype, device=fractional.device)
    angle = (-2.0 * math.pi) * fractional.unsqueeze(1) * n
    return torch.complex(torch.cos(angle), torch.sin(angle))


class Reciprocal(nn.Module):
    """Structure factors `S(k) = sum_i x_i exp(-i k r_i)` of one periodic system and the sums back to its atoms.

    Of each pair k, -k one is kept, and k = 0. `phi = back(weight(p) * kernel(squared(p)) * transform(x, p), p)`
    is the convolution of the sources with a kernel given by its Fourier transform, on any number of domains.
    """

    def __init__(self, k_max: float) -> None:
        super().__init__()
        self.k_max = k_max

    def prepare(self, positions: Tensor, cell: Tensor) -> list[Tensor]:
        """`positions` [n_atoms, 3] A of this domain, `cell` [3, 3] A -> what depends on them.

        Phases along the first two axes together [n_atoms, n_1 n_2] and along the third [n_atoms, n_3], complex; wave
        vectors [n_k, 3] 1/A, their weights [n_k] 1/A^3.
        """
        inverse = torch.linalg.inv(cell)
        fractional = torch.matmul(positions, inverse)  # [n_atoms, 3]
        fractional = fractional - fractional.detach().floor()
        ends = (self.k_max / (2.0 * math.pi) * cell.detach().square().sum(1).sqrt()).floor().to(torch.int64)
        n1, n2, n3 = int(ends[0]), int(ends[1]), int(ends[2])
        first, second = phases(fractional[:, 0], 0, n1), phases(fractional[:, 1], -n2, n2)
        plane = (first.unsqueeze(2) * second.unsqueeze(1)).flatten(1)  # [n_atoms, (n1 + 1)(2 n2 + 1)]
        axes = [
            torch.arange(low, high + 1, dtype=cell.dtype, device=cell.device)
            for low, high in [(0, n1), (-n2, n2), (-n3, n3)]
        ]
        numbers = torch.stack(torch.meshgrid(axes[0], axes[1], axes[2], indexing="ij"), dim=3).reshape(-1, 3)
        vectors = (2.0 * math.pi) * torch.matmul(numbers, inverse.t())  # [n_k, 3]
        twice = 1.0 + (numbers[:, 0] > 0).to(cell.dtype)
        weight = twice * window(vectors.square().sum(1), self.k_max) / torch.linalg.det(cell).abs()
        return [plane, phases(fractional[:, 2], -n3, n3), vectors, weight]

    def vectors(self, prepared: list[Tensor]) -> Tensor:
        """Wave vectors [n_k, 3], 1/A."""
        return prepared[2]

    def squared(self, prepared: list[Tensor]) -> Tensor:
        """k^2, [n_k] 1/A^2."""
        return prepared[2].square().sum(1)

    def weight(self, prepared: list[Tensor]) -> Tensor:
        """Window times number of wave vectors that each stands for, per volume: [n_k] 1/A^3."""
        return prepared[3]

    def transform(self, sources: Tensor, prepared: list[Tensor]) -> Tensor:
        """`sources` [n_atoms, channels] -> [n_k, channels] complex, summed over the domains."""
        plane, third, channels = prepared[0], prepared[1], sources.size(1)
        columns = (third.unsqueeze(2) * sources.unsqueeze(1)).flatten(1)  # [n_atoms, n_3 channels]
        summed = torch.matmul(plane.t(), columns)  # [n_1 n_2, n_3 channels]
        return torch.view_as_complex(allsum(torch.view_as_real(summed))).reshape(-1, channels)

    def back(self, values: Tensor, prepared: list[Tensor]) -> Tensor:
        """`values` [n_k, channels] complex -> `Re sum_k values exp(i k r_i)`, [n_atoms, channels]."""
        plane, third = prepared[0], prepared[1]
        rows = torch.matmul(plane.conj(), values.reshape(plane.size(1), -1))  # [n_atoms, n_3 channels]
        rows = rows.reshape(third.size(0), third.size(1), values.size(1))
        return torch.real((rows * third.conj().unsqueeze(2)).sum(1))

    def slope(self, values: Tensor, prepared: list[Tensor]) -> Tensor:
        """Gradient of `back` with respect to the positions, [n_atoms, channels, 3]."""
        vectors = prepared[2].unsqueeze(1)  # [n_k, 1, 3]
        turned = torch.complex(-values.imag.unsqueeze(2) * vectors, values.real.unsqueeze(2) * vectors)
        n, channels = prepared[1].size(0), values.size(1)
        return self.back(turned.flatten(1), prepared).reshape(n, channels, 3)
