"""Forces, strain derivatives, potentials and fields of charges are derivatives of one energy, smooth in the cell."""

import numpy as np
import pytest
import torch
from ase import Atoms

from charon.model.electrostatics.grid_sizes import blended_sizes

from .electrostatics import CUTOFF, deformed, energy, evaluate, ions, moved, potential, problem

STEP = 1e-3
OPEN, BULK, SLAB = (False, False, False), (True, True, True), (True, False, True)
CASES = {
    "open": (OPEN, {}),
    "ewald": (BULK, {"method": "ewald"}),
    "ewald of points": (BULK, {"method": "ewald", "widths": 0.0}),
    "mesh": (BULK, {"method": "mesh"}),
    "mesh of points": (BULK, {"method": "mesh", "widths": 0.0}),
    "slab": (SLAB, {"method": "ewald"}),
    "slab on a mesh": (SLAB, {"method": "mesh", "mesh_spacing": 1.2}),
}


@pytest.fixture(params=[(name, charge) for name in CASES for charge in (0.0, 1.3)], ids=lambda p: f"{p[0]} {p[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Atoms, dict]:
    """Ions and how to sum their electrostatics, neutral and charged."""
    name, charge = request.param
    pbc, options = CASES[name]
    return ions(pbc=pbc, charge=charge), options


def slope(function) -> float:
    """Central difference of sixth order at zero."""
    e = [function(k * STEP) - function(-k * STEP) for k in (1, 2, 3)]
    return (45 * e[0] - 9 * e[1] + e[2]) / (60 * STEP)


def test_forces(case):
    atoms, options = case
    direction = np.random.default_rng(1).normal(size=(len(atoms), 3))
    found = evaluate(atoms, **options)
    expected = slope(lambda h: energy(moved(atoms, h * direction), **options))
    assert -(found.forces * direction).sum() == pytest.approx(
        expected, abs=1e-7 * np.abs(found.forces * direction).sum()
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_strain_derivatives(case, seed):
    atoms, options = case
    strain = np.random.default_rng(seed).normal(size=(3, 3))
    strain = (strain + strain.T) / 2
    found = evaluate(atoms, **options)
    expected = slope(lambda h: energy(deformed(atoms, h * strain), **options))
    assert (found.strain[0] * strain).sum() == pytest.approx(expected, abs=1e-7 * np.abs(found.strain * strain).sum())


def test_the_potential_is_the_derivative_with_respect_to_the_charge(case):
    """The energy is a quadratic form: one difference is exact, and the potential's matrix is symmetric."""
    atoms, options = case
    found = evaluate(atoms, **options)
    for atom in (0, 8, 9):
        energies = []
        for step in (0.5, -0.5):
            other = atoms.copy()
            other.arrays["q"][atom] += step
            energies.append(energy(other, **options))
        assert found.potential[atom] == pytest.approx(energies[0] - energies[1], abs=1e-9)


def test_the_field_is_minus_the_gradient_of_the_potential(case):
    """A charge too small to count is moved: all others stay as they are."""
    atoms, options = case
    atoms.arrays["q"][2] = 0.0
    direction = np.array([0.3, -0.7, 0.5])
    step = np.zeros((len(atoms), 3))
    step[2] = direction
    field = evaluate(atoms, **options).field[2]
    tolerance = 1e-5 if atoms.pbc.sum() == 2 else 1e-7  # the vacuum of a slab changes with it, as do its images
    expected = slope(lambda h: potential(moved(atoms, h * step), **options)[2])
    assert -(field @ direction) == pytest.approx(expected, abs=tolerance * np.abs(field).sum())


def test_forces_are_charges_times_fields():
    """Where the sum is exact: all of the energy is in pairs."""
    for pbc in (OPEN, BULK):
        found = evaluate(atoms := ions(pbc=pbc, charge=0.4), method="ewald")
        assert found.forces == pytest.approx(atoms.arrays["q"][:, None] * found.field, abs=1e-9)


@pytest.mark.parametrize("name", list(CASES))
def test_second_derivatives(name):
    """The gradient of a function of forces and fields, as training needs it, by differences of that function."""
    pbc, options = CASES[name]
    coulomb, batch, start = problem(ions(pbc=pbc, charge=0.4), torch.float64, CUTOFF, None, options)
    center, neighbor = batch.edge_index

    def loss(charges: torch.Tensor, shift: torch.Tensor, create_graph: bool) -> torch.Tensor:
        positions = batch.positions + shift
        edges = batch.edge_vector + shift[neighbor] - shift[center]
        cell = batch.cell.clone().requires_grad_()
        prepared = coulomb.prepare(batch.types, batch.edge_index, edges, positions, cell, batch.pbc, batch.batch)
        energy = (charges * coulomb.potential(charges, prepared)).sum()
        energy = energy + coulomb.field(charges, prepared).square().sum()
        wanted = [edges, positions, cell]
        found = torch.autograd.grad(energy, wanted, create_graph=create_graph, materialize_grads=True)
        return sum(gradient.sin().sum() for gradient in found)

    def differentiable(h: float) -> list[torch.Tensor]:
        return [(start + h * along[0]).requires_grad_(), (h * along[1]).requires_grad_()]

    random = torch.Generator().manual_seed(0)
    along = [0.1 * torch.randn(t.shape, generator=random, dtype=torch.float64) for t in (start, batch.positions)]
    variables = differentiable(0.0)
    gradient = torch.autograd.grad(loss(*variables, True), variables)
    found = sum(float((g * a).sum()) for g, a in zip(gradient, along, strict=True))
    assert found == pytest.approx(slope(lambda h: float(loss(*differentiable(h), False).detach())), rel=1e-6)


STRAINED = {
    "ewald": (BULK, {"method": "ewald"}),
    "ewald of points": (BULK, {"method": "ewald", "widths": 0.0}),
    "mesh": (BULK, {"method": "mesh", "widths": 0.0, "mesh_spacing": 0.437}),
    "slab": (SLAB, {"method": "mesh", "mesh_spacing": 0.6}),
}


@pytest.mark.parametrize("name", list(STRAINED))
def test_nothing_jumps_while_the_cell_is_strained(name):
    """Fourth differences over 3 % of strain: wave vectors, grid points and neighbors come and go smoothly."""
    pbc, options = STRAINED[name]
    atoms = ions(pbc=pbc)
    strain = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 1.1]])
    strained = [deformed(atoms, amount * strain) for amount in np.linspace(0, 0.03, 200)]
    energies = np.array([energy(atoms, **options) for atoms in strained])
    assert np.ptp(energies) > 1e-2
    assert np.abs(np.diff(energies, 4)).max() < 1e-8
    if name == "mesh":
        sizes = [blended_sizes(torch.tensor(a.cell.lengths() / 0.437), 6)[0] for a in (strained[0], strained[-1])]
        assert sizes[0] != sizes[1]
