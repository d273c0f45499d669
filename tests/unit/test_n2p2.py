"""`input.data` of n2p2 and RuNNer: values and units, what is optional, every message, and `charon convert` of it."""

import gzip
import lzma

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree

from charon.cli import main
from charon.data import labels_present, read_structures
from charon.data.label import label_file
from charon.data.n2p2 import is_input_data
from charon.data.read import read_frames
from charon.errors import DataError, StateError
from charon.state import lowest_multiplicity
from charon.train.config import DataConfig

CATION = """\
begin
comment H2+ stretched, PBE
atom 0.0 0.0  0.0 H 0.4 0.0  0.0 0.0 -0.02
atom 0.0 0.0 2.25 H 0.6 0.0  1e-3 0.0 0.02
energy -0.5625
charge  1.0
end
"""
SALT = """\
begin
lattice 6.0 0.0 0.0
lattice 0.0 6.5 0.0
lattice 0.5 0.0 7.0
atom 0.0 0.0 0.0 Na  0.8 0.0 0.01 0.0 0.0
atom 3.0 3.2 3.5 Cl -0.8 0.0 -0.01 0.0 0.0
energy -622.25
charge -0.0
end
"""


@pytest.fixture
def write(tmp_path):
    """Writes text to a file and returns its path."""

    def write_text(text, name="input.data"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_text


def input_data(structure) -> str:
    """A structure with energy, forces and charges as n2p2 writes it, every digit kept."""
    rows = [f"lattice {' '.join(repr(float(x / Bohr)) for x in vector)}" for vector in structure.cell[structure.pbc]]
    labels = structure.labels
    forces = labels["forces"] * Bohr / Hartree
    for atoms in zip(structure.to_atoms().symbols, structure.positions / Bohr, labels["charges"], forces, strict=True):
        symbol, position, charge, force = atoms
        x, y, z, q, fx, fy, fz = (repr(float(value)) for value in (*position, charge, *force))
        rows.append(f"atom {x} {y} {z} {symbol} {q} 0.0 {fx} {fy} {fz}")
    energy = float(labels["energy"] / Hartree)
    return "\n".join(["begin", *rows, f"energy {energy!r}", f"charge {structure.total_charge}.0", "end"]) + "\n"


def test_values_in_ev_angstrom_and_e(write):
    cation, salt = read_structures(write(CATION + "\n" + SALT), default_spin="lowest")
    assert cation.source.endswith("input.data, frame 0") and salt.source.endswith("input.data, frame 1")
    assert (cation.total_charge, cation.spin_multiplicity, cation.system) == (1, 2, "H2 (+1, 2)")
    assert (salt.total_charge, salt.spin_multiplicity) == (0, 1)
    assert cation.positions[1, 2] == 2.25 * Bohr and cation.labels["energy"] == -0.5625 * Hartree
    np.testing.assert_allclose(cation.labels["forces"][1], np.array([1e-3, 0, 0.02]) * (Hartree / Bohr), rtol=1e-15)
    assert cation.labels["charges"].tolist() == [0.4, 0.6]
    assert not cation.pbc.any() and salt.pbc.all()
    np.testing.assert_array_equal(salt.cell, np.array([[6.0, 0, 0], [0, 6.5, 0], [0.5, 0, 7]]) * Bohr)
    assert labels_present([cation, salt]) == {"energy": 2, "forces": 2, "charges": 2}


def test_round_trip(write, structures, with_labels):
    """Molecules and a triclinic cell, in several states, come back to the last digits."""
    known = [with_labels(s) for name, s in structures.items() if name != "Ag slab"]
    path = write("".join(input_data(s) for s in known))
    for before, after in zip(known, read_structures(path, default_spin="lowest"), strict=True):
        assert before.total_charge == after.total_charge
        for name in ("numbers", "positions", "cell", "pbc"):
            np.testing.assert_allclose(getattr(after, name), getattr(before, name), rtol=1e-15, atol=0)
        for name in ("energy", "forces", "charges"):
            np.testing.assert_allclose(after.labels[name], before.labels[name], rtol=4e-16, atol=0)


@pytest.mark.parametrize(("suffix", "opener"), [(".xz", lzma.open), (".gz", gzip.open)])
def test_compressed(tmp_path, suffix, opener):
    path = tmp_path / f"chains_input.data{suffix}"
    with opener(path, "wt") as file:
        file.write(CATION * 3)
    assert len(read_structures(path, default_spin=2)) == 3


def test_units_of_the_user_hold(write):
    (structure,) = read_structures(write(CATION), default_spin=2, units={"energy": "eV", "length": "A"})
    assert structure.labels["energy"] == -0.5625 and structure.positions[1, 2] == 2.25
    (structure,) = read_structures(write(CATION), default_spin=2, units={"energy": "eV"})
    assert structure.positions[1, 2] == 2.25 * Bohr


def test_another_name_is_recognized_by_its_text(write):
    assert len(read_structures(write("# made by hand\n" + CATION, "train.data"), default_spin=2)) == 1
    assert not is_input_data(write("LAMMPS data file\n\n1 atoms\n", "start.data"))


@pytest.mark.parametrize("systems", [["C10H2", "Ag3+"], ["NaCl cell"]])
def test_what_ase_writes(tmp_path, structures, with_labels, systems):
    """ASE names the columns in the line `begin`, as RuNNer 2 does."""
    known = [with_labels(structures[name]) for name in systems]
    frames = []
    for structure in known:
        atoms = structure.to_atoms()
        atoms.set_initial_charges(structure.labels["charges"])
        atoms.calc = SinglePointCalculator(
            atoms, energy=float(structure.labels["energy"]), forces=structure.labels["forces"]
        )
        frames.append(atoms)
    ase.io.write(tmp_path / "input.data", frames, format="runnerdata")
    assert "begin position(3) element" in (tmp_path / "input.data").read_text()
    for before, after in zip(known, read_frames(tmp_path / "input.data"), strict=True):
        results = after.atoms.calc.results
        np.testing.assert_allclose(after.in_angstrom().positions, before.positions, atol=1e-9)
        np.testing.assert_allclose(results["forces"] * Hartree / Bohr, before.labels["forces"], atol=1e-8)
        np.testing.assert_allclose(results["charges"], before.labels["charges"], atol=1e-9)
        assert results["energy"] * Hartree == pytest.approx(before.labels["energy"], abs=1e-8)


def test_what_ase_reads(write):
    """The same units and signs as the reader of ASE."""
    path = write(CATION + SALT)
    ours = read_structures(path, default_spin="lowest")
    for structure, atoms in zip(ours, ase.io.read(path, ":", format="runnerdata"), strict=True):
        np.testing.assert_allclose(structure.positions, atoms.positions, rtol=1e-8)
        np.testing.assert_allclose(structure.labels["forces"], atoms.get_forces(), rtol=1e-7)
        np.testing.assert_allclose(structure.labels["energy"], atoms.get_potential_energy(), rtol=1e-7)
        assert (structure.pbc == atoms.pbc).all()


def test_no_spin_is_guessed(write):
    with pytest.raises(StateError, match="frame 0: spin multiplicity not given.*data.spin: lowest, --lowest-spin"):
        read_structures(write(CATION))
    with pytest.raises(StateError, match="impossible state: 1 electrons"):
        read_structures(write(CATION), default_spin=1)
    with pytest.raises(StateError, match="frame 0: total charge not given"):
        read_structures(write(CATION.replace("charge  1.0\n", "")), default_spin="lowest")
    assert DataConfig(train="input.data", spin="lowest").spin == "lowest"
    assert [lowest_multiplicity([11, 17], q) for q in (-1, 0, 1)] == [2, 1, 2]


def test_a_frame_that_says_its_multiplicity_keeps_it(tmp_path, atoms_of):
    ase.io.write(tmp_path / "set.xyz", atoms_of("CH2 triplet"))
    assert read_structures(tmp_path / "set.xyz", default_spin="lowest")[0].spin_multiplicity == 3


def test_labels_that_are_absent(write):
    (structure,) = read_structures(write(CATION.replace("energy -0.5625\n", "")), default_spin=2)
    assert set(structure.labels) == {"forces", "charges"}
    zero = CATION.replace(" 0.4 ", " 0.0 ").replace(" 0.6 ", " 0 ")
    with pytest.warns(UserWarning, match="input.data: the charges of all atoms are 0: read as not known"):
        assert set(read_structures(write(zero * 2), default_spin=2)[1].labels) == {"forces", "energy"}
    kept = read_structures(write(zero + CATION), default_spin=2)[0].labels["charges"]
    assert kept.tolist() == [0, 0]
    relaxed = CATION.replace("-0.02", "0.0").replace("1e-3 0.0 0.02", "0 0 0")
    with pytest.warns(UserWarning, match="the forces of all atoms are 0"):
        assert set(read_structures(write(relaxed), default_spin=2)[0].labels) == {"charges", "energy"}


FAULTS = {
    "no end": (CATION.replace("end\n", ""), "(line 8): the structure has no 'end'. Is the file complete"),
    "after end": (CATION + "energy 3\n", "line 15: expected 'begin' after 'end' (line 14), found 'energy 3'"),
    "keyword": (CATION.replace("energy", "enrgy"), "line 12: unknown keyword 'enrgy'. Expected one of comment, lat"),
    "no atoms": ("begin\nenergy 0\nend\n", "(line 8): the structure has no atoms. Remove it"),
    "columns": (
        CATION.replace("0.6 0.0 ", "0.6 "),
        "line 11: expected 9 columns after 'atom' (position element",
    ),
    "element": (CATION.replace("2.25 H", "2.25 Hx"), "line 11: 'Hx' is no element. Expected a symbol"),
    "number": (CATION.replace("2.25", "2,25"), "line 11: expected numbers after 'atom': could not convert string"),
    "energy": (CATION.replace("-0.5625", "low"), "line 12: expected numbers after 'energy': could not convert"),
    "no energy": (CATION.replace("-0.5625", ""), "line 12: expected 1 numbers after 'energy', found 0"),
    "two": (CATION.replace("charge", "energy"), "expected 1 lines 'energy', found 2 (line 12, 13)"),
    "lattice": (SALT.replace("lattice 6.0", "# 6.0"), "expected 3 lines 'lattice', found 2 (line 10, 11)"),
    "vector": (SALT.replace("0.5 0.0 7.0", "0.5 0.0"), "line 11: expected 3 numbers after 'lattice', found 2"),
    "flat": (SALT.replace("0.5 0.0 7.0", "0.5 0.0 0.0"), "need cell vectors that are not zero and not linearly dep"),
    "begin": (
        CATION.replace("begin", "begin element"),
        "(line 8): expected 'begin' alone or with columns as in",
    ),
    "charge": (CATION.replace(" 1.0", " 0.5"), "info['charge'] (the total charge) must be one integer, found 0.5"),
    "nan": (CATION.replace("0.4", "nan"), "key 'charges' (charges) has values that are NaN or infinite"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_structure_is_named(write, fault):
    """File, frame and line are said, and the other structures can be kept."""
    text, message = FAULTS[fault]
    path = write(CATION + text + CATION)
    with pytest.raises(DataError) as caught:
        read_structures(path, default_spin="lowest")
    assert str(caught.value).startswith(f"{path}, frame 1") and message in str(caught.value)
    with pytest.warns(UserWarning, match="1 frames are left out, 2 are kept"):
        kept = read_structures(path, default_spin="lowest", on_error="skip")
    assert [s.source.rsplit(" ", 1)[1] for s in kept] == ["0", "2"]


def test_files_that_are_none(write):
    with pytest.raises(DataError, match=r"input.data: the file holds no structures \(no line 'begin'\)"):
        read_structures(write("\n# nothing\n"))
    with pytest.raises(DataError, match=r"input.data, line 2: expected 'begin'.*found 'atom 0 0 0 H'"):
        read_structures(write("\natom 0 0 0 H\n"))


def test_convert(write, tmp_path, capsys):
    source, target = write(CATION + SALT), tmp_path / "sub" / "out.xyz.gz"
    assert main(["convert", str(source), str(target), "--lowest-spin"]) == 0
    text = capsys.readouterr().out
    assert "energy in Hartree, length in Bohr, charge in e" in text and f"{target}: 2 frames" in text
    assert "the lowest that fits the electrons" in text and "frames with labels: energy 2, forces 2, charges 2" in text
    assert "H2 (+1, 2): 1 frames, charge +1, multiplicity 2" in text
    cation, salt = read_structures(target)
    assert cation.labels["energy"] == -0.5625 * Hartree and cation.spin_multiplicity == 2
    assert salt.cell[1, 1] == 6.5 * Bohr


def test_convert_takes_units_and_keys(tmp_path, capsys):
    source, target = tmp_path / "a.xyz", tmp_path / "b.xyz"
    source.write_text('1\nProperties=species:S:1:pos:R:3 E_dft=-0.5 charge=0 spin=2 pbc="F F F"\nH 1 0 0\n')
    words = ["convert", str(source), str(target), "--units", "energy=Hartree,length=Bohr", "--keys", "energy=E_dft"]
    assert main(words) == 0
    (structure,) = read_structures(target)
    assert structure.labels["energy"] == -0.5 * Hartree and structure.positions[0, 0] == Bohr
    assert main(words) == 2 and "b.xyz exists already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0


def test_convert_names_what_is_missing(write, tmp_path, capsys):
    source = str(write(CATION))
    assert main(["convert", source, str(tmp_path / "out.xyz")]) == 2
    assert "--lowest-spin" in capsys.readouterr().err
    assert main(["convert", source, str(tmp_path / "out.cif"), "--spin", "2"]) == 2
    assert "expected a name that ends in .xyz" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["convert", source, "out.xyz", "--units", "Hartree"])
    assert "expected key=value,key=value, found 'Hartree'" in capsys.readouterr().err


def test_label_reads_lengths_in_bohr(write, tmp_path):
    summary = label_file(
        write(CATION), tmp_path / "out.xyz", method="GFN1-xTB", spin="lowest", spin_polarization=False, progress=False
    )
    assert summary.labelled == 1
    (structure,) = read_structures(tmp_path / "out.xyz")
    assert structure.positions[1, 2] == pytest.approx(2.25 * Bohr, abs=1e-7)
    assert (structure.total_charge, structure.spin_multiplicity) == (1, 2)
