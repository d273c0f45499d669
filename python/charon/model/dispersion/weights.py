"""How much an atom resembles each reference atom of its element: coordination number and charge decide.

    D3: count(r) = 1 / (1 + exp(-16 (r0 / r - 1))),  W_a ~ exp(-4 (CN - CN_a)^2)
    D4: count(r) = k4 exp(-(|dEN| + k5)^2 / k6) (1 - erf(7.5 (r / r0 - 1))) / 2,
        W_a ~ sum_{g = 1 .. n_a} exp(-6 g (CN - CN_a)^2), times the charge scaling of a

r0 is the sum of covalent radii. Sources: Grimme et al. 2010, eqs. 15 and 16; Caldeweyher et al. 2019.
"""

import warnings
from typing import Final

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from charon.model.dispersion.tables import CHARGE_HEIGHT, CHARGE_STEEPNESS, References


def switch(x: Tensor) -> Tensor:
    """1 below 0.8, 0 above 1, with two continuous derivatives; `x` is the distance over the cutoff."""
    y = (5.0 * x - 4.0).clamp(0.0, 1.0)
    return 1.0 - y * y * y * (10.0 + y * (-15.0 + 6.0 * y))


def warn_of_long_bonds(elements: list[int], radius: Tensor, cutoff: float) -> None:
    """Say which bonds the cutoff does not hold; `radius` [n_elements, n_elements] A, half of a bond counts there."""
    long = (radius > 0.8 * cutoff).nonzero().tolist()
    if long:
        names = sorted(
            {"-".join(sorted((chemical_symbols[elements[a]], chemical_symbols[elements[b]]))) for a, b in long}
        )
        warnings.warn(
            f"dispersion: neighbors are counted up to 0.8 of the cutoff of {cutoff} A, but {', '.join(names)} can be "
            f"bonded beyond; their coordination numbers come out too small, their attraction too large. A cutoff of "
            f"{float(radius.max()) / 0.8:.1f} A holds all bonds.",
            stacklevel=2,
        )


class CoordinationNumber(nn.Module):
    """Number of neighbors that are bonded, counted smoothly within the model's cutoff."""

    is_d4: Final[bool]
    radius: Tensor
    weight: Tensor

    def __init__(self, kind: str, references: References, cutoff: float) -> None:
        super().__init__()
        self.is_d4, self.cutoff = kind == "d4", cutoff
        radius = torch.from_numpy(references.covalent_radius)
        difference = torch.from_numpy(references.electronegativity)
        difference = (difference.unsqueeze(1) - difference).abs()
        self.register_buffer("radius", radius.unsqueeze(1) + radius)  # [n_elements, n_elements]
        weight = 4.10451 * torch.exp(-((difference + 19.08857) ** 2) / (2.0 * 11.28174**2))
        self.register_buffer("weight", weight)  # [n_elements, n_elements]

    def forward(self, here: Tensor, there: Tensor, center: Tensor, length: Tensor, n_local: int) -> Tensor:
        """Element indices of both ends [n_edges], `center` [n_edges], `length` [n_edges] A -> [n_local]."""
        radius = self.radius[here, there]
        if self.is_d4:
            count = 0.5 * self.weight[here, there] * torch.erfc(7.5 * (length / radius - 1.0))
        else:
            count = torch.sigmoid(16.0 * (radius / length - 1.0))
        numbers = torch.zeros(n_local, dtype=length.dtype, device=length.device)
        return numbers.index_add(0, center, count * switch(length / self.cutoff))


class ReferenceWeights(nn.Module):
    """Weights of an atom's reference atoms; they sum to 1 where the charge scaling is 1."""

    is_d4: Final[bool]
    coordination: Tensor
    offset: Tensor
    charge: Tensor
    effective_charge: Tensor
    hardness: Tensor
    mask: Tensor

    def __init__(self, kind: str, references: References) -> None:
        super().__init__()
        self.is_d4 = kind == "d4"
        self.height, self.steepness = CHARGE_HEIGHT, CHARGE_STEEPNESS
        self.factors = [6.0, 12.0, 18.0] if self.is_d4 else [4.0]
        absent = [torch.from_numpy((references.gaussians <= g) | ~references.mask) for g in range(len(self.factors))]
        self.register_buffer("mask", torch.from_numpy(references.mask).to(torch.float64))
        self.register_buffer("offset", -1e30 * torch.stack(absent, dim=2).to(torch.float64))  # [n_elements, n, g]
        self.register_buffer("coordination", torch.from_numpy(references.coordination))
        self.register_buffer("charge", torch.from_numpy(references.charge))
        self.register_buffer("effective_charge", torch.from_numpy(references.effective_charge))
        self.register_buffer("hardness", torch.from_numpy(references.hardness))

    def forward(self, types: Tensor, coordination: Tensor, charges: Tensor) -> Tensor:
        """`types` [n_local], `coordination` [n_local], `charges` [n_local] e -> [n_local, n], 0 where masked."""
        square = (coordination.unsqueeze(1) - self.coordination[types]).square()  # [n_local, n]
        factors = torch.tensor(self.factors, dtype=square.dtype, device=square.device)
        exponent = self.offset[types] - square.unsqueeze(2) * factors  # [n_local, n, g]
        weights = torch.softmax(exponent.flatten(1), dim=1).reshape(exponent.shape).sum(2)
        return weights * self.charge_scaling(types, charges) * self.mask[types] if self.is_d4 else weights

    def charge_scaling(self, types: Tensor, charges: Tensor) -> Tensor:
        """`exp(3 (1 - exp(2 hardness (1 - (q_a + Z) / (q + Z)))))`, [n_local, n]; e^3 where q <= -Z."""
        nuclear = (charges + self.effective_charge[types]).clamp(min=1e-2).unsqueeze(1)  # [n_local, 1]
        steepness = (self.steepness * self.hardness[types]).unsqueeze(1)
        return torch.exp(self.height * (1.0 - torch.exp(steepness * (1.0 - self.charge[types] / nuclear))))
