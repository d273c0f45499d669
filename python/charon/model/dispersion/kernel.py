"""The damped attraction of a pair, and its split into a part within the cutoff and a smooth rest.

    kernel(r) = s6 / (r^6 + R^6) + s8 Q / (r^8 + R^8),   E_ij = -C6_ij kernel(r_ij)
    Q = 3 sqrt(Q_i Q_j),   R = a1 sqrt(Q) + a2                 (Becke-Johnson, Grimme et al. 2011)

With s = r^2 and s_c the cutoff squared, `inner = kernel - sum_m c_m (s / s_c - 1)^m` within the cutoff and 0 beyond,
the c_m Taylor coefficients of the kernel at s_c. The rest, kernel - inner, has no structure finer than the cutoff, so
its Fourier transform dies out soon (the softening of Hardy's multilevel summation).
"""

from typing import Final

import torch
from torch import Tensor, nn

from charon.model.dispersion.tables import References, damping_parameters

ORDER = 8
"""Highest power of the polynomial within the cutoff."""
SMALLEST = 1e-3
"""Damping parameters that are trained start at least here: some published ones are zero or slightly negative."""


def taylor(damping: Tensor, binomial: list[float], order: int) -> Tensor:
    """Taylor coefficients of `1 / (u^n + damping)` in u at 1: [n_pairs, order + 1]; `damping` [n_pairs].

    They follow from `(u^n + damping) sum_m c_m (u - 1)^m = 1`; `binomial` are the coefficients of (1 + x)^n.
    """
    coefficients = [1.0 / (1.0 + damping)]
    for m in range(1, order + 1):
        total = torch.zeros_like(damping)
        for j in range(1, min(m, len(binomial) - 1) + 1):
            total = total + binomial[j] * coefficients[m - j]
        coefficients.append(-total * coefficients[0])
    return torch.stack(coefficients, dim=1)


def attraction(square: Tensor, rows: Tensor) -> Tensor:
    """The whole kernel, A^-6, at squared distances (A^2); `rows` are those of `KernelTable`, of shape [..., >= 4]."""
    s3 = square * square * square
    return rows[..., 0] / (s3 + rows[..., 2]) + rows[..., 1] / (s3 * square + rows[..., 3])


def inner(square: Tensor, rows: Tensor, cutoff: float) -> Tensor:
    """Kernel minus rest, A^-6, at squared distances (A^2) within the cutoff (A)."""
    y = square / (cutoff * cutoff) - 1.0
    last = rows.size(-1) - 1
    rest = rows[..., last]
    for m in range(last - 1, 3, -1):
        rest = rest * y + rows[..., m]
    return attraction(square, rows) - rest


class KernelTable(nn.Module):
    """What each pair of elements has: s6, s8 Q (A^2), R^6, R^8, and the coefficients c_m (A^-6).

    Pairs are numbered: `pair[a, b] = pair[b, a]`. s8, a1 and a2 are parameters, kept positive, if `trainable`.
    """

    trainable: Final[bool]
    pair: Tensor
    ratio: Tensor

    def __init__(self, kind: str, functional: str, trainable: bool, references: References, cutoff: float) -> None:
        super().__init__()
        self.cutoff, self.trainable, self.order = cutoff, trainable, ORDER
        r4r2 = torch.from_numpy(references.r4r2)  # [n_elements]
        first, second = torch.triu_indices(len(r4r2), len(r4r2)).unbind(0)
        pair = torch.zeros((len(r4r2), len(r4r2)), dtype=torch.int64)
        pair[first, second] = pair[second, first] = torch.arange(len(first))
        self.register_buffer("pair", pair)
        self.register_buffer("ratio", 3.0 * r4r2[first] * r4r2[second])  # [n_pairs] A^2, C8 / C6
        self.s6, *others = damping_parameters(kind, functional)
        start = torch.tensor(others, dtype=torch.float64)
        if trainable:
            start = start.clamp(min=SMALLEST)
            self.free = nn.Parameter(start + torch.log(-torch.expm1(-start)))  # softplus takes it back
        else:
            self.register_buffer("free", start)

    def damping(self) -> Tensor:
        """s8, a1 and a2 (A): [3]."""
        return torch.nn.functional.softplus(self.free) if self.trainable else self.free

    def forward(self) -> Tensor:
        """[n_pairs, 5 + order]."""
        damping = self.damping()
        radius = damping[1] * self.ratio.sqrt() + damping[2]  # [n_pairs]
        strength = damping[0] * self.ratio
        scaled = radius.square() / (self.cutoff * self.cutoff)
        sixth = self.s6 * taylor(scaled**3, [1.0, 3.0, 3.0, 1.0], self.order) / self.cutoff**6
        eighth = strength.unsqueeze(1) * taylor(scaled**4, [1.0, 4.0, 6.0, 4.0, 1.0], self.order) / self.cutoff**8
        own = torch.stack([torch.full_like(radius, self.s6), strength, radius**6, radius**8], dim=1)
        return torch.cat([own, sixth + eighth], dim=1)
