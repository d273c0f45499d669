"""Whole runs: what a run directory holds, what is printed, and what is refused."""

import csv
import io
import json

import pytest
from ase import Atoms
from rich.console import Console

from charon.errors import CharonError, ConfigError
from charon.train import load_run, train_from_file
from charon.train.progress import clock


def test_clock():
    assert [clock(m) for m in (0.05, 1.5, 61.05, -1.0)] == ["0:03", "1:30", "1:01:03", "0:00"]


def test_run_directory_has_what_it_promises(finished_run):
    names = {path.relative_to(finished_run).as_posix() for path in finished_run.rglob("*") if path.is_file()}
    expected = {"config.yaml", "split.json", "log.txt", "metrics.csv", "evaluation.json", "report.html"}
    expected |= {"checkpoints/best.pt", "checkpoints/last.pt"}
    expected |= {f"predictions/{name}.xyz" for name in ("train", "validation", "test")}
    assert expected <= names
    assert "plots/learning_curves.png" in names and "plots/parity_test_forces.png" in names


def test_metrics_have_a_row_per_validation(finished_run):
    rows = list(csv.DictReader((finished_run / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert rows[-1]["step"] == "12"
    assert {"forces MAE [meV/A]", "energy per atom RMSE [meV/atom]", "charges MAE [me]"} <= set(rows[0])
    assert not any("stress" in key for key in rows[0])


def test_split_names_every_frame(finished_run):
    split = json.loads((finished_run / "split.json").read_text())
    assert split["train"]["frames"] == 12 and split["train"]["systems"] == {"Ag3+": 6, "Ag3-": 6}
    assert split["train"]["sources"][3].endswith("train.xyz, frame 3")
    assert split["test"]["files"][0].endswith("test.xyz")


def test_output_explains_itself(finished_run):
    text = (finished_run.parent / "output.txt").read_text()
    log = (finished_run / "log.txt").read_text()
    for part in ("reference energies (least squares)", "Ag", "loss weights: energy 5, forces 1", "epoch"):
        assert part in text and part in log
    assert "where `charon resume` continues" in text and "0:00 left" in log


def test_best_weights_are_loaded(finished_run):
    potential, config, info = load_run(finished_run)
    assert potential.elements == [47] and not potential.training
    assert config.training.epochs == 4 and config.loss.stress == 0
    assert info["charge_range"] == [-1, 1] and info["spin_range"] == [1, 1]
    assert len(info["data_fingerprint"]) == 64 and "meV/A" in info["metrics"]["test"]["forces"]
    assert load_run(finished_run, "last")[0].cutoff == 4.0


@pytest.mark.usefixtures("without_report")
def test_terminal_shows_a_live_table(project):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    outcome = train_from_file(project, ["training.epochs=2"], run_directory=project.parent / "run", console=console)
    text = console.file.getvalue()
    assert not outcome.interrupted and "steps/s" in text and "meV/A" in text


@pytest.mark.usefixtures("without_report")
def test_blind_run(project, console):
    outcome = train_from_file(project, run_directory=project.parent / "run", blind=True, console=console)
    assert load_run(outcome.run_directory)[1].model.electronic == "none"
    text = console.file.getvalue()
    assert "blind: total charge and spin are withheld" in text
    errors = json.loads((outcome.run_directory / "evaluation.json").read_text())["errors"]["test"]
    assert "charges" not in {row["property"] for row in errors}


@pytest.mark.usefixtures("without_report")
def test_periodic_training_without_validation(sets, tmp_path, console):
    sets.write(tmp_path / "cu.xyz", sets.copper(6))
    (tmp_path / "cu.yaml").write_text(
        "data: {train: cu.xyz}\nmodel: {cutoff: 3.0, channels: 4, layers: 1, l_max: 1}\ntraining: {epochs: 2}\n"
    )
    outcome = train_from_file(tmp_path / "cu.yaml", run_directory=tmp_path / "run", console=console)
    assert not (outcome.run_directory / "checkpoints/best.pt").exists()
    rows = json.loads((outcome.run_directory / "evaluation.json").read_text())["errors"]["train"]
    assert "stress" in {row["property"] for row in rows}
    assert load_run(outcome.run_directory)[0].elements == [29]


@pytest.mark.usefixtures("without_report")
def test_run_directories_are_numbered(project, console, monkeypatch):
    monkeypatch.chdir(project.parent)
    names = []
    for blind in (False, False, True):
        outcome = train_from_file(project, ["training.steps=1"], blind=blind, console=console)
        names.append(outcome.run_directory.as_posix())
    assert names == ["runs/trimers-1", "runs/trimers-2", "runs/trimers-blind-1"]


def test_run_directory_is_not_overwritten(project, console):
    (project.parent / "full").mkdir()
    (project.parent / "full/precious.txt").write_text("x")
    with pytest.raises(ConfigError, match="exists already and is not empty; choose another --run-dir"):
        train_from_file(project, run_directory=project.parent / "full", console=console)


def test_element_of_the_test_set_only(sets, project, console):
    sets.write(project.parent / "test.xyz", [Atoms("Au2", [[0, 0, 0], [0, 0, 2.5]], info={"charge": 0, "spin": 1})])
    with pytest.raises(CharonError, match="test.xyz, frame 0: the model does not know Au; its elements are Ag"):
        train_from_file(project, run_directory=project.parent / "run", console=console)
