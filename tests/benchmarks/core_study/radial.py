"""What an edge knows: cubic B-splines of its length on a uniform grid, its direction, and their slopes."""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

FIRST = 0.4  # A, first knot; no edge of the sets is shorter than the second
_A, _B = math.sqrt(0.5), math.sqrt(1.0 / 6.0)
BASIS = torch.tensor(
    [
        [[0.0, _A, 0.0], [_A, 0.0, 0.0], [0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [0.0, 0.0, _A], [0.0, _A, 0.0]],
        [[0.0, 0.0, _A], [0.0, 0.0, 0.0], [_A, 0.0, 0.0]],
        [[_A, 0.0, 0.0], [0.0, -_A, 0.0], [0.0, 0.0, 0.0]],
        [[-_B, 0.0, 0.0], [0.0, -_B, 0.0], [0.0, 0.0, 2.0 * _B]],
    ]
)
"""Orthonormal basis of the symmetric traceless matrices, as in charon.model.tensors."""


@dataclass
class Geometry:
    """Edges of a batch, no gradient: splines and their slopes [edges, knots], directions, their slopes."""

    spline: Tensor
    slope: Tensor
    direction: Tensor  # [edges, 8]: sqrt(3) u, sqrt(7.5) uu
    turn: Tensor  # [edges, 8, 3], derivative by the edge vector
    unit: Tensor  # [edges, 3]


def grid(knots: int, cutoff: float) -> tuple[Tensor, float]:
    """Knots [knots] and their spacing; the last is two spacings before the cutoff, so all ends there with C2."""
    spacing = (cutoff - FIRST) / (knots + 1)
    return FIRST + spacing * torch.arange(knots, dtype=torch.float32), spacing


@cache
def _constants(knots: int, cutoff: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    return grid(knots, cutoff)[0].to(device), BASIS.to(device), torch.eye(3, device=device)


def geometry(vector: Tensor, knots: int, cutoff: float) -> Geometry:
    """`vector` [edges, 3]."""
    spacing = grid(knots, cutoff)[1]
    places, basis, eye = _constants(knots, cutoff, vector.device)
    length = vector.norm(dim=1, keepdim=True)  # [edges, 1]
    x = (length - places) / spacing
    outer, inner = (2.0 - x.abs()).clamp(min=0.0), (1.0 - x.abs()).clamp(min=0.0)
    spline = (outer**3 - 4.0 * inner**3) / 6.0
    slope = -x.sign() * (0.5 * outer**2 - 2.0 * inner**2) / spacing
    unit = vector / length
    projected = torch.einsum("qab,eb->eqa", basis, unit)  # [edges, 5, 3]
    second = (projected * unit.unsqueeze(1)).sum(2)  # [edges, 5]
    turn1 = math.sqrt(3.0) * (eye - unit.unsqueeze(2) * unit.unsqueeze(1))
    turn2 = math.sqrt(7.5) * 2.0 * (projected - second.unsqueeze(2) * unit.unsqueeze(1))
    turn = torch.cat([turn1, turn2], 1) / length.unsqueeze(2)
    direction = torch.cat([math.sqrt(3.0) * unit, math.sqrt(7.5) * second], 1)
    return Geometry(spline, slope, direction, turn, unit)


def radial_functions(kind: str, knots: int, cutoff: float) -> Tensor:
    """Values [knots, functions] of the fixed functions of a kind: `besselN`, `warpN` (dense near bonds)."""
    r, _ = grid(knots, cutoff)
    x = r / cutoff
    envelope = 1.0 - x**5 * (21.0 + x * (-35.0 + 15.0 * x))
    if kind.startswith("warp"):
        x = torch.log1p(r / 1.0) / math.log1p(cutoff / 1.0)
        order = torch.arange(1, int(kind[4:]) + 1) * math.pi
        return torch.sin(x.unsqueeze(1) * order) * envelope.unsqueeze(1)
    order = torch.arange(1, int(kind.removeprefix("bessel")) + 1) * math.pi
    return math.sqrt(2.0 / cutoff) * torch.sin(x.unsqueeze(1) * order) * (envelope / r).unsqueeze(1)


def products() -> Tensor:
    """[13, 64]: from the 8 x 8 products of x = (a, b) to b.a (3), (aa)0 (5), (bb)0 (5)."""
    out = torch.zeros(13, 8, 8)
    out[:3, :3, 3:] = torch.einsum("qij->ijq", BASIS)
    out[3:8, :3, :3] = BASIS
    out[8:, 3:, 3:] = torch.einsum("qij,rik,skj->qrs", BASIS, BASIS, BASIS)
    return out.reshape(13, 64)
