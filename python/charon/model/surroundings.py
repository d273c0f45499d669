"""What the parts of a model beyond messages know of the atoms' surroundings."""

from typing import NamedTuple

from torch import Tensor


class Surroundings(NamedTuple):
    """Edges, systems and electrostatics of one evaluation; see `Potential.forward` for shapes and units."""

    types: Tensor  # [n_all]
    edge_vector: Tensor  # [n_edges, 3]
    edge_index: Tensor  # [2, n_edges]
    lists: list[Tensor]  # of charon.ops.edge_lists
    positions: Tensor  # [n_local, 3]
    cell: Tensor  # [n_systems, 3, 3]
    pbc: Tensor  # [n_systems, 3]
    batch: Tensor  # [n_local]
    n_systems: int
    prepared: list[Tensor]  # of Coulomb.prepare
