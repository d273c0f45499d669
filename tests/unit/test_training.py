"""The training loop: the loss falls, schedules and checkpoints keep their times, it stops where it must."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from charon.batch import make_graphs
from charon.model import ModelConfig, Statistics
from charon.train.checkpoint import fresh_potential
from charon.train.config import Config, DataConfig, LossConfig, TrainingConfig
from charon.train.loop import Hooks, Trainer, TrainingError
from charon.train.loss import Loss, Scales

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


@pytest.mark.parametrize(("optimizer", "epochs"), [("adamw", 40), ("muon", 120)])
def test_loss_falls(trimer_structures, optimizer, epochs):
    trainer = trainer_of(trimer_structures, epochs=epochs, ema_decay=0.5, optimizer=optimizer, learning_rate=0.02)
    before = trainer.validate().score
    assert trainer.run(NO_HOOKS)
    assert trainer.validate().score < 0.2 * before
    assert trainer.at.epoch == epochs and trainer.at.step == 4 * epochs and trainer.at.skipped == 0


def test_steps_in_place_of_epochs(trimer_structures):
    trainer = trainer_of(trimer_structures, steps=7)
    trainer.run(NO_HOOKS)
    assert (trainer.at.step, trainer.at.epoch) == (7, 2)


def test_time_limit_shortens_the_schedule(trimer_structures, monkeypatch):
    ticks = itertools.count(0.0, 0.5)
    monkeypatch.setattr("charon.train.loop.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    trainer = trainer_of(trimer_structures, epochs=100000, max_minutes=1.0)
    rates = []

    def step(trainer, loss):
        rates.append(trainer.learning_rate.at(trainer.progress))

    trainer.run(Hooks(step, lambda *_: None, lambda *_: None))
    assert 60 < trainer.at.step == trainer.at.planned < 130 and trainer.at.minutes < 1.1
    assert rates[-1] < 0.05 * max(rates)


def test_validation_and_checkpoints_at_their_epochs(trimer_structures):
    trainer = trainer_of(trimer_structures, epochs=5, validate_every=2, checkpoint_every=3)
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


def test_validation_uses_the_average(trimer_structures):
    trainer = trainer_of(trimer_structures)
    before = trainer.validate().score
    with torch.no_grad():
        for parameter in trainer.potential.parameters():
            parameter.mul_(1.5)
    assert trainer.validate().score == before
    changed = [parameter.clone() for parameter in trainer.potential.parameters()]
    trainer.validate()
    assert all(torch.equal(a, b) for a, b in zip(changed, trainer.potential.parameters(), strict=True))


def test_loss_that_is_no_number_names_the_frames(trimer_structures):
    trimer_structures[3].labels["energy"] = np.array(np.nan)
    trainer = trainer_of(trimer_structures)
    with pytest.raises(TrainingError) as error:
        trainer.run(NO_HOOKS)
    text = str(error.value)
    assert "the loss is nan at step" in text and "a.xyz, frame 3" in text and "last checkpoint is untouched" in text
    assert all(bool(p.isfinite().all()) for p in trainer.potential.parameters())


def test_step_with_overflowing_gradient_is_left_out(trimer_structures, monkeypatch):
    trainer = trainer_of(trimer_structures)
    apply = trainer.limit.apply
    norms = iter([math.inf, None, None])
    monkeypatch.setattr(trainer.limit, "apply", lambda g: next(norms) or apply(g))
    before = [parameter.clone() for parameter in trainer.potential.parameters()]
    trainer._step(np.array([0, 1]))
    assert trainer.at.skipped == 1 and trainer.at.step == 1
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.potential.parameters(), strict=True))
    trainer._step(np.array([0, 1]))
    assert trainer.at.skipped == 1 and trainer.at.skipped_in_a_row == 0


def test_many_overflows_stop(trimer_structures, monkeypatch):
    trainer = trainer_of(trimer_structures, epochs=20)
    monkeypatch.setattr(trainer.limit, "apply", lambda gradients: math.inf)
    with pytest.raises(TrainingError, match="gradients overflow at step 20"):
        trainer.run(NO_HOOKS)
