"""Messages between atoms: summed directions and summed neighbor states.

Nothing but products channel by channel happens on an edge; see `update.py` for the products of irreps, once per
atom (the factorisation of NEMP, Zhang and Guo 2025).
"""

from typing import Final

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.radial import RadialTable
from charon.ops import halo_forward, message


class Message(nn.Module):
    """For each rank l the sum over neighbors `sum_j w_l(r) h_l(j) u^l + w'_l(r) x_l(j)`; see `charon.ops.message`.

    States are `[n, 1 + 3 (+ 5), channels]`: scalars, vectors and, for `l_max` 2, tensors. `first` marks the layer
    whose neighbors have no vectors and tensors yet.
    """

    first: Final[bool]

    def __init__(self, config: ModelConfig, mean_neighbors: float, first: bool) -> None:
        super().__init__()
        self.channels, self.l_max, self.first = config.channels, config.l_max, first
        self.rows = config.l_max + 1
        filters = config.l_max + 1 if first else 2 * config.l_max + 1
        self.scale = 2.5 / max(mean_neighbors, 1.0) ** 0.5
        self.source = nn.Linear(config.channels, self.rows * config.channels)
        self.table = RadialTable(config.radial_functions, config.cutoff, config.knots, filters, config.channels)

    def exchange_width(self) -> int:
        """Numbers per atom that the halo exchange carries."""
        return 0 if self.first else (self.rows + (3 if self.l_max == 1 else 8)) * self.channels

    def sent(self, state: Tensor, embedding: Tensor, types: Tensor) -> Tensor:
        """What each atom sends, `[n_all, rows, channels]`; the first layer knows the ghosts' elements already."""
        if self.first:
            of_elements = self.source(embedding).reshape(embedding.size(0), self.rows, self.channels)
            return of_elements.index_select(0, types)
        own = self.source(state[:, 0]).reshape(state.size(0), self.rows, self.channels)
        return halo_forward(torch.cat([own, state[:, 1:]], dim=1), types.size(0))

    def forward(
        self,
        state: Tensor,
        embedding: Tensor,
        types: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
    ) -> Tensor:
        """Summed messages [n_local, ranks, channels].

        `state` [n_local, ranks, channels], `embedding` [n_elements, channels], `types` [n_all], `edge_vector` [n_edges,
        3] A, `edge_index` [2, n_edges] and its `lists`.
        """
        return message(
            self.sent(state, embedding, types),
            self.table() * self.scale,
            edge_vector,
            edge_index,
            lists,
            state.size(0),
            self.l_max,
            self.first,
            self.table.spacing,
        )
