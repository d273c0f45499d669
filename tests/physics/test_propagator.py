"""What is carried through bonds: how far, how strongly, and nothing through vacuum."""

import numpy as np
import pytest
import torch
from ase import Atoms

from charon.model import ModelConfig
from charon.structure import Structure
from tests import molecules

from .conftest import batch_of, random_potential, together

ONLY = ModelConfig(**{"nonlocal": "propagator"}, cutoff=3.5, channels=16, electronic="none", repulsion="none")
LEARNED = ModelConfig(preset="learned", cutoff=3.5, channels=16)
LOCAL = ModelConfig(preset="local", dispersion=None, cutoff=3.5, channels=16)


def cumulene(carbons: int, degrees: float) -> Structure:
    """H2C(=C)n-2=CH2, one end turned about the axis."""
    return Structure.from_atoms(molecules.cumulene(carbons, degrees), source="cumulene")


def turning(config: ModelConfig, carbons: int = 12) -> float:
    """Change of the energy (eV) with random weights when one end is turned from 2 to 88 degrees."""
    potential = random_potential(config)
    energies = potential_energies(potential, cumulene(carbons, 2.0), cumulene(carbons, 88.0))
    return float(energies[1] - energies[0])


def potential_energies(potential, *structures) -> np.ndarray:
    from charon.model import evaluate

    return evaluate(potential, batch_of(potential, *structures)).energy.detach().numpy()


def test_a_far_end_is_felt_through_the_chain_only_by_the_propagator():
    """Ends 14 A apart, messages reach 7 A."""
    assert abs(turning(LEARNED)) > 1e-4
    assert abs(turning(LOCAL)) < 1e-9


def test_orientation_needs_tensors():
    """A thousand times what is allowed to the blind one, by random weights and without charges."""
    assert abs(turning(ONLY)) > 1e-6
    blind = ONLY.model_copy(update={"propagator_ranks": (0,)})
    assert abs(turning(blind)) < 1e-9


@pytest.mark.parametrize("distance", [15.0, 30.0, 500.0])
def test_fragments_without_bonds_do_not_know_of_each_other(structures, distance):
    potential = random_potential(ONLY)
    first, second = structures["C10H2"], cumulene(6, 30.0)
    alone = potential_energies(potential, first, second)
    pair = potential_energies(potential, together(first, second, distance))
    assert float(pair[0]) == pytest.approx(alone.sum(), abs=1e-9)


@pytest.mark.parametrize("system", ["C10H2", "NaCl cell", "Ag slab"])
def test_hops_are_symmetric_and_their_norm_is_below_one(structures, system):
    potential = random_potential(LEARNED)
    batch = batch_of(potential, structures[system])
    n = batch.positions.size(0)
    scalars = torch.randn(n, 16, dtype=torch.float64)
    edges = batch.edge_vector, batch.edge_index
    hops, lists = potential.core.nonlocal_steps[0].propagator.bonds(scalars, batch.types, *edges)
    hops = hops.detach()
    assert hops.size(0) > 0
    center = torch.repeat_interleave(torch.arange(n), (lists[0][1:] - lists[0][:-1]).long())
    for channel in hops.t():
        matrix = torch.zeros(n, n, dtype=torch.float64).index_put((center, lists[1].long()), channel, accumulate=True)
        torch.testing.assert_close(matrix, matrix.t())
        assert float(torch.linalg.matrix_norm(matrix, 2)) < 1.0


def test_many_steps_sum_to_the_green_function(structures):
    """`(1 - eta A) (1 - 2 eta A + eta^2)^-1 b`."""
    potential = random_potential(LEARNED.model_copy(update={"propagator_steps": 64}))
    propagator = potential.core.nonlocal_steps[0].propagator
    batch = batch_of(potential, structures["C10H2"])
    n = batch.positions.size(0)
    scalars, source = torch.randn(n, 16, dtype=torch.float64), torch.randn(n, 3, 8, dtype=torch.float64)
    with torch.no_grad():
        propagator.decay.fill_(0.6).mul_(torch.tensor([1.0, -1.0] * 4))
        hops, lists = propagator.bonds(scalars, batch.types, batch.edge_vector, batch.edge_index)
        found = propagator.response(hops, source, lists, n)
    center = torch.repeat_interleave(torch.arange(n), (lists[0][1:] - lists[0][:-1]).long())
    one = torch.eye(n, dtype=torch.float64)
    for c, eta in enumerate(torch.tanh(propagator.decay.detach())):
        matrix = torch.zeros(n, n, dtype=torch.float64).index_put((center, lists[1].long()), hops[:, c])
        expected = (one - eta * matrix) @ torch.linalg.solve(one - 2 * eta * matrix + eta**2 * one, source[:, :, c])
        torch.testing.assert_close(found[:, :, c], expected)


def test_the_edge_of_a_bond_is_smooth():
    """Third and fourth differences of the energy shrink with the step where a bond of C-C ends (2.2 A)."""
    potential, found = random_potential(ONLY), []
    for points in (201, 401):
        chain = cumulene(6, 40.0)
        energies = []
        for stretch in np.linspace(0.7, 1.1, points):
            moved = chain.positions.copy()
            moved[moved[:, 2] > 3.0, 2] += stretch
            atoms = Atoms(chain.numbers, moved, info={"charge": 0, "spin": 1})
            energies.append(Structure.from_atoms(atoms, source="stretched"))
        values = potential_energies(potential, *energies)
        found.append([np.abs(np.diff(values, order)).max() for order in (3, 4)])
    coarse, fine = np.array(found)
    assert (coarse / fine > 6.0).all()
