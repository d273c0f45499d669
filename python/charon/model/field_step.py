"""Field step: the electrostatic potential and field of the present charges re-enter the atomic states."""

from typing import Final, cast

import torch
from torch import Tensor, nn

from charon.model.electrostatics import Coulomb


class FieldStep(nn.Module):
    """`s += MLP(s, q, phi)`, `v += gate(s) E`, so that the next layer's charges answer to the field of the others.

    Through it an atom knows of charges beyond the reach of messages. Without `coulomb` the state stays as it is.
    """

    active: Final[bool]

    def __init__(self, channels: int, coulomb: Coulomb | None) -> None:
        super().__init__()
        self.active = coulomb is not None
        self.per_volt = 0.1  # potentials at ions are some 10 V
        self.coulomb = cast(Coulomb, nn.Identity() if coulomb is None else coulomb)
        if coulomb is not None:
            self.back = nn.Sequential(nn.Linear(channels + 2, channels), nn.SiLU(), nn.Linear(channels, channels))
            self.gate = nn.Linear(channels, channels)

    def forward(self, state: Tensor, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`state` [n_local, ranks, channels], `charges` [n_local] e -> the new state."""
        if not self.active:
            return state
        potential = self.per_volt * self.coulomb.potential(charges, prepared)  # [n_local]
        field = self.per_volt * self.coulomb.field(charges, prepared)  # [n_local, 3]
        scalars = state[:, 0]
        change = self.back(torch.cat([scalars, charges.unsqueeze(1), potential.unsqueeze(1)], dim=1))
        vectors = field.unsqueeze(2) * self.gate(scalars).unsqueeze(1)  # [n_local, 3, channels]
        return torch.cat([(scalars + change).unsqueeze(1), state[:, 1:4] + vectors, state[:, 4:]], dim=1)
