"""Random potentials of every kind, in float64, for tests of what must hold whatever the weights are."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from charon.batch import Batch, collate, make_graph
from charon.model import ModelConfig, Potential, Prediction, Statistics, build_potential, evaluate
from charon.structure import Structure

ELEMENTS = [1, 6, 11, 17, 47]
MODELS = {
    "tensors": ModelConfig(cutoff=4.0, channels=8, layers=2),
    "vectors": ModelConfig(cutoff=4.0, channels=8, layers=3, l_max=1),
    "free charges": ModelConfig(cutoff=4.0, channels=8, layers=2, charge_form="free", state_channels=3),
    "blind": ModelConfig(cutoff=4.0, channels=8, layers=2, electronic="none", repulsion="zbl", repulsion_reach=0.75),
    "painn": ModelConfig(cutoff=4.0, channels=8, layers=2, core="painn"),
    "egnn": ModelConfig(cutoff=4.0, channels=8, layers=2, core="egnn"),
    "local": ModelConfig(preset="local", cutoff=5.0, channels=8, l_max=1),
    "nse": ModelConfig(preset="nse", cutoff=5.0, channels=8, l_max=1),
    "qeq": ModelConfig(preset="qeq", cutoff=5.0, channels=8, l_max=1),
    "hdnnp4g": ModelConfig(preset="hdnnp4g", cutoff=5.0, channels=8, l_max=1),
    "spooky": ModelConfig(preset="spooky", cutoff=5.0, channels=8, l_max=1),
    "learned": ModelConfig(preset="learned", cutoff=4.0, channels=8),
    "full": ModelConfig(preset="full", cutoff=5.0, channels=8, l_max=1),
    "attention": ModelConfig(**{"nonlocal": ["propagator", "attention"]}, cutoff=4.0, channels=8, l_max=1),
}


def random_potential(kind: str | ModelConfig) -> Potential:
    """The named or described potential with random weights, float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(7)
        statistics = Statistics((-13.0, -50.0, -120.0, -125.0, -95.0), 12.0, electronegativity=-4.0)
        return build_potential(MODELS[kind] if isinstance(kind, str) else kind, ELEMENTS, statistics)
    finally:
        torch.set_default_dtype(before)


def has_long_range(potential: Potential) -> bool:
    """Whether atoms out of the reach of messages still attract or repel each other."""
    config = potential.config
    return config.electrostatics is not None or config.dispersion is not None or "attention" in config.nonlocal_


@pytest.fixture(params=list(MODELS))
def potential(request: pytest.FixtureRequest) -> Potential:
    """Each kind of potential in turn."""
    return random_potential(request.param)


@pytest.fixture(params=[name for name, config in MODELS.items() if config.electronic != "none"])
def electronic(request: pytest.FixtureRequest) -> Potential:
    """Each kind of potential that sees total charge and spin."""
    return random_potential(request.param)


def batch_of(potential: Potential, *structures: Structure) -> Batch:
    """The structures side by side, float64."""
    return collate([make_graph(s, potential.elements, potential.cutoff) for s in structures], torch.float64)


@pytest.fixture
def predict() -> Callable[..., Prediction]:
    """Evaluates structures with a potential."""
    return lambda potential, *structures: evaluate(potential, batch_of(potential, *structures))


def changed(structure: Structure, **fields: object) -> Structure:
    """The structure with other fields, without labels."""
    return Structure(**{**vars(structure), "labels": {}, **fields})


def together(first: Structure, second: Structure, distance: float) -> Structure:
    """Two molecules in one system, the second shifted along x by `distance` (A)."""
    shift = np.array([distance, 0.0, 0.0])
    return changed(
        first,
        numbers=np.concatenate([first.numbers, second.numbers]),
        positions=np.concatenate([first.positions, second.positions + shift]),
        total_charge=first.total_charge + second.total_charge,
        spin_multiplicity=first.unpaired + second.unpaired + 1,
    )
