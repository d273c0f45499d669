"""An ion that leaves a cluster takes its charge along: what the shares of the total charge have to be able to learn."""

import numpy as np
import pytest
import torch

from charon.batch import Batch
from charon.model import ModelConfig, Potential
from charon.structure import Structure

from .conftest import batch_of, changed, random_potential

SMALL = {"cutoff": 5.0, "channels": 16, "layers": 2, "l_max": 1}
DISTANCES = (0.0, 1.0, 2.0, 4.0, 6.0)


def sodium_leaves(distance: float, structure: Structure) -> Structure:
    """A Na13Cl12+, a layer of rock salt, with the sodium of one corner moved outwards along the diagonal."""
    places = np.array([[x, y, 0.0] for x in range(5) for y in range(5)])
    numbers = np.where(places.sum(axis=1) % 2 == 0, 11, 17)
    positions = 2.7 * places
    positions[0] -= distance / 2**0.5 * np.array([1.0, 1.0, 0.0])
    return changed(structure, numbers=numbers, positions=positions, total_charge=1, spin_multiplicity=1)


def teach(potential: Potential, batch: Batch, charges: torch.Tensor) -> None:
    """A few hundred steps on charges alone."""
    optimizer = torch.optim.Adam(potential.parameters(), lr=5e-3)
    for _ in range(200):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(potential(*batch.inputs())[1][:, 0], charges)
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("form", ["transfer", "free"])
def test_a_sodium_that_left_keeps_its_charge(structures, form):
    """Taught up to 6 A, asked 30 A from its place: the ion has 1 e of its own, so that the others sum to zero."""
    potential = random_potential(ModelConfig(**SMALL, charge_form=form))
    frames = [sodium_leaves(d, structures["CH2 singlet"]) for d in DISTANCES]
    batch = batch_of(potential, *frames)
    teach(potential, batch, torch.where(torch.cat([torch.tensor(f.numbers) for f in frames]) == 11, 1.0, -1.0).double())
    far = batch_of(potential, sodium_leaves(30.0, structures["CH2 singlet"]))
    with torch.no_grad():
        charges = potential(*far.inputs())[1][:, 0]
    assert float(charges[0]) == pytest.approx(1.0, abs=0.05)
    assert float(charges.sum()) == pytest.approx(1.0, abs=1e-12)
