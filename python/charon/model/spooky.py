"""Charge and spin as SpookyNet takes them (Unke et al. 2021, eqs. 9-10 and 15), for comparison.

The state is a feature that is shared out over all atoms of the system by an attention over their elements, so that what
one fragment is told depends on what else there is: this form is not size-consistent.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from charon.model.system_sums import system_sums


class ResidualMlp(nn.Module):
    """`x + W2 act(W1 act(x))` and one more linear layer, without biases: 0 stays 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels, channels, bias=False)
        self.second = nn.Linear(channels, channels, bias=False)
        self.out = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels] -> [n, channels]."""
        inner = self.second(torch.nn.functional.silu(self.first(torch.nn.functional.silu(x))))
        return self.out(torch.nn.functional.silu(x + inner))


class ElectronicEmbedding(nn.Module):
    """`e_i = resmlp(a_i v)`, `a_i = P softplus(q_i . k / sqrt(F)) / sum_j softplus(q_j . k / sqrt(F))`.

    P is the total charge or the number of unpaired electrons; k and v depend on its sign.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = 1.0 / math.sqrt(channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Parameter(torch.randn(2, channels))
        self.value = nn.Parameter(torch.randn(2, channels))
        self.mlp = ResidualMlp(channels)

    def forward(self, embedded: Tensor, amount: Tensor, batch: Tensor) -> Tensor:
        """`embedded` [n_local, channels], `amount` [n_systems] -> [n_local, channels]."""
        sign = (amount < 0).to(torch.int64).index_select(0, batch)  # [n_local]
        query = self.query(embedded)
        logits = self.scale * (query * self.key.index_select(0, sign)).sum(1)
        weight = torch.nn.functional.softplus(logits)  # [n_local]
        total = system_sums(weight.unsqueeze(1), batch, amount.size(0)).squeeze(1)
        share = weight * (amount / total).index_select(0, batch)
        return self.mlp(share.unsqueeze(1) * self.value.index_select(0, sign))


class EqualShares(nn.Module):
    """Charges and spins linear in the scalars; what is missing from the totals is shared equally by all atoms."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out = nn.Linear(channels, 2)

    def forward(self, scalars: Tensor, target: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
        """`target` [n_systems, 2] -> (charge, spin) [n_local, 2] and the leftover [n_systems, 2]."""
        free = self.out(scalars)
        ones = torch.ones_like(free[:, :1])
        sums = system_sums(torch.cat([free, ones], dim=1), batch, target.size(0))  # [n_systems, 3]
        leftover = target - sums[:, :2]
        return free + (leftover / sums[:, 2:]).index_select(0, batch), leftover


class StateEmbedding(nn.Module):
    """Adds the embeddings of total charge and spin to those of the elements; `active` False: nothing is added."""

    active: Final[bool]

    def __init__(self, channels: int, active: bool) -> None:
        super().__init__()
        self.active = active
        self.charge = ElectronicEmbedding(channels) if active else nn.Identity()
        self.spin = ElectronicEmbedding(channels) if active else nn.Identity()

    def forward(self, embedded: Tensor, target: Tensor, batch: Tensor) -> Tensor:
        """`embedded` [n_local, channels], `target` [n_systems, 2] -> [n_local, channels]."""
        if self.active:
            return embedded + self.charge(embedded, target[:, 0], batch) + self.spin(embedded, target[:, 1], batch)
        return embedded
