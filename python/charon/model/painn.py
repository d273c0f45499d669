"""PaiNN (Schütt, Unke, Gastegger 2021) from the parts of this model, for comparison: `model.core: painn`."""

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.radial import RadialTable
from charon.model.update import ChannelMix
from charon.ops import halo_forward, message


class PainnMessage(nn.Module):
    """Equations 7 and 8: `sum_j phi(s_j) w(r)` for scalars, and `v_j phi w + phi w u` for vectors.

    The products of an atom's own scalars and vectors are formed before they are sent.
    """

    def __init__(self, config: ModelConfig, mean_neighbors: float) -> None:
        super().__init__()
        self.channels = config.channels
        self.scale = 1.0 / max(mean_neighbors, 1.0) ** 0.5
        self.hidden = nn.Linear(config.channels, config.channels)
        self.out = nn.Linear(config.channels, 3 * config.channels)
        self.table = RadialTable(config.radial_functions, config.cutoff, config.knots, 3, config.channels)

    def exchange_width(self) -> int:
        """Numbers per atom that the halo exchange carries."""
        return 5 * self.channels

    def forward(
        self,
        state: Tensor,
        embedding: Tensor,
        types: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
    ) -> Tensor:
        """Summed messages [n_local, 4, channels]; arguments as of `Message.forward`."""
        n = state.size(0)
        phi = self.out(torch.nn.functional.silu(self.hidden(state[:, 0]))).reshape(n, 3, self.channels)
        sent = halo_forward(torch.cat([phi[:, :2], phi[:, 2:] * state[:, 1:]], dim=1), types.size(0))
        table = self.table() * self.scale
        return message(sent, table, edge_vector, edge_index, lists, n, 1, False, self.table.spacing)


class PainnUpdate(nn.Module):
    """Equations 9 and 10, after the messages have been added: `U v`, `V v`, and gates from `s` and `|V v|`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.mix_u, self.mix_v = ChannelMix(channels, channels), ChannelMix(channels, channels)
        self.hidden, self.out = nn.Linear(2 * channels, channels), nn.Linear(channels, 3 * channels)

    def forward(self, state: Tensor, message: Tensor, types: Tensor) -> Tensor:
        """`state`, `message` [n, 4, channels] -> new state [n, 4, channels]."""
        state = state + message
        u, v = self.mix_u(state[:, 1:]), self.mix_v(state[:, 1:])  # [n, 3, channels]
        norm = torch.sqrt((v * v).sum(1) + 1e-8)  # [n, channels]
        gates = self.out(torch.nn.functional.silu(self.hidden(torch.cat([state[:, 0], norm], dim=1))))
        gates = gates.reshape(state.size(0), 3, self.channels)
        scalars = state[:, 0] + gates[:, 0] + gates[:, 1] * (u * v).sum(1)
        return torch.cat([scalars.unsqueeze(1), state[:, 1:] + gates[:, 2:] * u], dim=1)
