"""Files to structures: formats, units, keys, round trip."""

import gzip
import lzma

import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from charon.data import fingerprint, read_structures, write_structures
from charon.errors import ConfigError, DataError

from .frames import HYDROGEN


def test_values(write):
    first, second = read_structures(write(HYDROGEN + HYDROGEN.replace("0.74", "0.80")))
    assert first.numbers.tolist() == [1, 1] and first.positions[1, 2] == 0.74
    assert second.positions[1, 2] == 0.80
    assert first.labels["energy"] == -31.7 and first.labels["forces"][1].tolist() == [0, 0, -0.1]
    assert first.source.endswith("set.xyz, frame 0") and second.source.endswith("set.xyz, frame 1")


@pytest.mark.parametrize(("suffix", "opener"), [(".xz", lzma.open), (".gz", gzip.open), ("", open)])
def test_compressed(tmp_path, suffix, opener):
    path = tmp_path / f"set.xyz{suffix}"
    with opener(path, "wt") as file:
        file.write(HYDROGEN * 3)
    assert len(read_structures(path)) == 3


def test_several_files_are_one_set(write):
    paths = [write(HYDROGEN, "a.xyz"), str(write(HYDROGEN * 2, "b.extxyz"))]
    assert [s.source.rsplit("/", 1)[1] for s in read_structures(paths)] == [
        "a.xyz, frame 0",
        "b.extxyz, frame 0",
        "b.extxyz, frame 1",
    ]


def test_formats_that_only_ase_knows(tmp_path, atoms_of):
    frames = [atoms_of("CH2 triplet"), atoms_of("CH2 triplet")]
    frames[1].positions[1, 0] += 0.2
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, energy=-5.0, forces=np.ones((3, 3)))
        atoms.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / "set.traj", frames)
    structures = read_structures(tmp_path / "set.traj")
    assert [s.spin_multiplicity for s in structures] == [3, 3]
    assert structures[1].positions[1, 0] == pytest.approx(0.2)
    assert (structures[0].labels["forces"] == 1).all() and structures[0].labels["energy"] == -5


def test_constrained_atoms_keep_their_forces(write):
    text = HYDROGEN.replace("forces:R:3", "forces:R:3:move_mask:L:1")
    text = text.replace("0.0 0.1\n", "0.0 0.1 F\n").replace("0.0 -0.1\n", "0.0 -0.1 T\n")
    (structure,) = read_structures(write(text))
    assert structure.labels["forces"][:, 2].tolist() == [0.1, -0.1]


def test_plain_xyz_with_a_number_as_comment(write):
    path = write("2\n17\nH 0 0 0\nH 0 0 0.74\n\n1\n\nHe 0 0 0\n\n", "plain.xyz")
    structures = read_structures(path, default_charge=0, default_spin=1)
    assert [s.n_atoms for s in structures] == [2, 1]
    assert structures[0].system == "H2 (0, 1)"


def test_round_trip(tmp_path, structures, with_labels):
    """Nothing is lost: every digit of positions, labels and state, through compression too."""
    labelled = [with_labels(s) for s in structures.values()]
    for name in ("set.xyz", "set.xyz.xz", "set.xyz.gz"):
        write_structures(tmp_path / name, labelled)
        again = read_structures(tmp_path / name)
        assert fingerprint(again) == fingerprint(labelled)
        assert [s.system for s in again] == [s.system for s in labelled]


def test_what_is_written_is_read_by_ase(tmp_path, structures, with_labels):
    structure = with_labels(structures["NaCl cell"])
    write_structures(tmp_path / "set.xyz", [structure])
    atoms = ase.io.read(tmp_path / "set.xyz")
    assert atoms.pbc.all() and atoms.info["spin"] == 1 and atoms.info["system"] == structure.system
    np.testing.assert_array_equal(atoms.cell, structure.cell)
    np.testing.assert_array_equal(atoms.get_stress(voigt=False), structure.labels["stress"])
    np.testing.assert_array_equal(atoms.get_charges(), structure.labels["charges"])
    np.testing.assert_array_equal(atoms.get_forces(), structure.labels["forces"])


def test_decimals(tmp_path, structures):
    write_structures(tmp_path / "set.xyz", [structures["C10H2"]], decimals=4)
    (structure,) = read_structures(tmp_path / "set.xyz")
    np.testing.assert_allclose(structure.positions, structures["C10H2"].positions, atol=5.1e-5)
    assert "1.2100\n" in (tmp_path / "set.xyz").read_text()


def test_units(write):
    (structure,) = read_structures(write(HYDROGEN), units={"energy": "kcal/mol", "length": "Bohr"})
    assert structure.positions[1, 2] == pytest.approx(0.74 * units.Bohr)
    assert structure.labels["energy"] == pytest.approx(-31.7 * units.kcal / units.mol)
    assert structure.labels["forces"][0, 2] == pytest.approx(0.1 * units.kcal / units.mol / units.Bohr)


def test_named_key(write):
    path = write(HYDROGEN.replace("energy=", "e_dft="))
    assert read_structures(path, keys={"energy": "e_dft"})[0].labels["energy"] == -31.7
    with pytest.raises(DataError, match="set.xyz, frame 0: the key 'e' named for energy is absent.*e_dft, forces"):
        read_structures(path, keys={"energy": "e"})


def test_options_that_are_refused(write):
    path = write(HYDROGEN)
    with pytest.raises(ConfigError, match="on_error must be 'raise' or 'skip', found 'ignore'"):
        read_structures(path, on_error="ignore")
    with pytest.raises(ConfigError, match="units.energy: unknown unit 'Ha'"):
        read_structures(path, units={"energy": "Ha"})
    with pytest.raises(ConfigError, match="'energi' is no label. Did you mean 'energy'"):
        read_structures(path, keys={"energi": "e"})
