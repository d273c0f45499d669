"""States and labels of a set: mixed, absent, misspelt; its fingerprint."""

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest

from charon.data import fingerprint, labels_present, read_structures, require_labels
from charon.errors import DataError, StateError

from .frames import HYDROGEN, PROPERTIES


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
