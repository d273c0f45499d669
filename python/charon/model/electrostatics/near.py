"""The part of a periodic sum that is short-ranged: a sum over the edges of the model."""

import torch
from torch import Tensor, nn

from charon.model.electrostatics.open_system import erf_slope
from charon.model.electrostatics.widths import inverse_widths
from charon.model.electrostatics.window import window, window_slope
from charon.ops import halo_forward
from charon.units import COULOMB


class NearPairs(nn.Module):
    """`phi_i = k_e sum_edges q_j [erf(r / (sqrt2 g_ij)) - erf(r / (sqrt2 h_ij))] w(r) / r`.

    g is the width of a pair of charges, h >= g that of the smooth charges which a sum over wave vectors takes instead;
    the plain sum and the mesh take different ones.
    What little is left at the cutoff is brought to zero smoothly by the window w, so that nothing jumps there.
    """

    inverse: Tensor
    smooth: Tensor

    def __init__(self, pair: Tensor, smooth: list[Tensor], cutoff: float) -> None:
        super().__init__()
        self.coulomb, self.cutoff = COULOMB, cutoff
        self.is_empty = all(torch.equal(pair, widths) for widths in smooth)
        self.register_buffer("inverse", inverse_widths(pair))  # [n_elements, n_elements]
        tables = [inverse_widths(widths) for widths in smooth]
        self.register_buffer("smooth", torch.stack(tables))  # [plain sum or mesh, n_elements, n_elements]

    def prepare(
        self,
        types: Tensor,
        edge_index: Tensor,
        edge_vector: Tensor,
        batch: Tensor,
        is_periodic: Tensor,
        on_mesh: Tensor,
    ) -> list[Tensor]:
        """`types` [n_all], edges [2, n_edges] and [n_edges, 3], `batch` [n_local], two flags [n_systems].

        Returns centers, neighbors, vectors, distances and both decays of the edges of periodic systems, and the
        potential [n_edges] of unit charges.
        """
        if self.is_empty:
            edge_index, edge_vector = edge_index[:, :0], edge_vector[:0]
        elif not bool(is_periodic.all()):
            chosen = is_periodic.index_select(0, batch.index_select(0, edge_index[0]))
            edges = torch.nonzero(chosen).squeeze(1)
            edge_index, edge_vector = edge_index.index_select(1, edges), edge_vector.index_select(0, edges)
        center, neighbor = edge_index[0], edge_index[1]
        here, there = types.index_select(0, center), types.index_select(0, neighbor)
        table = on_mesh.to(torch.int64).index_select(0, batch).index_select(0, center)
        inverse, smooth = self.inverse[here, there], self.smooth[table, here, there]  # [n_edges]
        squared = edge_vector.square().sum(1)  # [n_edges]
        distance = squared.sqrt()
        pairs = self.coulomb * (torch.erf(distance * inverse) - torch.erf(distance * smooth)) / distance
        pairs = pairs * window(squared, self.cutoff)
        return [center, neighbor, edge_vector, distance, inverse, smooth, pairs]

    def potential(self, charges: Tensor, n_all: int, prepared: list[Tensor]) -> Tensor:
        """`charges` [n_local] e -> [n_local] V."""
        if self.is_empty:
            return torch.zeros_like(charges)
        sent = halo_forward(charges.unsqueeze(1), n_all).squeeze(1)  # [n_all]
        terms = prepared[6] * sent.index_select(0, prepared[1])
        return torch.zeros_like(charges).index_add(0, prepared[0], terms)

    def field(self, charges: Tensor, n_all: int, prepared: list[Tensor]) -> Tensor:
        """`charges` [n_local] e -> [n_local, 3] V/A."""
        zeros = torch.zeros((charges.size(0), 3), dtype=charges.dtype, device=charges.device)
        if self.is_empty:
            return zeros
        vector, distance = prepared[2], prepared[3]
        sent = halo_forward(charges.unsqueeze(1), n_all).squeeze(1)  # [n_all]
        squared, difference = distance * distance, torch.erf(distance * prepared[4]) - torch.erf(distance * prepared[5])
        slope = erf_slope(distance, prepared[4]) - erf_slope(distance, prepared[5])  # [n_edges]
        slope = (slope * window(squared, self.cutoff) + difference * window_slope(squared, self.cutoff)) / distance
        weight = self.coulomb * slope * sent.index_select(0, prepared[1])
        return zeros.index_add(0, prepared[0], weight.unsqueeze(1) * vector)
