"""Slabs against the two-dimensional Ewald sum (Heyes, Barber and Clarke, J. Chem. Soc. Faraday II 73 (1977) 1485)."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.data import covalent_radii
from scipy.special import erf, erfc

from charon.model.electrostatics import Coulomb, ElectrostaticsConfig
from charon.units import COULOMB

from .electrostatics import energy, evaluate, ions, potential

ALPHA = 0.5  # 1/A


def plane_numbers(n: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1), indexing="ij"), -1).reshape(-1, 2)


def two_dimensional_sum(atoms: Atoms, widths: np.ndarray) -> np.ndarray:
    """Potential of Gaussian charges that repeat in a plane, to machine precision."""
    plane = atoms.cell.array[atoms.pbc]  # [2, 3]
    normal = np.cross(*plane)
    area = np.linalg.norm(normal)
    vector = atoms.positions[:, None] - atoms.positions  # [n, n, 3]
    z = vector @ normal / area
    waves = (2 * np.pi * np.linalg.pinv(plane).T)[:2]
    matrix = -2 * np.sqrt(np.pi) / area * (np.exp(-((ALPHA * z) ** 2)) / ALPHA + np.sqrt(np.pi) * z * erf(ALPHA * z))
    for k in plane_numbers(8) @ waves:
        h = np.linalg.norm(k)
        if h > 0:
            up = np.exp(h * z) * erfc(h / (2 * ALPHA) + ALPHA * z)
            down = np.exp(-h * z) * erfc(h / (2 * ALPHA) - ALPHA * z)
            matrix += np.pi / area * np.cos(vector @ k) / h * (up + down)
    pair = np.hypot(widths[:, None], widths)
    for shift in plane_numbers(5) @ plane:
        r = np.linalg.norm(vector + shift, axis=2)
        r = np.where(r < 1e-9, 1.0, r)
        near = (erfc(ALPHA * r) - erfc(r / (np.sqrt(2) * pair))) / r
        matrix += np.where(np.linalg.norm(vector + shift, axis=2) < 1e-9, 0.0, near)
    matrix += np.diag(1 / (widths * np.sqrt(np.pi)) - 2 * ALPHA / np.sqrt(np.pi))
    return COULOMB * matrix @ atoms.arrays["q"]


def slab(axis: int, charge: float) -> Atoms:
    """Ions that are open along one axis, whose cell vector is tilted and plays no part."""
    atoms = ions(pbc=tuple(k != axis for k in range(3)), charge=charge)
    cell = atoms.cell.array.copy()
    cell[axis] = [0.3, 0.4, 0.5]
    atoms.set_cell(cell)
    return atoms


@pytest.mark.parametrize("charge", [0.0, 1.3])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_slabs_equal_the_two_dimensional_sum(axis, charge, factor):
    atoms = slab(axis, charge)
    expected = two_dimensional_sum(atoms, factor * covalent_radii[atoms.numbers])
    found = potential(atoms, method="ewald", widths=factor)
    # neutral: energies count, potentials up to a constant do not
    assert found == pytest.approx(expected, abs=2e-5)
    assert energy(atoms, method="ewald", widths=factor) == pytest.approx(0.5 * atoms.arrays["q"] @ expected, rel=1e-6)


def test_a_slab_on_a_mesh_equals_the_plain_sum():
    atoms = slab(2, 0.0).repeat((2, 2, 1))
    plain, mesh = evaluate(atoms, method="ewald"), evaluate(atoms, method="mesh")
    assert mesh.energy[0] == pytest.approx(plain.energy[0], rel=1e-4)
    assert mesh.forces == pytest.approx(plain.forces, abs=2e-4 * np.abs(plain.forces).max())


def test_a_slab_does_not_feel_where_it_is():
    atoms = slab(1, 0.8)
    shifted = atoms.copy()
    shifted.positions += np.array([3.0, -70.0, 20.0])
    assert potential(shifted, method="ewald") == pytest.approx(potential(atoms, method="ewald"), abs=1e-8)


def test_two_far_plates_are_a_capacitor():
    """The field between plates of charge +-q per area A is 4 pi k_e q / A, whatever their distance."""
    for distance in (6.0, 25.0):
        atoms = Atoms("LiF", positions=[[0, 0, 0], [0.4, 0.1, distance]], cell=[3, 3, 0], pbc=[1, 1, 0])
        atoms.info.update(charge=0, spin=1)
        atoms.arrays["q"] = np.array([0.7, -0.7])
        force = evaluate(atoms, method="ewald", accuracy=1e-12).forces[1, 2]
        assert force == pytest.approx(-2 * np.pi * COULOMB * 0.7**2 / 9.0, rel=2e-5)


def test_a_charged_slab_is_refused_unless_allowed():
    pbc = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    refusing = Coulomb([1], 5.0, ElectrostaticsConfig())
    refusing.check_slabs(torch.tensor([0.0, 2.0, -1.0]), pbc)
    with pytest.raises(ValueError, match="a slab with total charge 1.0 e; expected 0, .* Set charged_slab to allow it"):
        refusing.check_slabs(torch.tensor([1.0, 0.0, 0.0]), pbc)
    Coulomb([1], 5.0, ElectrostaticsConfig(charged_slab=True)).check_slabs(torch.tensor([1.0, 0.0, 0.0]), pbc)
