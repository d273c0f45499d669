"""Dispersion against simple-dftd3 and dftd4, the reference implementations of D3 and D4."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.units import Bohr, Hartree
from dftd3 import interface as dftd3
from dftd4 import interface as dftd4
from tblite.ase import TBLite

from charon.batch import collate, make_graph
from charon.model.dispersion import Dispersion, DispersionConfig
from charon.model.dispersion.tables import damping_parameters
from charon.structure import Structure

ELEMENTS = [1, 3, 5, 6, 7, 8, 9, 11, 13, 14, 15, 16, 17, 47]
MOLECULES = (
    "H2O NH3 CH4 C6H6 CH3CH2OH C5H5N C4H4S C4H4O CH3NO2 CH3CN CCl4 CF4 SO2 HCl LiF NaCl SiH4 P2 PH3 Si2H6 CH3SH "
    "isobutane trans-butane BF3 AlCl3 ClF3"
).split()
FAR = 200.0
"""Bohr; where dftd4's lattice sums end."""


def reference(
    kind: str, functional: str, atoms: Atoms, charge: int = 0, counted: float = 20.0
) -> tuple[float, np.ndarray]:
    """Two-body energy (eV) and the charges [n] (e) that D4 had; neighbors are counted up to `counted` (A)."""
    s6, s8, a1, a2 = damping_parameters(kind, functional)
    settings = {"s6": s6, "s8": s8, "a1": a1, "a2": a2 / Bohr, "s9": 0.0}
    cell = {"lattice": np.asarray(atoms.cell) / Bohr, "periodic": atoms.pbc} if atoms.pbc.any() else {}
    places = atoms.numbers, atoms.positions / Bohr
    if kind == "d3":
        model, damping = dftd3.DispersionModel(*places, **cell), dftd3.RationalDampingParam(**settings)
    else:
        model, damping = dftd4.DispersionModel(*places, charge=float(charge), **cell), dftd4.DampingParam(**settings)
    charges = model.get_properties()["partial charges"] if kind == "d4" else np.zeros(len(atoms))
    if atoms.pbc.any():
        model.set_realspace_cutoff(FAR, 30.0, counted / Bohr)
        if kind == "d3":
            model.set_ewald_summation(tolerance=1e-12, mesh=-1)
    return float(model.get_dispersion(damping, grad=False)["energy"]) * Hartree, charges


def energy(kind: str, functional: str, atoms: Atoms, charges: np.ndarray, cutoff: float) -> float:
    model = Dispersion(ELEMENTS, cutoff, DispersionConfig(kind=kind, functional=functional)).to(torch.float64)
    atoms = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    atoms.info.update(charge=0, spin=1 + int(atoms.numbers.sum()) % 2)
    batch = collate([make_graph(Structure.from_atoms(atoms, source="test"), ELEMENTS, cutoff)])
    edges = (batch.types, batch.edge_index, batch.edge_vector)
    return float(model(*edges, batch.positions, batch.cell, batch.pbc, batch.batch, torch.from_numpy(charges)).sum())


@pytest.mark.parametrize("name", MOLECULES)
@pytest.mark.parametrize(("kind", "functional"), [("d3", "pbe"), ("d3", "b3lyp"), ("d4", "pbe"), ("d4", "wb97x")])
def test_molecules(name, kind, functional):
    for charge in (0, 1, -1) if kind == "d4" else (0,):
        expected, charges = reference(kind, functional, molecule(name), charge)
        for cutoff in (5.0, 20.0):
            found = energy(kind, functional, molecule(name), charges, cutoff)
            assert found == pytest.approx(expected, abs=1e-6 if cutoff == 5.0 else 1e-7)


def sheared(atoms: Atoms) -> Atoms:
    """Disordered, in a triclinic cell."""
    shear = np.array([[1.0, 0, 0], [0.06, 0.98, 0], [-0.04, 0.05, 1.03]])
    atoms.set_cell(np.asarray(atoms.cell) @ shear, scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


CRYSTALS = {
    "NaCl": sheared(bulk("NaCl", "rocksalt", a=5.64, cubic=True)),
    "Ag": sheared(bulk("Ag", "fcc", a=4.09)),
    "C": sheared(bulk("C", "diamond", a=3.57)),
}


@pytest.mark.parametrize("name", list(CRYSTALS))
@pytest.mark.parametrize("cutoff", [5.0, 8.0])
def test_d3_of_crystals(name, cutoff):
    """Against simple-dftd3's own sum over the reciprocal lattice, without a mesh.

    Each atom of a crystal, however far, is counted as 1e-7 of a neighbor, so the count must end alike.
    """
    atoms = CRYSTALS[name]
    expected, _ = reference("d3", "pbe", atoms, counted=0.9 * cutoff)
    found = energy("d3", "pbe", atoms, np.zeros(len(atoms)), cutoff)
    assert found == pytest.approx(expected, abs=1.5e-6 * len(atoms))


@pytest.mark.parametrize("name", list(CRYSTALS))
@pytest.mark.parametrize("cutoff", [5.0, 8.0])
def test_d4_of_crystals(name, cutoff):
    """Against dftd4's sum over a sphere of radius `FAR`, with uniform matter beyond."""
    atoms = CRYSTALS[name]
    expected, charges = reference("d4", "pbe", atoms)
    cell = {"lattice": np.asarray(atoms.cell) / Bohr, "periodic": atoms.pbc}
    model = dftd4.DispersionModel(atoms.numbers, atoms.positions / Bohr, **cell)
    c6 = float(model.get_properties()["c6 coefficients"].sum()) * Hartree * Bohr**6
    beyond = -2 * np.pi / 3 * c6 / atoms.get_volume() / (FAR * Bohr) ** 3
    found = energy("d4", "pbe", atoms, charges, cutoff)
    assert found == pytest.approx(expected + beyond, abs=1.5e-6 * len(atoms))


def test_dispersion_of_gfn2():
    """Around 2.66 A the sodium atoms of a cube change reference atoms, the sharpest feature of GFN2-xTB's energy."""
    total, dispersion = [], []
    for edge in np.linspace(2.5, 2.8, 31):
        places = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        cube = Atoms([("Na", "Cl")[n] for n in places.sum(1) % 2], edge * places)
        cube.calc = TBLite(method="GFN2-xTB", verbosity=0, accuracy=0.01)
        total.append(cube.get_potential_energy())
        dispersion.append(energy("d4", "gfn2", cube, cube.get_charges(), 20.0))
    rest = np.abs(np.diff(np.array(total) - dispersion, 4)).max()
    assert rest < 1e-3 * np.abs(np.diff(total, 4)).max()
