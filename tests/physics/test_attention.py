"""Attention through space: one kernel for molecules and crystals, a finite reach; and SpookyNet's, without either."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from charon.model import ModelConfig, evaluate
from charon.model.nonlocal_step.compact_kernel import LARGEST, CompactKernel
from charon.structure import Structure

from .conftest import batch_of, random_potential, together

ATTENTION = ModelConfig(**{"nonlocal": "attention"}, cutoff=4.0, channels=8, electronic="none")
SPOOKY = ModelConfig(**{"nonlocal": "spooky"}, cutoff=4.0, channels=8, electronic="none")
REACH = max(ATTENTION.attention_reaches)


def structure_of(atoms: Atoms) -> Structure:
    atoms.info.update(charge=0, spin=1)
    return Structure.from_atoms(atoms, source="test")


def energy(potential, *atoms: Atoms) -> np.ndarray:
    return evaluate(potential, batch_of(potential, *map(structure_of, atoms))).energy.detach().numpy()


def pair(distance: float) -> Atoms:
    """Two molecules of chloromethane, shifted by so much."""
    first, second = molecule("CH3Cl"), molecule("CH3Cl")
    second.rotate(70, "x")
    second.positions += [distance, 0.3, 0.0]
    return first + second


def test_transform_of_the_kernel():
    """Against a plain quadrature in space, for every head."""
    kernel = CompactKernel((4.0, 9.0)).double()
    r = torch.linspace(0.0, 9.0, 40001, dtype=torch.float64)
    for head, reach in enumerate(kernel.reaches):
        k = torch.linspace(0.0, 0.85 * LARGEST / reach, 50, dtype=torch.float64)
        radial = 4.0 * np.pi * r**2 * torch.sinc(k.unsqueeze(1) * r / np.pi) * kernel.in_space(r**2, head)
        expected = torch.trapezoid(radial, r, dim=1)
        torch.testing.assert_close(kernel.in_waves(k**2, head), expected, atol=1e-8 * float(expected[0]), rtol=0)


def test_a_large_box_is_the_open_limit():
    """Both backends share all parameters; what is left is the end of the sum over wave vectors."""
    potential, open_pair = random_potential(ATTENTION), pair(6.5)
    box = open_pair.copy()
    box.set_cell([[38.0, 1.0, 0.0], [0.0, 41.0, 2.0], [-1.0, 0.0, 39.0]])
    box.pbc = True
    alone, together_, boxed = (float(energy(potential, a)[0]) for a in (molecule("CH3Cl"), open_pair, box))
    effect = together_ - 2 * alone
    assert abs(effect) > 1e-2
    assert boxed == pytest.approx(together_, abs=5e-4 * abs(effect))


def test_the_mesh_equals_the_plain_sum():
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    atoms.rattle(0.1, seed=2)
    predictions = []
    for above in (10000, 0):
        potential = random_potential(ATTENTION.model_copy(update={"attention_mesh_above": above}))
        predictions.append(evaluate(potential, batch_of(potential, structure_of(atoms))))
    plain, mesh = predictions
    assert float(mesh.energy) == pytest.approx(float(plain.energy), abs=1e-4)
    scale = float(plain.forces.square().mean().sqrt())
    assert float((mesh.forces - plain.forces).square().mean().sqrt()) < 1e-3 * scale


def test_nothing_is_felt_beyond_the_reach(structures):
    """Exactly additive there, unlike kernels with a tail, and coupled within."""
    potential = random_potential(ATTENTION)
    first, second = structures["C10H2"], structures["CH2 singlet"]
    sum_of_both = energies_of(potential, first).sum() + energies_of(potential, second).sum()
    for distance in (REACH + 0.1, 30.0, 500.0):
        assert energies_of(potential, together(first, second, distance))[0] == pytest.approx(sum_of_both, abs=1e-9)
    within = energy(potential, pair(7.5))[0] - 2 * energy(potential, molecule("CH3Cl"))[0]
    assert abs(within) > 1e-3


def test_the_attention_of_spookynet_is_not_size_consistent(structures):
    """What README and its docstring say of it: 500 A apart, energies are not a sum."""
    potential = random_potential(SPOOKY)
    first, second = structures["C10H2"], structures["CH2 singlet"]
    sum_of_both = energies_of(potential, first).sum() + energies_of(potential, second).sum()
    assert abs(energies_of(potential, together(first, second, 500.0))[0] - sum_of_both) > 1e-2


def test_forces_of_the_attention_of_spookynet(structures):
    """By central differences along a random direction."""
    potential, atoms = random_potential(SPOOKY), molecule("CH3Cl")
    forces = evaluate(potential, batch_of(potential, structure_of(atoms))).forces.numpy()
    direction = np.random.default_rng(4).normal(size=forces.shape)
    h, moved = 1e-5, []
    for step in (h, -h):
        shifted = atoms.copy()
        shifted.positions += step * direction
        moved.append(energy(potential, shifted)[0])
    assert (moved[0] - moved[1]) / (2 * h) == pytest.approx(-float((forces * direction).sum()), rel=1e-6)


def energies_of(potential, *structures: Structure) -> np.ndarray:
    return evaluate(potential, batch_of(potential, *structures)).energy.detach().numpy()


def test_names_and_lists():
    for given, expected in (("none", ()), ("attention", ("attention",)), (["propagator", "spooky"], None)):
        found = ModelConfig(**{"nonlocal": given}).nonlocal_
        assert found == (tuple(given) if expected is None else expected)
    with pytest.raises(ValueError, match="nonlocal"):
        ModelConfig(**{"nonlocal": "telepathy"})
