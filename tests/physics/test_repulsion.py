"""Where the repulsion acts: at a reach of 0.75 on atoms that are too close, not on bonds."""

import numpy as np
import pytest
import torch

from charon.model import ModelConfig
from charon.model.repulsion import Repulsion

from .conftest import batch_of, random_potential

BONDS = [("C", "C", 1.20), ("C", "H", 1.06), ("N", "N", 1.10), ("H", "H", 0.74), ("C", "O", 1.13), ("H", "O", 0.96)]
NUMBERS = {"H": 1, "C": 6, "N": 7, "O": 8}


def pair_energy(first: int, second: int, distance: float) -> float:
    """Of two atoms, eV."""
    repulsion = Repulsion([first, second], 0.75)
    edges = torch.tensor([[0.0, 0.0, distance], [0.0, 0.0, -distance]], dtype=torch.float64)
    return float(repulsion(torch.tensor([0, 1]), edges, torch.tensor([[0, 1], [1, 0]]), 2).sum())


@pytest.mark.parametrize(("first", "second", "length"), BONDS)
def test_the_shortest_bonds_are_free_of_it(first, second, length):
    assert pair_energy(NUMBERS[first], NUMBERS[second], length) < 1e-6
    assert pair_energy(NUMBERS[first], NUMBERS[second], 0.5 * length) > 1.0


def test_weights_keep_the_reach_that_they_were_trained_with(structures):
    """Checkpoints of a time when it ended at the sum of the covalent radii go on as they were."""
    config = ModelConfig(cutoff=4.0, channels=8, repulsion_reach=1.0)
    before, after = random_potential(config), random_potential(config.model_copy(update={"repulsion_reach": 0.75}))
    batch = batch_of(before, structures["C10H2"])
    energies = [potential(*batch.inputs())[0].detach().numpy() for potential in (before, after)]
    after.load_state_dict(before.state_dict())
    energies.append(after(*batch.inputs())[0].detach().numpy())
    assert np.abs(energies[1] - energies[0]).max() > 0.01
    np.testing.assert_array_equal(energies[2], energies[0])
