"""Neighbor lists against ASE's, over systems, cutoffs and rotations."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import primitive_neighbor_list
from scipy.spatial.transform import Rotation

from charon.errors import DataError
from charon.neighbors import edge_vectors, neighbor_list


def rattled(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.rattle(0.05, seed=3)
    return atoms


def triclinic() -> Atoms:
    cell = [[4.1, 0.0, 0.0], [1.7, 3.9, 0.0], [-1.5, 1.2, 5.2]]
    return Atoms("NaClNaCl", scaled_positions=np.random.default_rng(1).random((4, 3)), cell=cell, pbc=True)


def left_handed() -> Atoms:
    atoms = triclinic()
    return Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell[[1, 0, 2]], pbc=True)


def outside() -> Atoms:
    atoms = triclinic()
    atoms.positions += np.array([[3, -2, 1], [0, 0, 0], [-5, 4, 0], [0, 0, -7]]) @ np.asarray(atoms.cell)
    return atoms


def slab() -> Atoms:
    return rattled(fcc111("Ag", (2, 2, 3), vacuum=None, periodic=False))


def slab_without_normal() -> Atoms:
    atoms = slab()
    atoms.pbc = [True, True, False]
    atoms.cell[2] = 0.0
    return atoms


def slab_oblique_open() -> Atoms:
    """Periodic along the second and third vector; the open first vector leans on them."""
    atoms = slab_without_normal()
    normal = np.array([1.0, 2.0, 0.5])
    return Atoms(atoms.symbols, positions=atoms.positions, pbc=[False, True, True], cell=[normal, *atoms.cell[:2]])


def wire() -> Atoms:
    return Atoms("C2", positions=[[0, 0, 0.1], [0.3, 0.2, 1.3]], cell=[0, 0, 2.6], pbc=[False, False, True])


SYSTEMS = {
    "one atom": lambda: Atoms("Ag", positions=[[1e3, -2.0, 5.0]]),
    "collinear": lambda: Atoms("C10", positions=[[0, 0, 1.3 * k] for k in range(10)]),
    "coplanar": lambda: molecule("C6H6"),
    "molecule": lambda: rattled(molecule("CH3CH2OH")),
    "molecule in a box that is not periodic": lambda: rattled(Atoms(molecule("CH3CH2OH"), cell=[3, 3, 3], pbc=False)),
    "one atom per cell": lambda: bulk("Cu"),
    "rocksalt": lambda: rattled(bulk("NaCl", "rocksalt", a=5.64, cubic=True)),
    "triclinic": triclinic,
    "left-handed": left_handed,
    "outside of the cell": outside,
    "slab": slab_without_normal,
    "slab with an oblique open vector": slab_oblique_open,
    "wire": wire,
}


def rows(center, neighbor, vector):
    """Edges as rows that can be compared in any order of equal pairs."""
    table = np.column_stack([center, neighbor, np.round(vector, 6) + 0.0])
    return table[np.lexsort(table.T[::-1])]


@pytest.mark.parametrize("rotation", [None, 0, 1])
@pytest.mark.parametrize("cutoff", [1.7, 4.97, 9.03])
@pytest.mark.parametrize("system", SYSTEMS)
def test_equal_to_ase(system, cutoff, rotation):
    atoms = SYSTEMS[system]()
    if rotation is not None:
        turn = Rotation.random(rng=rotation).as_matrix()
        atoms.set_cell(np.asarray(atoms.cell) @ turn.T)
        atoms.set_positions(atoms.positions @ turn.T)
    cell = np.asarray(atoms.cell)
    edge_index, edge_shift = neighbor_list(atoms.positions, cell, atoms.pbc, cutoff)
    vector = edge_vectors(atoms.positions, edge_index, edge_shift)
    center, neighbor, expected = primitive_neighbor_list(
        "ijD", atoms.pbc, atoms.cell.complete(), atoms.positions, cutoff
    )
    assert edge_index.dtype == np.int64 and edge_shift.shape == (edge_index.shape[1], 3)
    assert edge_index.shape[1] == len(center)
    np.testing.assert_allclose(rows(*edge_index, vector), rows(center, neighbor, expected), atol=2e-6)


@pytest.mark.parametrize("system", SYSTEMS)
def test_full_and_sorted(system):
    atoms = SYSTEMS[system]()
    edge_index, edge_shift = neighbor_list(atoms.positions, np.asarray(atoms.cell), atoms.pbc, 5.3)
    assert (np.diff(edge_index[0]) >= 0).all()
    same_center = np.diff(edge_index[0]) == 0
    assert (np.diff(edge_index[1])[same_center] >= 0).all()
    vector = edge_vectors(atoms.positions, edge_index, edge_shift)
    np.testing.assert_allclose(rows(*edge_index, vector), rows(edge_index[1], edge_index[0], -vector), atol=2e-6)


def test_shifts_are_cell_vectors():
    atoms = outside()
    _, edge_shift = neighbor_list(atoms.positions, np.asarray(atoms.cell), atoms.pbc, 6.0)
    images = edge_shift @ np.linalg.inv(np.asarray(atoms.cell))
    np.testing.assert_allclose(images, np.round(images), atol=1e-10)


def test_moving_an_atom_by_a_cell_vector_keeps_the_edge_vectors():
    atoms, moved = triclinic(), outside()
    cell = np.asarray(atoms.cell)
    lists = [neighbor_list(a.positions, cell, a.pbc, 6.0) for a in (atoms, moved)]
    first, second = (rows(*e, edge_vectors(a.positions, e, s)) for a, (e, s) in zip((atoms, moved), lists, strict=True))
    np.testing.assert_allclose(first, second, atol=2e-6)


def test_no_atoms():
    edge_index, edge_shift = neighbor_list(np.zeros((0, 3)), np.eye(3), np.ones(3, bool), 5.0)
    assert edge_index.shape == (2, 0) and edge_shift.shape == (0, 3)


def test_far_fragments_stay_apart_and_keep_their_bonds():
    bond = np.array([[0.0, 0.0, 0.0], [0.7, 0.2, 0.0]])
    positions = np.concatenate([bond, bond + 1e6, bond - [0, 3e7, 0]])
    edge_index, edge_shift = neighbor_list(positions, np.zeros((3, 3)), np.zeros(3, bool), 5.0)
    assert edge_index.T.tolist() == [[0, 1], [1, 0], [2, 3], [3, 2], [4, 5], [5, 4]]
    assert not edge_shift.any()


def test_charged_dimer_just_inside_and_outside_of_the_cutoff():
    for distance, count in [(4.999, 2), (5.001, 0)]:
        positions = np.array([[0.0, 0.0, 0.0], [0.0, distance, 0.0]])
        assert neighbor_list(positions, np.zeros((3, 3)), np.zeros(3, bool), 5.0)[0].shape[1] == count


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite(value):
    positions = np.zeros((3, 3))
    positions[1, 2] = value
    with pytest.raises(DataError, match=r"positions must be finite numbers.*at atom 1 \(1 of 3 atoms\)"):
        neighbor_list(positions, np.zeros((3, 3)), np.zeros(3, bool), 5.0)


def test_cells_that_span_nothing():
    with pytest.raises(DataError, match="not zero and not linearly dependent.*Set pbc to False"):
        neighbor_list(np.zeros((1, 3)), np.zeros((3, 3)), np.array([True, False, False]), 5.0)
    dependent = np.array([[1.0, 1, 0], [2, 2, 0], [0, 0, 3]])
    with pytest.raises(DataError, match="not zero and not linearly dependent"):
        neighbor_list(np.zeros((1, 3)), dependent, np.ones(3, bool), 5.0)
    with pytest.raises(DataError, match="cell vectors must be finite"):
        neighbor_list(np.zeros((1, 3)), np.full((3, 3), np.nan), np.ones(3, bool), 5.0)


def test_cutoff_must_be_positive():
    with pytest.raises(DataError, match="must be positive, found 0"):
        neighbor_list(np.zeros((1, 3)), np.zeros((3, 3)), np.zeros(3, bool), 0.0)
