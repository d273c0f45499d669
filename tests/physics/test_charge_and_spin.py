"""Total charge and spin as constraints: exact sums, limits, and what far fragments may know of each other."""

import numpy as np
import pytest
import torch

from charon.model import Potential
from charon.structure import Structure

from .conftest import changed, has_long_range, random_potential, together

STATES = {"neutral": (0, 1), "cation": (1, 2), "anion": (-1, 2), "triplet": (0, 3), "dication": (2, 1)}


def knows_spin(potential: Potential) -> bool:
    """4G-HDNNP has a total charge only."""
    return potential.config.electronic != "hdnnp4g"


@pytest.mark.parametrize("state", list(STATES))
def test_charges_and_spins_sum_exactly(electronic, predict, structures, state):
    charge, spin = STATES[state]
    molecule = changed(structures["CH2 singlet"], total_charge=charge, spin_multiplicity=spin)
    prediction = predict(electronic, molecule)
    assert float(prediction.charges.sum()) == pytest.approx(charge, abs=1e-12)
    if knows_spin(electronic):
        assert float(prediction.spins.sum()) == pytest.approx(spin - 1, abs=1e-12)


def test_single_precision_sums_to_its_own_accuracy(electronic, structures):
    from charon.batch import collate, make_graph
    from charon.model import evaluate

    single = electronic.to(torch.float32)
    chain = changed(structures["C10H2"], total_charge=1, spin_multiplicity=2)
    batch = collate([make_graph(chain, single.elements, single.cutoff)], torch.float32)
    prediction = evaluate(single, batch)
    assert float(prediction.charges.sum()) == pytest.approx(1.0, abs=5e-6)
    if knows_spin(single):
        assert float(prediction.spins.sum()) == pytest.approx(1.0, abs=5e-6)
    assert prediction.energy.dtype == torch.float64
    assert single.reference_energies.dtype == torch.float64


def test_the_state_changes_energy_and_forces(electronic, predict, structures):
    molecule = structures["CH2 singlet"]
    energies = [
        float(predict(electronic, changed(molecule, total_charge=q, spin_multiplicity=m)).energy[0])
        for q, m in STATES.values()
        if m == 1 or knows_spin(electronic)
    ]
    others = ~np.eye(len(energies), dtype=bool)
    assert np.abs(np.subtract.outer(energies, energies))[others].min() > 1e-4


def test_a_blind_model_cannot_tell_states_apart(predict, structures):
    blind = random_potential("blind")
    cation, anion = (changed(structures["Ag3+"], total_charge=q) for q in (1, -1))
    assert float(predict(blind, cation).energy[0]) == float(predict(blind, anion).energy[0])
    assert float(predict(blind, cation).charges.abs().max()) == 0.0


def test_spins_of_a_closed_shell_vanish(predict, structures):
    prediction = predict(random_potential("tensors"), structures["C10H2"], structures["NaCl cell"])
    assert float(prediction.spins.abs().max()) == 0.0


def test_energy_is_even_in_the_spins(predict, structures):
    """Turning all unpaired electrons over turns all spins over and leaves the energy."""
    from charon.model.derivatives import Derivatives

    from .conftest import batch_of

    potential = random_potential("tensors")
    batch = batch_of(potential, structures["CH2 triplet"])
    up, _ = Derivatives(potential)(*batch.inputs())
    batch.unpaired = -batch.unpaired
    down, _ = Derivatives(potential)(*batch.inputs())
    assert torch.allclose(up[0], down[0], rtol=0, atol=1e-12)
    assert torch.allclose(up[1][:, 1], -down[1][:, 1], rtol=0, atol=1e-12)


def energy_of_interaction(potential: Potential, predict, first: Structure, second: Structure, distance: float) -> float:
    pair = predict(potential, together(first, second, distance))
    return float(pair.energy[0] - predict(potential, first).energy[0] - predict(potential, second).energy[0])


@pytest.mark.parametrize("name", ["blind", "tensors", "vectors"])
@pytest.mark.parametrize("distance", [15.0, 50.0, 500.0])
def test_closed_shell_molecules_far_apart_are_additive(predict, structures, name, distance):
    """Exactly so where charges come from transfers: neutral fragments leave nothing over to share."""
    potential = random_potential(name)
    first, second = structures["CH2 singlet"], structures["C10H2"]
    assert abs(energy_of_interaction(potential, predict, first, second, distance)) < 1e-9


def test_free_charges_couple_far_molecules(predict, structures):
    """The known price of the free form: random weights leave charge over, which all atoms share."""
    potential = random_potential("free charges")
    first, second = structures["CH2 singlet"], structures["C10H2"]
    assert abs(energy_of_interaction(potential, predict, first, second, 50.0)) > 1e-6


def test_isolated_atoms_and_empty_systems(potential, predict, structures):
    atom = changed(
        structures["Ag3+"],
        numbers=np.array([47]),
        positions=np.zeros((1, 3)),
        total_charge=1,
        spin_multiplicity=1,
    )
    far = together(changed(atom, total_charge=0, spin_multiplicity=2), atom, 40.0)
    largest = 1e-2 if has_long_range(potential) else 0.0
    for structure, expected in ((atom, 1e-12), (far, largest)):
        prediction = predict(potential, structure)
        assert torch.isfinite(prediction.energy).all()
        assert float(prediction.forces.abs().max()) <= expected
        if potential.config.electronic != "none":
            assert float(prediction.charges.sum()) == pytest.approx(structure.total_charge, abs=1e-12)


def test_repulsion_wins_at_short_range(potential, predict, structures):
    def dimer(distance: float) -> Structure:
        return changed(
            structures["Ag3+"],
            numbers=np.array([11, 17]),
            positions=np.array([[0.0, 0, 0], [0, 0, distance]]),
            total_charge=0,
        )

    energies = [float(predict(potential, dimer(d)).energy[0]) for d in (0.2, 0.3, 0.4, 0.5)]
    assert all(np.diff(energies) < 0)
    assert energies[0] - energies[-1] > 100.0
