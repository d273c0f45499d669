"""Which of two far fragments is the ion: not known from single molecules, learned from far pairs of them."""

import numpy as np
import torch

from charon.model import ModelConfig
from charon.structure import Structure
from charon.train.far_pairs import far_pairs, joined
from tests.molecules import bent

from .conftest import batch_of, changed, random_potential
from .test_far_ions import teach

SMALL = {"cutoff": 5.0, "channels": 16, "layers": 2, "l_max": 1}


def methylene(structure: Structure, charge: int, degrees: float) -> Structure:
    """CH2 of that angle, as an ion with its charge on carbon; the energy is that of the charge alone."""
    positions = bent("C", "H", 1.1, degrees).positions
    labels = {"energy": np.array(10.0 * charge), "charges": np.array([charge, 0.0, 0.0])}
    state = {"total_charge": charge, "spin_multiplicity": 1 + charge, "labels": labels}
    return changed(structure, numbers=np.array([6, 1, 1]), positions=positions, **state)


def charge_of_the_neutral_one(structure: Structure, frames: list[Structure]) -> float:
    """Of a model taught on the charges of these frames, asked for a pair of angles between those of training."""
    potential = random_potential(ModelConfig(**SMALL))
    labels = np.concatenate([frame.labels["charges"] for frame in frames])
    teach(potential, batch_of(potential, *frames), torch.from_numpy(labels))
    pair = joined(methylene(structure, 1, 134.0), methylene(structure, 0, 103.0))
    with torch.no_grad():
        return float(potential(*batch_of(potential, pair).inputs())[1][3:, 0].abs().sum())


def test_pairs_teach_which_fragment_holds_the_charge(structures):
    angles = [(1, degrees) for degrees in (130.0, 133.0, 136.0)] + [(0, degrees) for degrees in (99.0, 102.0, 105.0)]
    frames = [methylene(structures["CH2 singlet"], *state) for state in angles]
    assert charge_of_the_neutral_one(structures["CH2 singlet"], frames) > 0.2
    pairs = far_pairs(frames, 1.0, seed=0)
    assert charge_of_the_neutral_one(structures["CH2 singlet"], frames + pairs) < 0.05
