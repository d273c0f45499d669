"""Forces, strain derivatives, potentials and fields of charges are derivatives of one energy, smooth in the cell."""

import numpy as np
import pytest
import torch
from ase import Atoms

from charon.batch import collate, make_graph
from charon.model.electrostatics import Coulomb, ElectrostaticsConfig
from charon.structure import Structure

from .electrostatics import CUTOFF, deformed, evaluate, ions, moved

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


def slope(energy) -> float:
    """Central difference of sixth order at zero."""
    e = [energy(k * STEP) - energy(-k * STEP) for k in (1, 2, 3)]
    return (45 * e[0] - 9 * e[1] + e[2]) / (60 * STEP)


def test_forces(case):
    atoms, options = case
    direction = np.random.default_rng(1).normal(size=(len(atoms), 3))
    found = evaluate(atoms, **options)
    expected = slope(lambda h: evaluate(moved(atoms, h * direction), **options).energy[0])
    assert -(found.forces * direction).sum() == pytest.approx(
        expected, abs=1e-7 * np.abs(found.forces * direction).sum()
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_strain_derivatives(case, seed):
    atoms, options = case
    strain = np.random.default_rng(seed).normal(size=(3, 3))
    strain = (strain + strain.T) / 2
    found = evaluate(atoms, **options)
    expected = slope(lambda h: evaluate(deformed(atoms, h * strain), **options).energy[0])
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
            energies.append(evaluate(other, **options).energy[0])
        assert found.potential[atom] == pytest.approx(energies[0] - energies[1], abs=1e-9)


def test_the_field_is_minus_the_gradient_of_the_potential(case):
    """A charge too small to count is moved: all others stay as they are."""
    atoms, options = case
    atoms.arrays["q"][2] = 0.0
    direction = np.array([0.3, -0.7, 0.5])
    step = np.zeros((len(atoms), 3))
    step[2] = direction
    field = evaluate(atoms, **options).field[2]
    # charges weigh the height of a slab, and so its vacuum, by 1e-6 only through its images
    tolerance = 1e-5 if "slab" in str(case) or not atoms.pbc.all() and atoms.pbc.any() else 1e-7
    expected = slope(lambda h: evaluate(moved(atoms, h * step), **options).potential[2])
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
    atoms = ions(pbc=pbc, charge=0.4)
    elements = [1, 11, 17, 35]
    batch = collate([make_graph(Structure.from_atoms(atoms, source="test"), elements, CUTOFF)], torch.float64)
    coulomb = Coulomb(elements, CUTOFF, ElectrostaticsConfig(**options)).double()
    start = torch.tensor(atoms.arrays["q"])

    def loss(charges: torch.Tensor, shift: torch.Tensor, create_graph: bool) -> torch.Tensor:
        positions = (batch.positions + shift).requires_grad_()
        center, neighbor = batch.edge_index
        edges = batch.edge_vector + shift[neighbor] - shift[center]
        if not edges.requires_grad:
            edges.requires_grad_()
        cell = batch.cell.clone().requires_grad_()
        prepared = coulomb.prepare(batch.types, batch.edge_index, edges, positions, cell, batch.pbc, batch.batch)
        field = coulomb.field(charges, prepared)
        energy = (charges * coulomb.potential(charges, prepared)).sum() + field.square().sum()
        wanted = torch.autograd.grad(
            energy, [edges, positions, cell], create_graph=create_graph, materialize_grads=True
        )
        return sum((g * g.detach().cos().roll(1, 0)).sum() * 0 + g.sin().sum() for g in wanted)

    random = torch.Generator().manual_seed(0)
    charges, shift = start.clone().requires_grad_(), torch.zeros_like(batch.positions).requires_grad_()
    gradient = torch.autograd.grad(loss(charges, shift, True), [charges, shift])
    along = [torch.randn(t.shape, generator=random, dtype=torch.float64) for t in gradient]
    expected = slope(lambda h: float(loss(start + 0.1 * h * along[0], 0.1 * h * along[1], False).detach()) * 10)
    assert sum(float((g * a).sum()) for g, a in zip(gradient, along, strict=True)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["ewald", "ewald of points", "mesh", "mesh of points", "slab on a mesh"])
def test_nothing_jumps_while_the_cell_is_strained(name):
    """Fourth differences over 3 % of strain: wave vectors, grid points and neighbors come and go smoothly."""
    pbc, options = CASES[name]
    atoms = ions(pbc=pbc)
    strain = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 1.1]])
    energies = np.array([evaluate(deformed(atoms, e * strain), **options).energy[0] for e in np.linspace(0, 0.03, 200)])
    assert np.ptp(energies) > 1e-2
    assert np.abs(np.diff(energies, 4)).max() < 1e-7
