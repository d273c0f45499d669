"""What the parts of a model that solve for charges know of the atoms' surroundings."""

from typing import NamedTuple

from torch import Tensor


class Surroundings(NamedTuple):
    """Edges, systems and electrostatics of one evaluation; see `Potential.forward` for shapes and units."""

    types: Tensor  # [n_all]
    edge_vector: Tensor  # [n_edges, 3]
    edge_index: Tensor  # [2, n_edges]
    lists: list[Tensor]  # of charon.ops.edge_lists
    batch: Tensor  # [n_local]
    n_systems: int
    prepared: list[Tensor]  # of Coulomb.prepare
