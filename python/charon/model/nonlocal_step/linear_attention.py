"""The attention of SpookyNet over all atoms of a system (Unke et al. 2021), for comparison.

Its cost is linear by positive random features of queries and keys (FAVOR+, Choromanski et al. 2021). Each atom is told
of every other however far away, and of no image: this form is neither size-consistent nor periodic.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from charon.model.surroundings import Surroundings
from charon.model.system_sums import system_sums

FEATURES = 32


class LinearAttention(nn.Module):
    """Adds `y_i = phi(q_i) . sum_j phi(k_j) v_j / phi(q_i) . sum_j phi(k_j)` to scalars; if not `active`, nothing.

    `phi(x) = exp(W x - |x|^2 / 2)` with orthogonal random rows W. Queries and keys are limited to a length of 2, so
    that the exponent is bounded without a maximum over all atoms, which SpookyNet takes.
    """

    active: Final[bool]
    projection: Tensor

    def __init__(self, channels: int, active: bool) -> None:
        super().__init__()
        self.active = active
        if active:
            self.query = nn.Linear(channels, FEATURES, bias=False)
            self.key = nn.Linear(channels, FEATURES, bias=False)
            self.value = nn.Linear(channels, channels, bias=False)
            rows = torch.linalg.qr(torch.randn(FEATURES, FEATURES))[0] * math.sqrt(FEATURES)
            self.register_buffer("projection", rows)

    def features(self, x: Tensor) -> Tensor:
        """phi, [n, FEATURES]."""
        x = x * (2.0 * torch.rsqrt(4.0 + x.square().sum(1, keepdim=True)))
        return torch.exp(torch.matmul(x, self.projection) - 0.5 * x.square().sum(1, keepdim=True))

    def forward(self, state: Tensor, around: Surroundings) -> Tensor:
        """`state` [n_local, (l_max + 1)^2, channels] -> the new state."""
        if not self.active:
            return state
        scalars, batch = state[:, 0], around.batch
        query, key = self.features(self.query(scalars)), self.features(self.key(scalars))  # [n, FEATURES]
        value = torch.nn.functional.pad(self.value(scalars), [0, 1], value=1.0)  # [n, channels + 1]
        outer = (key.unsqueeze(2) * value.unsqueeze(1)).flatten(1)
        sums = system_sums(outer, batch, around.n_systems).reshape(-1, key.size(1), value.size(1))
        seen = torch.bmm(query.unsqueeze(1), sums.index_select(0, batch)).squeeze(1)  # [n, channels + 1]
        change = seen[:, :-1] / seen[:, -1:]
        return torch.cat([(scalars + change).unsqueeze(1), state[:, 1:]], dim=1)
