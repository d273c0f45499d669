"""Electrostatics against published lattice constants, direct sums and limits."""

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import covalent_radii
from ase.spacegroup import crystal as space_group

from charon.units import COULOMB

from .electrostatics import crystal, evaluate, ions

POINTS = {"widths": 0.0, "method": "ewald"}


def fluorite(a: float) -> Atoms:
    return space_group(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225, cellpar=[a, a, a, 90, 90, 90])


# Madelung constants per formula unit, of the nearest distance: Crandall and Delord, J. Phys. A 20 (1987) 2279;
# Johnson and Templeton, J. Chem. Phys. 34 (1961) 2004
CRYSTALS = {
    "rocksalt": (lambda: crystal(bulk("NaCl", "rocksalt", a=5.64), {"Na": 1, "Cl": -1}), 5.64 / 2, 1.7475645946),
    "CsCl": (
        lambda: crystal(bulk("CsCl", "cesiumchloride", a=4.12), {"Cs": 1, "Cl": -1}),
        4.12 * math.sqrt(3) / 2,
        1.7626747731,
    ),
    "zincblende": (
        lambda: crystal(bulk("ZnS", "zincblende", a=5.41), {"Zn": 1, "S": -1}),
        5.41 * math.sqrt(3) / 4,
        1.6380550534,
    ),
    "fluorite": (lambda: crystal(fluorite(5.46), {"Ca": 2, "F": -1}), 5.46 * math.sqrt(3) / 4, 5.0387848745),
}


@pytest.mark.parametrize("name", list(CRYSTALS))
@pytest.mark.parametrize("cutoff", [4.0, 6.5])
def test_madelung_constants(name, cutoff):
    make, nearest, constant = CRYSTALS[name]
    atoms = make()
    units = len(atoms) if name != "fluorite" else len(atoms) * 2 // 3
    expected = -constant * COULOMB / nearest * units / 2
    assert evaluate(atoms, cutoff=cutoff, **POINTS).energy[0] == pytest.approx(expected, rel=1e-7)


# of Q^2 k_e per Wigner-Seitz radius, with the background: Coldwell-Horsfall and Maradudin, J. Math. Phys. 1 (1960) 395
@pytest.mark.parametrize(("lattice", "constant"), [("bcc", 0.895929), ("fcc", 0.895874), ("sc", 0.880059)])
def test_charged_wigner_crystals(lattice, constant):
    atoms = crystal(bulk("Na", lattice, a=4.0), {"Na": 1.0})
    radius = (3 * atoms.get_volume() / (4 * math.pi)) ** (1 / 3)
    energy = evaluate(atoms, **POINTS).energy[0]
    assert energy * radius / COULOMB == pytest.approx(-constant, abs=1e-6)


def direct_potential(atoms: Atoms, widths: np.ndarray) -> np.ndarray:
    """Zero-mean potential of Gaussians by the sum over all wave vectors, without any splitting."""
    volume, waves = atoms.get_volume(), 2 * math.pi * np.linalg.inv(atoms.cell.array).T
    reach = math.sqrt(60.0 / (2 * widths.min() ** 2))
    ends = [int(reach * np.linalg.norm(a) / (2 * math.pi)) + 1 for a in atoms.cell.array]
    numbers = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in ends), indexing="ij"), -1).reshape(-1, 3)
    k = (numbers @ waves)[np.abs(numbers).sum(1) > 0]
    squared = (k * k).sum(1)  # [n_k]
    gaussian = np.exp(-0.5 * squared[:, None] * widths**2)  # [n_k, n_atoms]
    phase = np.exp(1j * (k @ atoms.positions.T))
    factors = (atoms.arrays["q"] * gaussian * phase.conj()).sum(1)
    return 4 * math.pi * COULOMB / volume * ((factors / squared)[:, None] * phase * gaussian).sum(0).real


@pytest.mark.parametrize("charge", [0.0, 1.5])
@pytest.mark.parametrize("factor", [1.0, 0.6])
def test_gaussian_widths_in_a_triclinic_cell(charge, factor):
    """Pairs narrower and wider than the smearing, and both together."""
    atoms = ions(charge=charge)
    widths = factor * covalent_radii[atoms.numbers]
    expected = direct_potential(atoms, widths)
    found = evaluate(atoms, method="ewald", widths=factor)
    assert found.potential == pytest.approx(expected, abs=1e-6)
    assert found.energy[0] == pytest.approx(0.5 * (atoms.arrays["q"] * expected).sum(), rel=1e-7)


def test_open_system_equals_a_loop_over_pairs():
    atoms = ions(pbc=(False, False, False), charge=-1.0)
    widths, charges, positions = covalent_radii[atoms.numbers], atoms.arrays["q"], atoms.positions
    potential = charges / (widths * math.sqrt(math.pi))
    field = np.zeros((len(atoms), 3))
    for i in range(len(atoms)):
        for j in range(len(atoms)):
            if i != j:
                r, g = positions[i] - positions[j], math.hypot(widths[i], widths[j])
                d, x = np.linalg.norm(r), np.linalg.norm(r) / (math.sqrt(2) * g)
                potential[i] += charges[j] * math.erf(x) / d
                slope = math.erf(x) / d**2 - 2 / math.sqrt(math.pi) * math.exp(-x * x) * x / d**2
                field[i] += charges[j] * slope * r / d
    found = evaluate(atoms)
    assert found.potential == pytest.approx(COULOMB * potential, rel=1e-12)
    assert found.field == pytest.approx(COULOMB * field, rel=1e-10)


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_a_large_box_is_an_open_system(method):
    """What is left is the energy of the dipole in the box, -2 pi/3 k_e d^2 / V, and terms of higher order."""
    molecule = Atoms("NaCl", positions=[[0.3, 0, 0], [0, 0, 2.4]], info={"charge": 0, "spin": 1})
    molecule.arrays["q"] = np.array([0.8, -0.8])
    dipole = molecule.arrays["q"] @ molecule.positions
    alone = evaluate(molecule).energy[0]
    left = []
    for length in (16.0, 32.0):
        molecule.cell, molecule.pbc = np.eye(3) * length, True
        of_dipole = -2 * math.pi / 3 * COULOMB * (dipole @ dipole) / length**3
        left.append(abs(evaluate(molecule, method=method, mesh_spacing=0.4).energy[0] - alone - of_dipole))
    assert left[1] < 4e-5
    assert left[1] < left[0] / 20  # as 1 / length^5


@pytest.mark.parametrize("options", [{"method": "ewald"}, {"method": "ewald", "widths": 0.3}])
def test_a_supercell_has_the_same_potentials(options):
    atoms = ions(charge=0.7)
    one, two = evaluate(atoms, **options), evaluate(atoms.repeat((2, 1, 1)), **options)
    assert two.energy[0] == pytest.approx(2 * one.energy[0], rel=1e-8)
    assert two.potential == pytest.approx(np.tile(one.potential, 2), abs=1e-7)
    assert two.forces == pytest.approx(np.tile(one.forces, (2, 1)), abs=1e-7)


def test_any_choice_of_cell_vectors_and_images():
    atoms = ions(charge=0.7)
    other = atoms.copy()
    other.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ atoms.cell.array)
    images = np.random.default_rng(2).integers(-2, 3, size=(len(atoms), 3))
    other.positions += images @ atoms.cell.array
    one, two = evaluate(atoms, method="ewald"), evaluate(other, method="ewald")
    assert two.potential == pytest.approx(one.potential, abs=1e-8)
    assert two.strain == pytest.approx(one.strain, abs=1e-7)


def test_batch_equals_single():
    systems = [
        ions(pbc=(False, False, False), charge=1.0),
        ions(charge=0.5, seed=4),
        ions(pbc=(True, True, False), seed=5),
        ions(pbc=(False, False, False), seed=6)[:4],
        ions(seed=7).repeat((1, 2, 1)),
    ]
    together = evaluate(systems, method="auto", mesh_above=15)
    first = 0
    for k, atoms in enumerate(systems):
        alone = evaluate(atoms, method="auto", mesh_above=15, elements=[1, 11, 17, 35])
        rows = slice(first, first + len(atoms))
        first += len(atoms)
        assert together.energy[k] == pytest.approx(alone.energy[0], rel=1e-12)
        for name in ("potential", "field", "forces"):
            assert getattr(together, name)[rows] == pytest.approx(getattr(alone, name), abs=1e-10)
        assert together.strain[k] == pytest.approx(alone.strain[0], abs=1e-10)


BOUNDARIES = {
    "open": ((False, False, False), "ewald"),
    "ewald": ((True, True, True), "ewald"),
    "mesh": ((True, True, True), "mesh"),
    "slab": ((True, True, False), "ewald"),
}


@pytest.mark.parametrize("boundary", list(BOUNDARIES))
def test_single_precision(boundary):
    pbc, method = BOUNDARIES[boundary]
    atoms = ions(pbc=pbc)
    atoms.positions += np.array([60.0, -45.0, 0.0])
    double, single = evaluate(atoms, method=method), evaluate(atoms, torch.float32, method=method)
    assert single.energy[0] == pytest.approx(double.energy[0], abs=2e-4)
    for name in ("potential", "field", "forces"):
        assert getattr(single, name) == pytest.approx(getattr(double, name), abs=2e-4)


def test_one_periodic_direction_is_refused():
    with pytest.raises(
        ValueError, match="found a system that is periodic in one direction; expected none, two or three"
    ):
        evaluate(ions(pbc=(False, True, False)))
