"""Pairs of frames far apart as training frames: states and labels add up, and only molecules take part."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest

from charon.data import read_structures
from charon.errors import DataError
from charon.structure import Structure
from charon.train.config import DataConfig
from charon.train.dataset import read_sets
from charon.train.far_pairs import FAR, SYSTEM, far_pairs, joined

from .conftest import trimers


@pytest.fixture
def molecules() -> list[Structure]:
    """Ag3+ and Ag3- with charges, and neutral doublets of them with spins besides."""
    charged = [Structure.from_atoms(atoms, source=f"frame {i}") for i, atoms in enumerate(trimers(6))]
    spins = {"spins": np.array([0.5, 0.25, 0.25])}
    neutral = [replace(s, total_charge=0, spin_multiplicity=2, labels={**s.labels, **spins}) for s in charged[:2]]
    return [*charged, *neutral]


def test_states_and_labels_add_up(molecules):
    ion, radical = molecules[0], molecules[-1]
    pair = joined(ion, radical)
    assert (pair.total_charge, pair.spin_multiplicity, pair.n_atoms) == (1, 2, 6)
    assert pair.labels["energy"] == ion.labels["energy"] + radical.labels["energy"]
    np.testing.assert_array_equal(pair.labels["forces"][3:], radical.labels["forces"])
    assert pair.labels["charges"].sum() == pytest.approx(1.0 + radical.labels["charges"].sum())
    assert set(pair.labels) == {"energy", "forces", "charges"}  # the ion has no spins, a dipole would not add up
    between = np.linalg.norm(pair.positions[:3, None] - pair.positions[None, 3:], axis=-1)
    assert between.min() > FAR - 10.0


def test_one_of_two_has_a_state_and_the_other_is_neutral(molecules):
    pairs = far_pairs(molecules, 5.0, seed=1)
    assert len(pairs) == 40 and {p.system for p in pairs} == {SYSTEM}
    assert {p.total_charge for p in pairs} <= {-1, 0, 1}
    again = far_pairs(molecules, 5.0, seed=1)
    assert [p.source for p in pairs] == [p.source for p in again]
    assert [p.source for p in pairs] != [p.source for p in far_pairs(molecules, 5.0, seed=2)]


def test_the_electron_goes_where_it_is_held(molecules):
    """Two compositions of two states each: only pairs of the lower sum are drawn; without the exchanged ones, all."""
    one, other = (replace(molecules[0], numbers=np.array(z), total_charge=0) for z in ([47] * 3, [29] * 3))
    gaps = {"one": 1.0, "other": 2.0}
    frames = []
    for name, s in (("one", one), ("other", other)):
        frames.append(replace(s, source=name, labels={"energy": np.array(0.0)}))
        frames.append(replace(s, source=f"{name}-", total_charge=-1, labels={"energy": np.array(gaps[name])}))
    found = {p.source.split(", ")[0] for p in far_pairs(frames, 20.0, seed=0)}
    assert found == {"one- and one", "one- and other", "other- and other"}
    found = {p.source.split(", ")[0] for p in far_pairs(frames[1:], 20.0, seed=0)}  # no neutral one
    assert found == {"one- and other", "other- and other"}


def test_too_few_pairs_are_an_error(molecules, monkeypatch):
    monkeypatch.setattr("charon.train.far_pairs.keep_states", lambda *_: False)
    with pytest.raises(DataError, match="of 80 pairs drawn only 0 keep their states .* expected 4"):
        far_pairs(molecules, 0.5, seed=0)


def test_crystals_and_sets_of_one_kind_are_refused(molecules):
    crystals = [replace(s, pbc=np.array([True] * 3), cell=20.0 * np.eye(3)) for s in molecules]
    for unfit in (crystals, molecules[:6]):
        with pytest.raises(DataError, match="some charged or open-shell and some neutral; found"):
            far_pairs(unfit, 0.5, seed=0)


def test_a_training_reads_them_beside_its_frames(tmp_path):
    frames = trimers(8)
    for atoms in frames[::2]:
        atoms.info.update(charge=0, spin=2)
    ase.io.write(tmp_path / "train.xyz", frames)
    config = DataConfig(train=tmp_path / "train.xyz", validation=0.25, far_pairs=0.5)
    sets = read_sets(config, seed=0)
    alone = read_sets(config.model_copy(update={"far_pairs": 0.0}), seed=0)
    assert [len(s) for s in (alone.train, alone.validation)] == [6, 2]
    assert [s.system for s in sets.train[6:]] == [SYSTEM] * 3
    assert [s.system for s in sets.validation[2:]] == [SYSTEM]
    assert sets.fingerprint() == read_sets(config, seed=0).fingerprint() != alone.fingerprint()
    assert len(read_structures(tmp_path / "train.xyz")) == 8
