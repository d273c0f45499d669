"""Training: it learns, it leaves what it promises, and it stops where it must."""

import csv
import io
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from rich.console import Console

from charon.batch import make_graphs
from charon.errors import CharonError, ConfigError, DataError
from charon.model import ModelConfig, Statistics
from charon.structure import Structure
from charon.train import load_run, train_from_file
from charon.train.checkpoint import fresh_potential
from charon.train.config import Config, DataConfig, LossConfig, TrainingConfig
from charon.train.dataset import batch_order, fixed_batches, hold_out
from charon.train.ema import AveragedWeights
from charon.train.loop import Hooks, Trainer, TrainingError
from charon.train.loss import Loss, Scales
from charon.train.progress import clock
from charon.train.references import plausibility
from charon.train.schedule import GradientLimit, LearningRate

NO_HOOKS = Hooks(lambda *_: None, lambda *_: None, lambda *_: None)
SMALL = ModelConfig(cutoff=4.0, channels=4, layers=1, l_max=1, radial_functions=4)


def trainer_of(structures, **training) -> Trainer:
    options = {"epochs": 2, "batch_size": 2, "dtype": "float64", **training}
    data = DataConfig(train=["unused.xyz"], validation=["unused.xyz"])
    config = Config(data=data, model=SMALL, training=TrainingConfig(**options))
    potential = fresh_potential(config, [47], Statistics((-100.0,), 2.0))
    graphs = make_graphs(structures, [47], 4.0)
    loss = Loss(LossConfig(stress=0, spins=0), Scales())
    return Trainer(potential, config, loss, graphs, graphs[:4])


@pytest.fixture
def structures(sets) -> list[Structure]:
    return [Structure.from_atoms(atoms, source=f"a.xyz, frame {i}") for i, atoms in enumerate(sets.trimers(8))]


@pytest.mark.parametrize(("optimizer", "epochs"), [("adamw", 40), ("muon", 120)])
def test_loss_falls(structures, optimizer, epochs):
    trainer = trainer_of(structures, epochs=epochs, ema_decay=0.5, optimizer=optimizer, learning_rate=0.02)
    before = trainer.validate().score
    assert trainer.run(NO_HOOKS)
    assert trainer.validate().score < 0.2 * before
    assert trainer.at.epoch == epochs and trainer.at.step == 4 * epochs and trainer.at.skipped == 0


def test_steps_in_place_of_epochs(structures):
    trainer = trainer_of(structures, steps=7)
    trainer.run(NO_HOOKS)
    assert (trainer.at.step, trainer.at.epoch) == (7, 2)


def test_time_limit_shortens_the_schedule(structures, monkeypatch):
    ticks = itertools.count(0.0, 0.5)
    monkeypatch.setattr("charon.train.loop.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    trainer = trainer_of(structures, epochs=100000, max_minutes=1.0)
    rates = []

    def step(trainer, loss):
        rates.append(trainer.learning_rate.at(trainer.progress))

    trainer.run(Hooks(step, lambda *_: None, lambda *_: None))
    assert 60 < trainer.at.step == trainer.at.planned < 130 and trainer.at.minutes < 1.1
    assert rates[-1] < 0.05 * max(rates)


def test_validation_and_checkpoints_at_their_epochs(structures):
    trainer = trainer_of(structures, epochs=5, validate_every=2, checkpoint_every=3)
    epochs, saved = [], []
    trainer.run(
        Hooks(
            lambda *_: None,
            lambda t, validation, loss, last: epochs.append((t.at.epoch, last)),
            lambda t, which: saved.append((t.at.epoch, which)),
        )
    )
    assert epochs == [(2, False), (4, False), (5, True)]
    assert [epoch for epoch, which in saved if which == "last"] == [3, 5]
    assert (2, "best") in saved


def test_validation_uses_the_average(structures):
    trainer = trainer_of(structures)
    before = trainer.validate().score
    with torch.no_grad():
        for parameter in trainer.potential.parameters():
            parameter.mul_(1.5)
    assert trainer.validate().score == before
    changed = [parameter.clone() for parameter in trainer.potential.parameters()]
    trainer.validate()
    assert all(torch.equal(a, b) for a, b in zip(changed, trainer.potential.parameters(), strict=True))


def test_loss_that_is_no_number_names_the_frames(structures):
    structures[3].labels["energy"] = np.array(np.nan)
    trainer = trainer_of(structures)
    with pytest.raises(TrainingError) as error:
        trainer.run(NO_HOOKS)
    text = str(error.value)
    assert "the loss is nan at step" in text and "a.xyz, frame 3" in text and "last checkpoint is untouched" in text
    assert all(bool(p.isfinite().all()) for p in trainer.potential.parameters())


def test_step_with_overflowing_gradient_is_left_out(structures, monkeypatch):
    trainer = trainer_of(structures)
    apply = trainer.limit.apply
    norms = iter([math.inf, None, None])
    monkeypatch.setattr(trainer.limit, "apply", lambda g: next(norms) or apply(g))
    before = [parameter.clone() for parameter in trainer.potential.parameters()]
    trainer._step(np.array([0, 1]))
    assert trainer.at.skipped == 1 and trainer.at.step == 1
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.potential.parameters(), strict=True))
    trainer._step(np.array([0, 1]))
    assert trainer.at.skipped == 1 and trainer.at.skipped_in_a_row == 0


def test_many_overflows_stop(structures, monkeypatch):
    trainer = trainer_of(structures, epochs=20)
    monkeypatch.setattr(trainer.limit, "apply", lambda gradients: math.inf)
    with pytest.raises(TrainingError, match="gradients overflow at step 20"):
        trainer.run(NO_HOOKS)


def test_average_of_weights():
    model = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(model.weight, 1.0)
    average = AveragedWeights(model, 0.5)
    torch.nn.init.constant_(model.weight, 3.0)
    average.update()
    decay = min(0.5, 2 / 11)
    expected = decay * 1.0 + (1 - decay) * 3.0
    with average.applied():
        assert math.isclose(float(model.weight.detach()), expected, rel_tol=1e-12)
    assert float(model.weight.detach()) == 3.0


def test_average_is_taken_back_after_an_error():
    model = torch.nn.Linear(1, 1, bias=False)
    average = AveragedWeights(model, 0.5)
    torch.nn.init.constant_(model.weight, 3.0)
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert float(model.weight.detach()) == 3.0


def test_learning_rates():
    cosine = LearningRate(TrainingConfig(learning_rate=1.0, warmup=0.1, final_factor=0.1))
    assert cosine.at(0.05) == 0.5 and cosine.at(0.1) == 1.0
    assert math.isclose(cosine.at(0.55), 0.55, rel_tol=1e-9) and math.isclose(cosine.at(1.0), 0.1, rel_tol=1e-9)
    constant = LearningRate(TrainingConfig(learning_rate=1.0, schedule="constant", warmup=0.0))
    assert constant.at(0.0) == constant.at(1.0) == 1.0


def test_plateau_halves_after_its_patience():
    rate = LearningRate(TrainingConfig(learning_rate=1.0, schedule="plateau", warmup=0.0, plateau_patience=2))
    for score in (3.0, 2.0, 2.5, 2.4):
        rate.observe(score)
    assert rate.at(0.5) == 0.5
    again = LearningRate(rate.config)
    again.load_state_dict(rate.state_dict())
    rate.observe(2.5)
    again.observe(2.5)
    again.observe(2.5)
    assert (rate.at(0.5), again.at(0.5)) == (0.5, 0.25)


def test_gradients_are_limited():
    gradient = torch.tensor([3.0, 4.0])
    assert GradientLimit(1.0, None).apply([gradient]) == 5.0
    assert torch.allclose(gradient, torch.tensor([0.6, 0.8]))
    limit = GradientLimit(None, 2.0)
    for _ in range(20):
        limit.apply([torch.tensor([1.0, 0.0])])
    spike = torch.tensor([50.0, 0.0])
    limit.apply([spike])
    assert math.isclose(float(spike[0]), 2.0, rel_tol=1e-5)
    broken = torch.tensor([math.nan, 1.0])
    assert math.isnan(limit.apply([broken])) and broken[1] == 1.0 and limit.seen == 21


def test_order_of_batches():
    first, again, other = (batch_order(10, 4, seed=1, epoch=e) for e in (0, 0, 1))
    assert [len(b) for b in first] == [4, 4, 2]
    assert sorted(np.concatenate(first)) == list(range(10))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (np.concatenate(first) == np.concatenate(other)).all()


def test_validation_batches_have_a_limited_number_of_atoms(structures, monkeypatch):
    monkeypatch.setattr("charon.train.dataset.ATOMS_PER_BATCH", 7)
    graphs = make_graphs(structures[:5], [47], 4.0)
    assert [batch.n_systems for batch in fixed_batches(graphs, torch.float64)] == [2, 2, 1]
    monkeypatch.setattr("charon.train.dataset.ATOMS_PER_BATCH", 1)
    assert [batch.n_systems for batch in fixed_batches(graphs, torch.float64)] == [1] * 5


def test_hold_out_from_each_system(structures):
    train, held = hold_out(structures, 0.25, seed=0)
    assert [len(train), len(held)] == [6, 2]
    assert {s.system for s in held} == {"Ag3+", "Ag3-"}
    assert {s.source for s in train} & {s.source for s in held} == set()
    assert [s.source for s in held] == [s.source for s in hold_out(structures, 0.25, seed=0)[1]]


def test_hold_out_leaves_something(structures):
    assert len(hold_out(structures, 0.01, seed=0)[1]) == 1
    with pytest.raises(DataError, match="leaves none to train on"):
        hold_out(structures, 0.99, seed=0)


def test_reference_energies_are_checked(structures):
    assert plausibility(structures, [47], Statistics((-100.0,), 2.0)) == []
    (warning,) = plausibility(structures, [47], Statistics((-10.0,), 2.0))
    assert "8 frames lie more than 12 eV/atom" in warning and "a.xyz, frame" in warning
    (warning,) = plausibility(structures, [47], Statistics((-100.0,), 2.0, determined=False))
    assert "only sums of the reference energies" in warning


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
