"""Errors per property and system, predictions that lead back to their frames, and `charon eval`."""

import math

import ase.io
import numpy as np
import pytest
from ase import Atoms

from charon.data import read_structures
from charon.errors import DataError, ModelFileError
from charon.evaluate import (
    Predictor,
    evaluate_file,
    load_predictor,
    predict,
    read_predictions,
    write_predictions,
)
from charon.metrics import error_table, overall, worst_frames
from charon.structure import Structure
from charon.tables import short, table_of_errors, table_of_outliers, table_of_sets
from charon.train import load_run


def structures_of(frames, **options) -> list[Structure]:
    return [Structure.from_atoms(a, source=f"a.xyz, frame {i}", **options) for i, a in enumerate(frames)]


def shifted(structures, energy=0.0, force=0.0):
    """Predictions that are off by a constant."""
    return [
        {"energy": s.labels["energy"] + energy, "forces": s.labels["forces"] + force, "dipole": np.zeros(3)}
        for s in structures
    ]


def test_errors_by_hand(sets):
    structures = structures_of(sets.trimers(4, labels=("energy", "forces")))
    predictions = shifted(structures, energy=0.006, force=-0.2)
    predictions[0]["energy"] = structures[0].labels["energy"] - 0.018
    rows = {(row.property, row.system): row for row in error_table(structures, predictions)}
    row = rows["energy per atom", "all"]
    assert math.isclose(row.mae, (6.0 + 2.0 * 3) / 4, rel_tol=1e-6) and row.unit == "meV/atom"
    assert math.isclose(row.rmse, math.sqrt((36.0 + 4.0 * 3) / 4), rel_tol=1e-6)
    assert math.isclose(rows["energy", "Ag3+"].mae, (18.0 + 6.0) / 2, rel_tol=1e-6)
    assert math.isclose(rows["forces", "Ag3-"].rmse, 200.0, rel_tol=1e-9)
    assert (rows["forces", "all"].frames, rows["forces", "all"].components) == (4, 36)
    assert ("dipole", "all") not in rows


def test_spread_is_about_the_mean_of_each_system(sets):
    structures = structures_of(sets.trimers(6, labels=("energy",)))
    row = overall(error_table(structures, [{"energy": s.labels["energy"]} for s in structures]))["energy"]
    energies = np.array([1000 * float(s.labels["energy"]) for s in structures])
    within = np.concatenate([energies[::2] - energies[::2].mean(), energies[1::2] - energies[1::2].mean()])
    assert math.isclose(row.reference_rms, math.sqrt((within**2).mean()), rel_tol=1e-9)
    assert row.mae == 0.0 and row.reference_rms < 0.2 * energies.std()


def test_frames_without_a_label_are_left_out(sets):
    frames = sets.trimers(1) + sets.trimers(1, seed=1, labels=("energy",))
    structures = structures_of(frames)
    predictions = [{"energy": s.labels["energy"], "forces": np.zeros((3, 3))} for s in structures]
    rows = overall(error_table(structures, predictions))
    assert rows["forces"].frames == 1 and rows["energy"].frames == 2


def test_worst_frames_come_first(sets):
    structures = structures_of(sets.trimers(4, labels=("energy", "forces")))
    predictions = shifted(structures)
    predictions[2]["forces"] = predictions[2]["forces"] + 0.3
    worst = [o for o in worst_frames(structures, predictions, count=2) if o.property == "forces"]
    assert worst[0].source == "a.xyz, frame 2" and math.isclose(worst[0].error, 300.0, rel_tol=1e-9)
    assert len(worst) == 2 and worst[1].error == 0.0


def test_batches_do_not_change_predictions(finished_run):
    potential, _, _ = load_run(finished_run)
    predictor = Predictor.of_potential(potential.double())
    structures = read_structures(finished_run.parent / "test.xyz")
    done = []
    together = predict(predictor, structures, batch_size=4, progress=done.append)
    alone = predict(predictor, structures, batch_size=1)
    assert done == [4, 6]
    for a, b in zip(together, alone, strict=True):
        assert set(a) == {"energy", "forces", "charges", "spins", "dipole"}
        assert all(np.allclose(a[name], b[name], rtol=1e-9, atol=1e-10) for name in a)


def test_stress_of_periodic_cells_only(sets, finished_run):
    frames = sets.copper(1)
    frames[0].numbers[:] = 47
    found = predict(load_predictor(finished_run), structures_of(frames))[0]
    assert found["stress"].shape == (3, 3) and "dipole" not in found


def test_predictions_read_back(sets, tmp_path):
    structures = structures_of(sets.trimers(2) + sets.copper(1))
    predictions = [
        {
            "energy": np.float64(i + 1 / 3),
            "forces": np.full((s.n_atoms, 3), 0.125),
            "charges": np.arange(s.n_atoms) / 8,
        }
        for i, s in enumerate(structures)
    ]
    predictions[2]["stress"] = np.diag([0.5, 0.25, 0.125])
    write_predictions(tmp_path / "p.xyz", structures, predictions)
    again, found = read_predictions(tmp_path / "p.xyz")
    assert [s.source for s in again] == [f"a.xyz, frame {i}" for i in range(3)]
    for before, after, a, b in zip(structures, again, predictions, found, strict=True):
        assert (after.system, after.total_charge) == (before.system, before.total_charge)
        assert set(after.labels) == set(before.labels)
        assert all(np.allclose(after.labels[k], before.labels[k], atol=1e-7) for k in before.labels)
        assert set(a) == set(b) and all(np.allclose(a[k], b[k], rtol=1e-12) for k in a)


def test_an_outlier_leads_to_its_frame(finished_run):
    frames = ase.io.read(finished_run / "predictions/test.xyz", index=":")
    source = frames[3].info["source"]
    assert source.endswith("test.xyz, frame 3")
    original = read_structures(finished_run.parent / "test.xyz")[3]
    assert np.allclose(frames[3].positions, original.positions, atol=1e-7)
    assert frames[3].arrays["pred_forces"].shape == (3, 3) and "pred_energy" in frames[3].info


def test_eval_of_a_run(finished_run, tmp_path, console):
    rows = evaluate_file(
        finished_run,
        finished_run.parent / "test.xyz",
        output=tmp_path / "p.xyz",
        batch_size=4,
        console=console,
    )
    stored = overall(error_table(*read_predictions(finished_run / "predictions/test.xyz")))
    assert math.isclose(overall(rows)["forces"].mae, stored["forces"].mae, rel_tol=1e-4)
    text = console.file.getvalue()
    for part in ("MAE", "RMSE", "Ag3+", "Ag3-", "meV/atom", "worst frames", "frame", "p.xyz"):
        assert part in text
    assert len(read_predictions(tmp_path / "p.xyz")[0]) == 6


def test_eval_of_a_checkpoint(finished_run, console):
    data = finished_run.parent / "test.xyz"
    best, run = (
        overall(evaluate_file(model, data, console=console))["forces"].mae
        for model in (finished_run / "checkpoints/best.pt", finished_run)
    )
    assert best == run


def test_element_that_the_model_does_not_know(finished_run, tmp_path, sets, console):
    sets.write(tmp_path / "cu.xyz", sets.copper(1))
    with pytest.raises(DataError, match="cu.xyz, frame 0: the model does not know Cu; its elements are Ag"):
        evaluate_file(finished_run, tmp_path / "cu.xyz", console=console)


def test_data_without_labels(finished_run, tmp_path, sets, console):
    atoms = Atoms("Ag3", np.diag([1.0, 2.0, 3.0]), info={"charge": 1, "spin": 1})
    sets.write(tmp_path / "bare.xyz", [atoms])
    with pytest.raises(DataError, match="bare.xyz: no frame has a label to compare with"):
        evaluate_file(finished_run, tmp_path / "bare.xyz", console=console)


def test_state_for_a_set_that_has_none(finished_run, tmp_path, sets, console):
    frames = sets.trimers(2)
    for atoms in frames:
        del atoms.info["charge"], atoms.info["spin"]
    sets.write(tmp_path / "none.xyz", frames)
    with pytest.raises(DataError, match="not given. Nothing is guessed"):
        evaluate_file(finished_run, tmp_path / "none.xyz", console=console)
    assert evaluate_file(finished_run, tmp_path / "none.xyz", charge=1, spin=1, console=console)


def test_directory_that_is_no_run(tmp_path):
    with pytest.raises(ModelFileError, match="is no run directory"):
        load_predictor(tmp_path)


def rendered(console, table) -> str:
    console.print(table)
    return console.file.getvalue()


def test_few_systems_have_a_block_per_property(sets, console):
    structures = structures_of(sets.trimers(4, labels=("energy", "forces")))
    text = rendered(console, table_of_errors(error_table(structures, shifted(structures, 0.003)), "test"))
    assert "spread" in text and text.count("Ag3+") == 3


def test_many_systems_have_a_line_each(sets, console):
    frames = sets.trimers(8, labels=("energy", "forces"))
    for index, atoms in enumerate(frames):
        atoms.info["system"] = f"system {index}"
    structures = structures_of(frames)
    text = rendered(console, table_of_errors(error_table(structures, shifted(structures, 0.003)), "test"))
    assert text.count("system 5") == 1 and "MAE / RMSE" in text and "3 / 3" in text


def test_tables_of_sets_and_outliers(sets, console):
    structures = structures_of(sets.trimers(2, labels=("energy", "forces")))
    rows = error_table(structures, shifted(structures, 0.003))
    assert "1 / 1" in rendered(console, table_of_sets({"train": rows, "test": rows}))
    outliers = worst_frames(structures, shifted(structures, 0.003))
    assert "a.xyz, frame 1" in rendered(console, table_of_outliers(outliers))


def test_short_numbers():
    assert [short(value) for value in (1664.3, 35.71, 4.213, 0.03512)] == ["1664", "35.7", "4.21", "0.0351"]
