"""Messages between atoms: summed directions and summed neighbor states.

Nothing but products channel by channel happens on an edge; see `update.py` for the products of irreps, once per
atom (the factorisation of NEMP, Zhang and Guo 2025).
"""

from typing import Final

import torch
from torch import Tensor, nn

from charon.ops import halo_forward


class Message(nn.Module):
    """For each rank l the sum over neighbors `sum_j w_l(r) h_l(j) u^l + w'_l(r) x_l(j)`.

    States are `[n, 1 + 3 (+ 5), channels]`: scalars, vectors and, for `l_max` 2, tensors. `first` marks the layer
    whose neighbors have no vectors and tensors yet.
    """

    first: Final[bool]
    l_max: Final[int]

    def __init__(self, channels: int, l_max: int, radial_functions: int, mean_neighbors: float, first: bool) -> None:
        super().__init__()
        self.channels, self.l_max, self.first = channels, l_max, first
        self.n_directional = l_max + 1
        self.n_filters = l_max + 1 if first else 2 * l_max + 1
        self.scale = 2.5 / max(mean_neighbors, 1.0) ** 0.5
        self.source = nn.Linear(channels, self.n_directional * channels)
        self.filters = nn.Linear(radial_functions, self.n_filters * channels, bias=False)

    def exchange_width(self) -> int:
        """Numbers per atom that the halo exchange carries."""
        return 0 if self.first else (self.n_directional + (3 if self.l_max == 1 else 8)) * self.channels

    def sent(self, state: Tensor, embedded: Tensor) -> Tensor:
        """What each atom sends, `[n_all, rows, channels]`; the first layer knows the ghosts' elements already."""
        if self.first:
            return self.source(embedded).reshape(embedded.size(0), self.n_directional, self.channels)
        own = self.source(state[:, 0]).reshape(state.size(0), self.n_directional, self.channels)
        return halo_forward(torch.cat([own, state[:, 1:]], dim=1), embedded.size(0))

    def forward(
        self,
        state: Tensor,
        embedded: Tensor,
        radial: Tensor,
        direction: Tensor,
        center: Tensor,
        neighbor: Tensor,
    ) -> Tensor:
        """Summed messages [n_local, ranks, channels].

        `state` [n_local, ranks, channels], `embedded` [n_all, channels], `radial` [n_edges, functions], `direction`
        [n_edges, 3 or 8], `center` and `neighbor` [n_edges].
        """
        received = self.sent(state, embedded).index_select(0, neighbor)  # [n_edges, rows, channels]
        weight = self.filters(radial).reshape(radial.size(0), self.n_filters, self.channels)
        directional = weight[:, : self.n_directional] * received[:, : self.n_directional]
        vectors = direction[:, :3].unsqueeze(2) * directional[:, 1:2]  # [n_edges, 3, channels]
        if not self.first:
            first_row = self.n_directional
            vectors = vectors + weight[:, first_row : first_row + 1] * received[:, first_row : first_row + 3]
        parts = [directional[:, :1], vectors]
        if self.l_max == 2:
            tensors = direction[:, 3:].unsqueeze(2) * directional[:, 2:3]  # [n_edges, 5, channels]
            if not self.first:
                tensors = tensors + weight[:, 4:5] * received[:, 6:11]
            parts.append(tensors)
        return torch.zeros_like(state).index_add(0, center, torch.cat(parts, dim=1)) * self.scale
