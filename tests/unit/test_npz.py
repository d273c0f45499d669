"""Sets in npz files: padding, states, dipoles about another point, every message."""

import numpy as np
import pytest

from charon.data import read_structures
from charon.errors import DataError, StateError


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """OH- and H in a box, filled up to two atoms."""
    return {
        "N": np.array([2, 1]),
        "Z": np.array([[8, 1], [1, 0]]),
        "R": np.array([[[1.0, 0, 0], [1.0, 0, 0.96]], [[0.5, 0, 0], [0, 0, 0]]]),
        "E": np.array([[-75.0], [-0.5]]),
        "F": np.array([[[0, 0, 0.1], [0, 0, -0.1]], [[0, 0, 0], [0, 0, 0]]]),
        "Q": np.array([-1, 0]),
        "Qa": np.array([[-1.1, 0.1], [0.0, 0.0]]),
        "D": np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        "Mult": np.array([1, 2]),
        "Cell": np.array([np.zeros((3, 3)), 5 * np.eye(3)]),
        "M": np.array([1.0, 2.0]),
    }


@pytest.fixture
def write(tmp_path):
    """Writes arrays to a file and returns its path."""

    def write_arrays(arrays):
        np.savez(tmp_path / "set.npz", **arrays)
        return tmp_path / "set.npz"

    return write_arrays


def test_values(write, arrays):
    anion, atom = read_structures(write(arrays))
    assert anion.numbers.tolist() == [8, 1] and atom.numbers.tolist() == [1]
    assert (anion.total_charge, anion.spin_multiplicity) == (-1, 1)
    assert (atom.total_charge, atom.spin_multiplicity) == (0, 2)
    assert anion.labels["energy"] == -75 and anion.labels["charges"].tolist() == [-1.1, 0.1]
    assert anion.labels["forces"][:, 2].tolist() == [0.1, -0.1]
    assert not anion.pbc.any() and atom.pbc.all() and atom.cell[1, 1] == 5
    assert "dipole" in atom.labels and anion.unread_keys == ("M",)
    assert anion.source.endswith("set.npz, frame 0")


def test_the_dipole_is_moved_to_the_center(write, arrays):
    """About the origin -e x is -1 e A: about the center, of these charges, it does not depend on x."""
    dipole = read_structures(write(arrays))[0].labels["dipole"]
    np.testing.assert_allclose(dipole, [0, 0, 0.48], atol=1e-15)
    in_bohr = read_structures(write(arrays), units={"length": "Bohr", "dipole": "e*Bohr"})[0].labels["dipole"]
    mixed = dict(arrays, D=arrays["D"] * 0.529177249)
    from_mixed = read_structures(write(mixed), units={"length": "Bohr"})[0].labels["dipole"]
    np.testing.assert_allclose(from_mixed, in_bohr, atol=1e-7)


def test_without_counts_and_states(write, arrays):
    path = write({key: arrays[key] for key in ("Z", "R", "E")})
    assert [s.n_atoms for s in read_structures(path, default_charge=0, default_spin="lowest")] == [2, 1]
    with pytest.raises(StateError, match="set.npz, frame 0: total charge and spin multiplicity not given"):
        read_structures(path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("R", None, r"set.npz: the array R is missing. Found: Cell, D, .*Expected Z \(atomic numbers\)"),
        ("F", np.zeros((2, 3, 3)), r"array F must have the shape \[2, 2, 3\] \(2 frames of at most 2 .*\[2, 3, 3\]"),
        ("Z", np.array([8, 1]), r"array Z must have the shape \[frames, atoms\], found \[2\]"),
        ("E", np.zeros(3), r"array E must have the shape \[2\].*found \[3\]"),
        ("N", np.array([2, 2]), r"frame 1: N says 2 atoms, Z has 1 of 2. Expected the atoms first"),
        ("N", np.array([2, 0]), r"frame 1: N says 0 atoms"),
        ("Q", np.array([-0.5, 0]), r"frame 0: .*total charge\) must be one integer, found -0.5"),
    ],
)
def test_mistakes_are_named(write, arrays, key, value, message):
    arrays[key] = value
    with pytest.raises(DataError, match=message):
        read_structures(write({k: v for k, v in arrays.items() if v is not None}))


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(DataError, match="cut.npz: cannot be read as npz: .*Is the file complete"):
        read_structures(tmp_path / "cut.npz")
