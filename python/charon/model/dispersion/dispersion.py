"""London dispersion: D3 with Becke-Johnson damping, or the two-body part of D4 with the model's charges."""

from typing import Final

import torch
from torch import Tensor, nn

from charon.model.dispersion.config import DispersionConfig
from charon.model.dispersion.kernel import KernelTable
from charon.model.dispersion.near import NearPairs
from charon.model.dispersion.open_system import OpenSystems
from charon.model.dispersion.periodic import PeriodicSystem
from charon.model.dispersion.tables import references
from charon.model.dispersion.weights import CoordinationNumber, ReferenceWeights, warn_of_long_bonds


class Dispersion(nn.Module):
    """`E = -1/2 sum_ij C6_ij [s6 / (r^6 + R^6) + 3 s8 sqrt(Q_i Q_j) / (r^8 + R^8)]`, over all atoms and images.

    `C6_ij = sum_ab W_ia C6_ab W_jb` of the reference atoms that i and j resemble. Open systems are summed over all
    pairs; periodic ones over edges and wave vectors, slabs and wires with vacuum around them. Coordination numbers
    are counted within the model's cutoff. `exchange_width` numbers per atom are exchanged between domains.

    Raises:
        ValueError: an element without reference atoms.
    """

    exchange_width: Final[int]
    channel_element: Tensor
    channel_reference: Tensor

    def __init__(self, elements: list[int], cutoff: float, config: DispersionConfig) -> None:
        super().__init__()
        table = references(config.kind, elements, config.functional)
        c6 = torch.from_numpy(table.c6)  # [n_elements, n, n_elements, n]
        element, reference = torch.nonzero(torch.from_numpy(table.mask), as_tuple=True)  # [n_channels]
        self.register_buffer("channel_element", element)
        self.register_buffer("channel_reference", reference)
        channels = c6[element, reference][:, element, reference]  # [n_channels, n_channels]
        self.exchange_width = c6.size(1)
        self.coordination = CoordinationNumber(config.kind, table, cutoff)
        warn_of_long_bonds(elements, self.coordination.radius, cutoff)
        self.weights = ReferenceWeights(config.kind, table)
        self.kernel = KernelTable(config.kind, config.functional, config.trainable, table, cutoff)
        self.near = NearPairs(c6.flatten(2), cutoff)
        self.open = OpenSystems(channels)
        mesh_above = {"auto": config.mesh_above, "ewald": -1, "mesh": 0}[config.method]
        self.periodic = PeriodicSystem(channels, element, cutoff, mesh_above)

    def forward(
        self,
        types: Tensor,
        edge_index: Tensor,
        edge_vector: Tensor,
        positions: Tensor,
        cell: Tensor,
        pbc: Tensor,
        batch: Tensor,
        charges: Tensor,
    ) -> Tensor:
        """Energies [n_local] eV; the arguments are those of `Potential.forward`, and `charges` [n_local] e."""
        n_local = positions.size(0)
        own = types[:n_local]
        square = edge_vector.square().sum(1)  # [n_edges]
        here, there = types.index_select(0, edge_index[0]), types.index_select(0, edge_index[1])
        coordination = self.coordination(here, there, edge_index[0], square.sqrt(), n_local)
        weights = self.weights(own, coordination, charges)  # [n_local, n]
        channels = weights.index_select(1, self.channel_reference)  # [n_local, n_channels]
        channels = channels * (own.unsqueeze(1) == self.channel_element).to(weights.dtype)
        is_periodic = pbc.any(dim=1)  # [n_systems]
        table, pair = self.kernel(), self.kernel.pair
        energy = torch.zeros_like(positions[:, 0])
        if not bool(is_periodic.all()):
            energy = energy + self.open(table, pair, own, positions, channels, batch, ~is_periodic)
        if bool(is_periodic.any()):
            energy = energy + self.inside(table, types, edge_index, square, weights, batch, is_periodic)
            systems: list[int] = torch.nonzero(is_periodic).squeeze(1).tolist()
            for system in systems:
                rows = torch.nonzero(batch == system).squeeze(1)
                places, there = positions.index_select(0, rows), own.index_select(0, rows)
                part = channels.index_select(0, rows)
                found = self.periodic(table, pair, there, places, part, cell[system], pbc[system])
                energy = energy.index_add(0, rows, found)
        return energy

    def inside(
        self,
        table: Tensor,
        types: Tensor,
        edge_index: Tensor,
        square: Tensor,
        weights: Tensor,
        batch: Tensor,
        is_periodic: Tensor,
    ) -> Tensor:
        """Energies [n_local] of the edges of periodic systems."""
        if not bool(is_periodic.all()):
            chosen = is_periodic.index_select(0, batch.index_select(0, edge_index[0]))
            edges = torch.nonzero(chosen).squeeze(1)
            edge_index, square = edge_index.index_select(1, edges), square.index_select(0, edges)
        return self.near(table, self.kernel.pair, types, edge_index, square, weights)
