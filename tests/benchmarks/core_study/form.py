"""What is built, and what it is given."""

from dataclasses import dataclass

from torch import Tensor

STATES = 12  # charge -1..1 times multiplicity 1..3


@dataclass(frozen=True)
class Form:
    """What is built.

    `core`: painn, D1, D2, D2s (shared filters), D2a (no tensor state), lin (no MLP on invariants), D2c (products of the
    neighbor's vectors and tensors with the direction on each edge).
    """

    core: str = "D2"
    channels: int = 64
    layers: int = 2
    radial: str = "bessel8"  # besselN, warpN, mlp, free
    pairs: bool = False  # radial functions mixed for each pair of elements
    knots: int = 48


@dataclass
class Batch:
    """Atoms of some frames, flat: types [n] (0 pads), neighbor [n, width], state [frames], their number."""

    types: Tensor
    neighbor: Tensor
    state: Tensor
    frames: int
