"""Labelling with tblite: values against tblite itself, resuming, frames left out, messages."""

import json

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from tblite.ase import TBLite

from charon.data.engine import TbliteEngine
from charon.data.label import label_file
from charon.errors import ConfigError, DataError, StateError


def in_state(atoms: Atoms, charge: int, spin: int) -> Atoms:
    atoms.info |= {"charge": charge, "spin": spin}
    return atoms


def triplets(count: int) -> list[Atoms]:
    frames = [in_state(molecule("CH2_s3B1d"), 0, 3) for _ in range(count)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=seed)
        atoms.info["system"] = "CH2 triplet"
    return frames


def label(folder, frames, **settings):
    """Write frames, label them, and read the result: (summary, frames)."""
    ase.io.write(folder / "in.xyz", frames)
    summary = label_file(folder / "in.xyz", folder / "out.xyz", progress=False, **settings)
    return summary, ase.io.read(folder / "out.xyz", ":") if summary.labelled else []


def tblite(atoms, charge=0, spin=1, polarized=False, **settings):
    atoms = atoms.copy()
    atoms.calc = TBLite(
        charge=charge,
        multiplicity=spin,
        spin_polarization=1.0 if polarized else None,
        verbosity=0,
        **settings,
    )
    return atoms


@pytest.mark.parametrize(
    ("atoms", "charge", "spin"),
    [
        (molecule("H2O"), 0, 1),
        (molecule("CH2_s3B1d"), 0, 3),
        (molecule("CH2_s3B1d"), 1, 2),
        (Atoms("Ag3", [[0, 0, 0], [2.7, 0, 0], [5.3, 0.4, 0]]), -1, 1),
    ],
)
def test_molecules_equal_tblite(tmp_path, atoms, charge, spin):
    summary, (labelled,) = label(tmp_path, [in_state(atoms, charge, spin)])
    direct = tblite(ase.io.read(tmp_path / "in.xyz"), charge, spin, polarized=spin > 1)
    assert summary.labelled == 1
    assert labelled.info["charge"] == charge
    assert labelled.info["spin"] == spin
    assert labelled.get_potential_energy() == pytest.approx(direct.get_potential_energy(), abs=1e-7)
    np.testing.assert_allclose(labelled.get_forces(), direct.get_forces(), atol=1e-5)
    np.testing.assert_allclose(labelled.get_charges(), direct.get_charges(), atol=1e-5)
    assert labelled.get_charges().sum() == pytest.approx(charge, abs=1e-5)
    about_center = direct.get_dipole_moment() - charge * direct.positions.mean(axis=0)
    np.testing.assert_allclose(labelled.get_dipole_moment(), about_center, atol=1e-5)
    assert "stress" not in labelled.calc.results


def test_dipole_of_an_ion_does_not_depend_on_the_origin():
    engine = TbliteEngine()
    atoms = molecule("H2O")
    here = engine.single_point(atoms, 0, 1)["dipole"], engine.single_point(atoms, 1, 2)["dipole"]
    atoms.positions += [3.0, -2.0, 1.0]
    there = engine.single_point(atoms, 0, 1)["dipole"], engine.single_point(atoms, 1, 2)["dipole"]
    np.testing.assert_allclose(here, there, atol=1e-6)


def test_periodic_cell_has_stress_and_no_dipole(tmp_path):
    atoms = bulk("NaCl", "rocksalt", a=5.5, cubic=True)
    atoms.rattle(0.1, seed=3)
    _, (labelled,) = label(tmp_path, [atoms], method="GFN1-xTB", charge=0, spin=1)
    direct = tblite(ase.io.read(tmp_path / "in.xyz"), method="GFN1-xTB")
    assert labelled.get_potential_energy() == pytest.approx(direct.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(labelled.get_forces(), direct.get_forces(), atol=2e-5)
    np.testing.assert_allclose(labelled.get_stress(), direct.get_stress(), atol=1e-7)
    assert "dipole" not in labelled.calc.results
    assert "spins" not in labelled.arrays


def test_spins_add_up_to_the_unpaired_electrons(tmp_path):
    _, (triplet, cation) = label(tmp_path, [*triplets(1), in_state(molecule("H2O"), 1, 2)])
    assert triplet.arrays["spins"].sum() == pytest.approx(2, abs=1e-5)
    assert triplet.arrays["spins"][0] > 1.5  # the unpaired electrons sit on the carbon
    assert cation.arrays["spins"].sum() == pytest.approx(1, abs=1e-5)


def test_closed_shells_are_the_same_with_spin_polarization(tmp_path):
    water = in_state(molecule("H2O"), 0, 1)
    _, (alone,) = label(tmp_path, [water])
    (tmp_path / "out.xyz").unlink()
    _, (beside_triplet, _) = label(tmp_path, [water, *triplets(1)])
    assert "spins" not in alone.arrays
    np.testing.assert_allclose(beside_triplet.arrays["spins"], 0, atol=1e-9)
    assert beside_triplet.get_potential_energy() == pytest.approx(alone.get_potential_energy(), abs=1e-6)


def test_info_is_kept_and_aliases_become_one_name(tmp_path):
    atoms = molecule("H2O")
    atoms.info = {"total_charge": 0, "multiplicity": 1, "system": "water", "temperature": 300}
    _, (labelled,) = label(tmp_path, [atoms])
    assert labelled.info == {"charge": 0, "spin": 1, "system": "water", "temperature": 300}


def test_compressed_target(tmp_path):
    ase.io.write(tmp_path / "in.xyz", triplets(2))
    label_file(tmp_path / "in.xyz", tmp_path / "out.xyz.xz", progress=False)
    assert len(ase.io.read(tmp_path / "out.xyz.xz", ":")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.xyz", "out.xyz.xz"]


def interrupt_after(monkeypatch, count):
    """Let the engine be interrupted by the user after `count` frames; return how often it was asked."""
    original, calls = TbliteEngine.single_point, []

    def single_point(self, *arguments):
        if len(calls) == count:
            raise KeyboardInterrupt
        calls.append(arguments)
        return original(self, *arguments)

    monkeypatch.setattr(TbliteEngine, "single_point", single_point)
    return calls


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
    _, whole = label(tmp_path, triplets(5))
    (tmp_path / "out.xyz").unlink()
    interrupt_after(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path, triplets(5))
    assert not (tmp_path / "out.xyz").exists()
    with (tmp_path / "out.xyz.partial").open("a") as log:
        log.write('{"frame": 3, "energy": -1')  # what a kill in the middle of a line leaves
    monkeypatch.undo()
    calls = interrupt_after(monkeypatch, None)
    summary, resumed = label(tmp_path, triplets(5))
    assert len(calls) == 2
    assert summary.labelled == 5
    assert not (tmp_path / "out.xyz.partial").exists()
    for first, second in zip(whole, resumed, strict=True):
        assert first.get_potential_energy() == second.get_potential_energy()
        np.testing.assert_array_equal(first.get_forces(), second.get_forces())


@pytest.mark.parametrize(
    ("frames", "settings", "changed"),
    [
        (triplets(4), {}, "input: was"),
        (triplets(3), {"method": "GFN1-xTB"}, "engine: was .*GFN2-xTB.* is .*GFN1-xTB"),
    ],
)
def test_resuming_another_job_is_refused(tmp_path, monkeypatch, frames, settings, changed):
    interrupt_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path, triplets(3))
    with pytest.raises(DataError, match=f"begun with other input or settings.*{changed}.*remove the file"):
        label(tmp_path, frames, **settings)
    assert len((tmp_path / "out.xyz.partial").read_text().splitlines()) == 2


def test_a_file_that_is_no_log_is_refused(tmp_path):
    (tmp_path / "out.xyz.partial").write_text("energies\n")
    with pytest.raises(DataError, match="is no log of a labelling"):
        label(tmp_path, triplets(1))


def test_a_frame_that_fails_is_reported_and_left_out(tmp_path):
    frames = triplets(3)
    frames[1].positions[1] = frames[1].positions[2]
    summary, labelled = label(tmp_path, frames)
    assert (summary.frames, summary.labelled, len(labelled)) == (3, 2, 2)
    assert list(summary.left_out) == [1]
    assert "frame 1 left out: Too close interatomic distances" in str(summary)


def test_unconverged_frames_are_left_out(tmp_path):
    summary, _ = label(tmp_path, triplets(2), max_iterations=2)
    assert summary.labelled == 0
    assert summary.left_out == {0: "SCF not converged in 2 cycles", 1: "SCF not converged in 2 cycles"}
    assert not (tmp_path / "out.xyz").exists()


def test_state_must_be_given(tmp_path):
    with pytest.raises(StateError, match=r"in\.xyz, frame 0: total charge and spin multiplicity not given"):
        label(tmp_path, [molecule("H2O")])


def test_state_must_be_possible(tmp_path):
    frames = [*triplets(1), in_state(molecule("H2O"), 1, 1)]
    with pytest.raises(StateError, match="frame 1: impossible state: 9 electrons .* multiplicity 1"):
        label(tmp_path, frames)
    assert not (tmp_path / "out.xyz.partial").exists()


def test_frame_and_argument_must_agree(tmp_path):
    with pytest.raises(StateError, match="frame 0: the frame says spin=3, the call says spin=1"):
        label(tmp_path, triplets(1), spin=1)


def test_existing_target_is_kept(tmp_path):
    (tmp_path / "out.xyz").write_text("mine")
    with pytest.raises(DataError, match="exists already; remove it"):
        label(tmp_path, triplets(1))
    assert (tmp_path / "out.xyz").read_text() == "mine"


def test_target_must_be_extended_xyz(tmp_path):
    ase.io.write(tmp_path / "in.xyz", triplets(1))
    with pytest.raises(DataError, match=r"expected a name that ends in \.xyz"):
        label_file(tmp_path / "in.xyz", tmp_path / "out.json", progress=False)


def test_unreadable_source(tmp_path):
    with pytest.raises(DataError, match=r"missing\.xyz: there is no such file"):
        label_file(tmp_path / "missing.xyz", tmp_path / "out.xyz")
    (tmp_path / "broken.xyz").write_text("3\n\nH 0 0 0\n")
    with pytest.raises(DataError, match=r"broken\.xyz, frame 0 .* announces 3 atoms, 1 lines"):
        label_file(tmp_path / "broken.xyz", tmp_path / "out.xyz")


def test_unknown_engine_and_method(tmp_path):
    with pytest.raises(ConfigError, match="engine: expected tblite, found 'orca'"):
        label(tmp_path, triplets(1), engine="orca")
    with pytest.raises(ConfigError, match="method: expected one of GFN1-xTB, GFN2-xTB, found 'PBE'"):
        label(tmp_path, triplets(1), method="PBE")


def test_slabs_are_refused(tmp_path):
    atoms = bulk("NaCl", "rocksalt", a=5.5, cubic=True)
    atoms.pbc = (True, True, False)
    with pytest.raises(DataError, match="set pbc to all or to none"):
        label(tmp_path, [in_state(atoms, 0, 1)])


def test_progress_tells_what_was_done(tmp_path, capsys):
    ase.io.write(tmp_path / "in.xyz", triplets(2))
    label_file(tmp_path / "in.xyz", tmp_path / "out.xyz")
    assert "2 of 2 frames labelled" in capsys.readouterr().out


def test_the_log_is_readable_lines(tmp_path, monkeypatch):
    interrupt_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path, triplets(3))
    header, *entries = map(json.loads, (tmp_path / "out.xyz.partial").read_text().splitlines())
    assert header["engine"]["method"] == "GFN2-xTB"
    assert [entry["frame"] for entry in entries] == [0, 1]
