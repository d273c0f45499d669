"""EGNN (Satorras, Hoogeboom, Welling 2021) with a cutoff, for comparison: `model.core: egnn`.

Its messages are a network of both atoms' scalars and of their distance, evaluated on each edge in plain torch. Atoms
carry a displacement, kept in the first channel of the vectors, which moves with the messages.
"""

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.radial import cutoff_envelope
from charon.ops import halo_forward


class EgnnMessage(nn.Module):
    """Equations 3-5: `m_ij = phi_e(h_i, h_j, d_ij^2)`, its sum, and the displacement `sum_j d_ij phi_x(m_ij)`."""

    def __init__(self, config: ModelConfig, mean_neighbors: float) -> None:
        super().__init__()
        channels = config.channels
        self.channels, self.cutoff = channels, config.cutoff
        self.scale = 1.0 / max(mean_neighbors, 1.0) ** 0.5
        self.here, self.there = nn.Linear(channels, channels), nn.Linear(channels, channels, bias=False)
        self.distance = nn.Linear(1, channels, bias=False)
        self.edge = nn.Sequential(nn.SiLU(), nn.Linear(channels, channels), nn.SiLU())
        self.shift = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 1, bias=False))

    def exchange_width(self) -> int:
        """Numbers per atom that the halo exchange carries."""
        return self.channels + 3

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
        center, neighbor = edge_index[0], edge_index[1]
        sent = halo_forward(torch.cat([self.there(state[:, 0]), state[:, 1:, 0]], dim=1), types.size(0))
        received = sent.index_select(0, neighbor)  # [n_edges, channels + 3]
        moved = edge_vector + received[:, self.channels :] - state[:, 1:, 0].index_select(0, center)  # [n_edges, 3]
        squared = (moved * moved).sum(1, keepdim=True) / self.cutoff**2  # [n_edges, 1]
        pair = self.here(state[:, 0]).index_select(0, center) + received[:, : self.channels] + self.distance(squared)
        length = torch.sqrt((edge_vector * edge_vector).sum(1, keepdim=True))
        weight = self.scale * cutoff_envelope(length / self.cutoff)  # [n_edges, 1]
        edge = self.edge(pair)  # [n_edges, channels]
        shift = moved * torch.tanh(self.shift(edge)) * weight / self.cutoff  # [n_edges, 3]
        rows = torch.cat([(edge * weight), shift], dim=1)
        summed = torch.zeros((n, self.channels + 3), dtype=rows.dtype, device=rows.device).index_add(0, center, rows)
        vectors = torch.nn.functional.pad(summed[:, self.channels :].unsqueeze(2), [0, self.channels - 1])
        return torch.cat([summed[:, : self.channels].unsqueeze(1), vectors], dim=1)


class EgnnUpdate(nn.Module):
    """Equation 6: `h_i + phi_h(h_i, m_i)`, and the displaced position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, state: Tensor, message: Tensor, types: Tensor) -> Tensor:
        """`state`, `message` [n, 4, channels] -> new state [n, 4, channels]."""
        scalars = state[:, 0] + self.change(torch.cat([state[:, 0], message[:, 0]], dim=1))
        return torch.cat([scalars.unsqueeze(1), state[:, 1:] + message[:, 1:]], dim=1)
