"""What must not change the energy, and how forces, charges and dipoles turn with the system."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from .conftest import changed

TOLERANCE = 1e-9
SYSTEMS = ["CH2 singlet", "CH2 triplet", "Ag3+", "C10H2", "NaCl cell", "Ag slab"]


def same(found, expected) -> bool:
    return np.allclose(found.detach().numpy(), np.asarray(expected), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("system", SYSTEMS)
def test_rotation(potential, predict, structures, system):
    structure = structures[system]
    turn = Rotation.random(rng=4).as_matrix()
    before = predict(potential, structure)
    after = predict(potential, changed(structure, positions=structure.positions @ turn.T, cell=structure.cell @ turn.T))
    assert same(after.energy, before.energy.detach())
    assert same(after.forces, before.forces.detach().numpy() @ turn.T)
    assert same(after.stress, turn @ before.stress.detach().numpy() @ turn.T)
    assert same(after.charges, before.charges.detach())
    assert same(after.spins, before.spins.detach())
    assert same(after.dipole, before.dipole.detach().numpy() @ turn.T)


@pytest.mark.parametrize("system", SYSTEMS)
def test_inversion(potential, predict, structures, system):
    structure = structures[system]
    before = predict(potential, structure)
    after = predict(potential, changed(structure, positions=-structure.positions, cell=-structure.cell))
    assert same(after.energy, before.energy.detach())
    assert same(after.forces, -before.forces.detach())


@pytest.mark.parametrize("system", SYSTEMS)
def test_translation(potential, predict, structures, system):
    structure = structures[system]
    before = predict(potential, structure)
    moved = changed(structure, positions=structure.positions + np.array([12.3, -4.5, 0.7]))
    after = predict(potential, moved)
    assert same(after.energy, before.energy.detach())
    assert same(after.forces, before.forces.detach())
    assert same(after.dipole, before.dipole)


@pytest.mark.parametrize("system", SYSTEMS)
def test_permutation(potential, predict, structures, system):
    structure = structures[system]
    order = np.random.default_rng(2).permutation(structure.n_atoms)
    before = predict(potential, structure)
    after = predict(
        potential, changed(structure, numbers=structure.numbers[order], positions=structure.positions[order])
    )
    assert same(after.energy, before.energy.detach())
    assert same(after.forces, before.forces.detach()[order])
    assert same(after.charges, before.charges.detach()[order])
    assert same(after.spins, before.spins.detach()[order])


def test_batch_equals_single(potential, predict, structures):
    chosen = [structures[name] for name in SYSTEMS]
    batch = predict(potential, *chosen)
    first = 0
    for k, structure in enumerate(chosen):
        alone = predict(potential, structure)
        rows = slice(first, first + structure.n_atoms)
        first += structure.n_atoms
        assert same(batch.energy[k], alone.energy.detach()[0])
        assert same(batch.forces[rows], alone.forces.detach())
        assert same(batch.stress[k], alone.stress.detach()[0])
        assert same(batch.charges[rows], alone.charges.detach())
        assert same(batch.spins[rows], alone.spins.detach())
        assert same(batch.dipole[k], alone.dipole.detach()[0])


def test_periodic_images(potential, predict, structures):
    structure = structures["NaCl cell"]
    images = np.random.default_rng(6).integers(-2, 3, size=(structure.n_atoms, 3))
    before = predict(potential, structure)
    after = predict(potential, changed(structure, positions=structure.positions + images @ structure.cell))
    assert same(after.energy, before.energy.detach())
    assert same(after.forces, before.forces.detach())
    assert same(after.stress, before.stress.detach())


@pytest.mark.parametrize(("charge", "spin"), [(0, 1), (1, 2), (-1, 2), (0, 3)])
def test_supercell(potential, predict, structures, charge, spin):
    """A doubled cell with twice the charge and twice the unpaired electrons has twice the energy."""
    one = changed(structures["NaCl cell"], total_charge=charge, spin_multiplicity=spin)
    two = changed(
        one,
        numbers=np.concatenate([one.numbers] * 2),
        positions=np.concatenate([one.positions, one.positions + one.cell[1]]),
        cell=one.cell * np.array([[1.0], [2.0], [1.0]]),
        total_charge=2 * charge,
        spin_multiplicity=2 * (spin - 1) + 1,
    )
    small, large = predict(potential, one), predict(potential, two)
    assert same(large.energy, 2 * small.energy.detach())
    assert same(large.charges, np.tile(small.charges.detach(), 2))
    assert same(large.spins, np.tile(small.spins.detach(), 2))
    assert same(large.stress, small.stress.detach())
    assert same(large.forces, np.tile(small.forces.detach(), (2, 1)))


def test_any_choice_of_cell_vectors(potential, predict, structures):
    structure = structures["NaCl cell"]
    skewed = np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ structure.cell
    before, after = predict(potential, structure), predict(potential, changed(structure, cell=skewed))
    assert same(after.energy, before.energy.detach())
    assert same(after.stress, before.stress.detach())
