"""Files to structures: formats, frames that cannot be read, states of a set, labels of a set, round trip."""

import gzip
import lzma
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from charon.data import fingerprint, labels_present, read_structures, require_labels, write_structures
from charon.errors import ConfigError, DataError, StateError

PROPERTIES = "Properties=species:S:1:pos:R:3:forces:R:3"
HYDROGEN = f"""2
{PROPERTIES} charge=0 spin=1 energy=-31.7 pbc="F F F"
H 0.0 0.0 0.0 0.0 0.0 0.1
H 0.0 0.0 0.74 0.0 0.0 -0.1
"""


@pytest.fixture
def write(tmp_path):
    """Writes text to a file and returns its path."""

    def write_text(text, name="set.xyz"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_text


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


BROKEN = {
    "missing atom": (
        HYDROGEN.replace("H 0.0 0.0 0.0 0.0 0.0 0.1\n", ""),
        "announces 2 atoms, 1 lines of atoms",
    ),
    "atom too many": (HYDROGEN + "H 0 0 2 0 0 0\n", "announces 2 atoms, 3 lines of atoms"),
    "missing column": (HYDROGEN.replace("0.74 0.0 0.0 -0.1", "0.74 0.0 0.0"), "the frame cannot be read"),
    "no number": (HYDROGEN.replace("0.74", "O.74"), "the frame cannot be read: ValueError.*O.74"),
    "no element": (
        HYDROGEN.replace("H 0.0 0.0 0.74", "Qq 0.0 0.0 0.74"),
        "the frame cannot be read: KeyError: 'Qq'",
    ),
    "no atoms": (f"0\n{PROPERTIES} charge=0 spin=1\n", "the frame has no atoms"),
    "position is NaN": (
        HYDROGEN.replace("0.74", "nan"),
        r"positions must be finite numbers.*at atom 1 \(1 of 2",
    ),
    "force is NaN": (HYDROGEN.replace("-0.1\n", "nan\n"), r"key 'forces' \(forces\) has values that are NaN"),
    "impossible state": (HYDROGEN.replace("spin=1", "spin=2"), "impossible state: 2 electrons"),
    "aliases disagree": (HYDROGEN.replace("spin=1", "spin=1 mult=3"), "spin multiplicity disagree"),
    "wrong shape": (HYDROGEN.replace("energy=-31.7", 'energy="1 2"'), r"must have shape \[\], found \[2\]"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_bad_frame_is_named(write, fault):
    text, message = BROKEN[fault]
    path = write(HYDROGEN * 2 + text + HYDROGEN)
    with pytest.raises(DataError, match=rf"set\.xyz, frame 2( \(line 9\))?: .*{message}"):
        read_structures(path)


@pytest.mark.parametrize("fault", BROKEN)
def test_the_other_frames_are_kept_on_request(write, fault):
    text, message = BROKEN[fault]
    path = write(HYDROGEN * 2 + text + HYDROGEN)
    with pytest.warns(UserWarning, match=rf"1 frames are left out, 3 are kept:\n.*frame 2.*{message}"):
        structures = read_structures(path, on_error="skip")
    assert [s.source.rsplit(" ", 1)[1] for s in structures] == ["0", "1", "3"]


def test_no_frame_is_left(write):
    with pytest.raises(DataError, match="None of 1 frames can be used:\n.*frame 0: the key 'e' named"):
        read_structures(write(HYDROGEN), keys={"energy": "e"}, on_error="skip")


def test_unreadable_file_of_another_format(write):
    path = write("ATOM      1  C   MOL     1       0.000   0.0x0   0.000  1.00  0.00\n", "set.pdb")
    with pytest.raises(DataError, match=r"set.pdb: ASE gave 0 frames, then could not read on \(ValueError"):
        read_structures(path)


def test_files_that_cannot_be_read(tmp_path, write):
    with pytest.raises(DataError, match=r"nowhere.xyz: there is no such file \(looked in /"):
        read_structures("nowhere.xyz")
    with pytest.raises(DataError, match="set.xyz: the file holds no frames"):
        read_structures(write("\n\n"))
    with pytest.raises(DataError, match="set.xyz, line 1: expected the number of atoms.*found 'hello'"):
        read_structures(write("hello\n"))
    with pytest.raises(DataError, match="set.unknown: ASE does not know this format. Convert it"):
        read_structures(write("hello\n", "set.unknown"))
    whole = lzma.compress((HYDROGEN * 50).encode())
    (tmp_path / "cut.xyz.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cut.xyz.xz: cannot be read: .*Is the file complete"):
        read_structures(tmp_path / "cut.xyz.xz")
    (tmp_path / "fake.xyz.gz").write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="fake.xyz.gz: cannot be read"):
        read_structures(tmp_path / "fake.xyz.gz")


def test_mixed_states(write):
    without = HYDROGEN.replace("charge=0 spin=1 ", "")
    path = write(HYDROGEN + without + HYDROGEN + without)
    message = r"2 of 4 frames carry no total charge while the others do: \S*set.xyz, frame 1; \S*set.xyz, frame 3"
    with pytest.raises(StateError, match=message):
        read_structures(path)
    with pytest.raises(StateError, match=message):
        read_structures(path, default_charge=0, default_spin=1)
    with pytest.raises(StateError, match="1 of 2 frames carry no spin multiplicity"):
        read_structures(write(HYDROGEN + HYDROGEN.replace("spin=1", "")))


def test_mixed_states_over_two_files(write):
    paths = [write(HYDROGEN, "a.xyz"), write(HYDROGEN.replace("charge=0 spin=1 ", ""), "b.xyz")]
    with pytest.raises(StateError, match=r"1 of 2 frames carry no total charge.*b.xyz, frame 0"):
        read_structures(paths)


def test_no_state_at_all(write):
    path = write(HYDROGEN.replace("charge=0 spin=1 ", ""))
    with pytest.raises(StateError, match=r"frame 0: total charge and spin multiplicity not given.*data.charge"):
        read_structures(path)
    assert read_structures(path, default_charge=0, default_spin=3)[0].unpaired == 2
    with pytest.raises(StateError, match="frame 0: spin multiplicity not given"):
        read_structures(path, default_charge=0)


def test_odd_periodic_cells_warn_once(tmp_path, atoms_of):
    atoms = atoms_of("NaCl cell")
    atoms.info["charge"] = 1
    ase.io.write(tmp_path / "set.xyz", [atoms] * 3)
    with pytest.warns(UserWarning, match="3 periodic structures have an unusual.*frame 0: 111 electrons") as caught:
        assert len(read_structures(tmp_path / "set.xyz")) == 3
    assert len(caught) == 1


def test_options_that_are_refused(write):
    path = write(HYDROGEN)
    with pytest.raises(ConfigError, match="on_error must be 'raise' or 'skip', found 'ignore'"):
        read_structures(path, on_error="ignore")
    with pytest.raises(ConfigError, match="units.energy: unknown unit 'Ha'"):
        read_structures(path, units={"energy": "Ha"})
    with pytest.raises(ConfigError, match="'energi' is no label. Did you mean 'energy'"):
        read_structures(path, keys={"energi": "e"})


def test_labels_of_a_set(structures, with_labels):
    bare, full = structures["CH2 singlet"], with_labels(structures["NaCl cell"])
    assert labels_present([bare]) == {}
    assert labels_present([bare, full, full]) == {
        "energy": 2,
        "forces": 2,
        "stress": 2,
        "charges": 2,
        "spins": 2,
    }
    require_labels([bare, full], ["energy", "stress"])
    with pytest.raises(
        DataError,
        match=r"No structure carries the label dipole \(first: CH2 singlet\). "
        r"Labels found: energy \(1 of 2\), forces.*Looked for: REF_dipole, dipole. Keys in",
    ):
        require_labels([bare, full], ["energy", "dipole"])
    with pytest.raises(DataError, match="Labels found: none"):
        require_labels([bare], ["energy"])


def test_misspelt_label(write):
    """The keys that nobody read are listed."""
    structures = read_structures(write(HYDROGEN.replace("energy=", "Energy=").replace("forces", "force")))
    assert structures[0].labels == {} and structures[0].unread_keys == ("Energy", "force")
    with pytest.raises(
        DataError,
        match="Looked for: REF_forces, forces. Keys in the files that no label was read from: Energy, force. "
        "Name the key under data.keys in the configuration",
    ):
        require_labels(structures, ["forces"])


def test_reference_labels_in_a_file(write):
    comment = (
        f'Lattice="4 0 0 0 4 0 0 0 4" {PROPERTIES}:REF_forces:R:3:REF_magmoms:R:1 charge=0 spin=1 '
        'energy=-1 REF_energy=-2 stress="1 0 0 0 1 0 0 0 1" REF_stress="3 0.5 0 0.5 2 0 0 0 1"'
    )
    atoms = "H 0 0 0 0 0 0.1 0 0 0.2 0.5\nH 0 0 0.7 0 0 0.1 0 0 0.2 -0.5\n"
    labels = read_structures(write(f"2\n{comment}\n{atoms}"))[0].labels
    assert labels["energy"] == -2 and (labels["forces"][:, 2] == 0.2).all()
    assert labels["stress"].tolist() == [[3, 0.5, 0], [0.5, 2, 0], [0, 0, 1]]
    assert labels["spins"].tolist() == [0.5, -0.5]


def test_fingerprint_sees_everything_but_names(structures, with_labels):
    base = with_labels(structures["CH2 triplet"])
    reference = fingerprint([base])
    assert fingerprint([replace(base, source="other", system="other")]) == reference
    changed = [
        replace(base, numbers=base.numbers[[1, 0, 2]]),
        replace(base, positions=base.positions + 1e-12),
        replace(base, pbc=np.array([True, False, False])),
        replace(base, total_charge=2),
        replace(base, spin_multiplicity=1),
        replace(base, labels={**base.labels, "energy": base.labels["energy"] + 1e-9}),
        replace(base, labels={"energy": base.labels["energy"]}),
    ]
    prints = {fingerprint([s]) for s in changed} | {reference, fingerprint([base, base]), fingerprint([])}
    assert len(prints) == len(changed) + 3


def test_shipped_data():
    """Real frames in several states: charges add up to the total charge, forces to zero."""
    data = Path(__file__).parents[2] / "examples" / "data" / "clusters" / "test.xyz.xz"
    structures = read_structures(data)
    assert len({(s.total_charge, s.spin_multiplicity) for s in structures}) >= 4
    assert labels_present(structures)["forces"] == len(structures)
    for structure in structures:
        assert structure.labels["charges"].sum() == pytest.approx(structure.total_charge, abs=1e-3)
        assert np.abs(structure.labels["forces"].sum(axis=0)).max() < 1e-3
