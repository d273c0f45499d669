"""The training loop: epochs of steps, validation of the averaged weights, checkpoints; continues anywhere."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from charon.batch import Graph, collate
from charon.errors import CharonError, ConfigError
from charon.evaluate import split_prediction
from charon.metrics import ErrorRow, error_table
from charon.model import Potential, evaluate
from charon.train.config import Config
from charon.train.dataset import batch_order, fixed_batches
from charon.train.ema import AveragedWeights
from charon.train.interruption import Interruption, interruptible
from charon.train.loss import Loss
from charon.train.optimizer import make_optimizer
from charon.train.position import Position
from charon.train.schedule import GradientLimit, LearningRate, energy_weight

SKIPS_IN_A_ROW = 20
STEPS_BETWEEN_PLANS = 20


def _device(name: str) -> torch.device:
    """The device of a training. Raises ConfigError if there is no such GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training.device is cuda, but torch finds no GPU; set training.device=cpu")
    return torch.device(name)


class TrainingError(CharonError):
    """The training cannot go on: the loss is not a number."""


@dataclass(frozen=True)
class Validation:
    """Errors of the averaged weights on the validation set; `score` is the loss with its final weights."""

    score: float
    rows: list[ErrorRow]


@dataclass(frozen=True)
class Hooks:
    """What the surroundings do: show a step, record an epoch, save a checkpoint under a name."""

    step: Callable[["Trainer", float], None]
    epoch: Callable[["Trainer", Validation | None, float, bool], None]
    save: Callable[["Trainer", str], None]


class Trainer:
    """Owns weights, averages, optimizer and position; `run` trains to the end or to an interruption."""

    def __init__(
        self,
        potential: Potential,
        config: Config,
        loss: Loss,
        train: Sequence[Graph],
        validation: Sequence[Graph],
    ) -> None:
        self.potential, self.config, self.loss, self.graphs = potential, config, loss, train
        self.dtype = getattr(torch, config.training.dtype)
        self.device = _device(config.training.device)
        potential.to(self.device)
        self.validation = [graph.structure for graph in validation]
        self.validation_batches = fixed_batches(validation, self.dtype)
        self.parameters = [parameter for parameter in potential.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(potential, config.training)
        self.average = AveragedWeights(potential, config.training.ema_decay)
        self.learning_rate = LearningRate(config.training)
        self.limit = GradientLimit(config.training.clip_norm, config.training.clip_factor)
        batches = math.ceil(len(train) / config.training.batch_size)
        self.most_steps = config.training.steps or config.training.epochs * batches
        self.at = Position(planned=self.most_steps)

    @property
    def progress(self) -> float:
        """Fraction of the training that is done."""
        return min(1.0, self.at.step / max(1, self.at.planned))

    def minutes_left(self) -> float:
        """Estimated from the mean time per step, validations included."""
        return self.at.minutes * (self.at.planned - self.at.step) / max(1, self.at.step)

    def run(self, hooks: Hooks) -> bool:
        """Trains to the end; returns False if it was interrupted (`last` is saved then too).

        Raises TrainingError if the loss or gradients are not finite; the last checkpoint stays as it was.
        """
        self.potential.train()
        started = time.monotonic() - 60 * self.at.minutes
        with interruptible() as stop:
            while self.at.step < self.at.planned:
                finished = self._epoch(hooks, stop, started)
                if not finished:
                    hooks.save(self, "last")
                    return False
        return True

    def _epoch(self, hooks: Hooks, stop: Interruption, started: float) -> bool:
        training, at = self.config.training, self.at
        order = batch_order(len(self.graphs), training.batch_size, training.seed, at.epoch)
        for members in order[at.batch :]:
            if stop:
                return False
            total = self._step(members)
            at.batch += 1
            at.minutes = (time.monotonic() - started) / 60
            self._plan()
            hooks.step(self, total)
            if at.step >= at.planned:
                break
        at.epoch, at.batch = at.epoch + 1, 0
        last = at.step >= at.planned
        if last or at.epoch % training.validate_every == 0:
            self._record(hooks, started, last)
        if last or at.epoch % training.checkpoint_every == 0:
            hooks.save(self, "last")
        return True

    def _record(self, hooks: Hooks, started: float, last: bool) -> None:
        validation = self.validate()
        best = validation is None or validation.score < self.at.best_score
        if validation is not None:
            self.learning_rate.observe(validation.score)
            if best:
                self.at.best_score, self.at.best_epoch = validation.score, self.at.epoch
        self.at.minutes = (time.monotonic() - started) / 60
        hooks.epoch(self, validation, self._train_loss(), last)
        self.at.sums.clear()
        self.at.counts.clear()
        if best and validation is not None:
            hooks.save(self, "best")

    def _step(self, members: np.ndarray) -> float:
        batch = collate([self.graphs[i] for i in members], self.dtype).to(self.device)
        self.optimizer.set_learning_rate(self.learning_rate.at(self.progress))
        prediction = evaluate(self.potential, batch, create_graph=True)
        terms = self.loss.terms(prediction, batch)
        total = self.loss.total(terms, energy_weight(self.loss.config, self.progress))
        self.optimizer.zero_grad()
        torch.autograd.backward(total, inputs=self.parameters)  # not of edges: their derivatives cost more
        norm = self.limit.apply([p.grad for p in self.parameters if p.grad is not None])
        self.at.step += 1
        if math.isfinite(norm):
            self.at.skipped_in_a_row = 0
            self.optimizer.step()
            self.average.update()
            self._add_terms(terms)
        else:
            self._skip(float(total.detach()), members)
        return float(total.detach())

    def _add_terms(self, terms: dict[str, torch.Tensor]) -> None:
        for term, value in terms.items():
            self.at.sums[term] = self.at.sums.get(term, 0.0) + float(value.detach())
            self.at.counts[term] = self.at.counts.get(term, 0) + 1

    def _skip(self, total: float, members: np.ndarray) -> None:
        """Leaves out a step whose gradients are not finite; stops at such a loss, or at too many."""
        self.at.skipped += 1
        self.at.skipped_in_a_row += 1
        if math.isfinite(total) and self.at.skipped_in_a_row < SKIPS_IN_A_ROW:
            return
        sources = "\n".join(f"  {self.graphs[i].structure.source}" for i in members)
        what = "gradients overflow" if math.isfinite(total) else f"the loss is {total}"
        raise TrainingError(
            f"{what} at step {self.at.step} (epoch {self.at.epoch + 1}); the structures of this batch:\n"
            f"{sources}\n"
            "The last checkpoint is untouched. Look at these structures (atoms on top of each other, labels "
            "of another unit), lower training.learning_rate or set training.dtype=float64"
        )

    def _plan(self) -> None:
        """Ends the schedule within `max_minutes` at the present speed."""
        allowed = self.config.training.max_minutes
        if allowed is not None and self.at.step % STEPS_BETWEEN_PLANS == 0:
            left = (allowed - self.at.minutes) * self.at.step / max(self.at.minutes, 1e-9)
            self.at.planned = max(self.at.step, min(self.most_steps, self.at.step + int(left)))

    def _train_loss(self) -> float:
        """Mean of the epoch's terms under their final weights, to be compared with the validation score."""
        return sum(self.loss.weights[term] * value for term, value in self.at.mean_terms().items())

    def validate(self) -> Validation | None:
        """Errors of the averaged weights on the validation set; None without one."""
        if not self.validation:
            return None
        predictions, score = [], 0.0
        electronic = self.config.model.electronic != "none"
        with self.average.applied():
            for host_batch in self.validation_batches:
                batch = host_batch.to(self.device)
                prediction = evaluate(self.potential, batch)
                terms = self.loss.terms(prediction, batch)
                total = sum(self.loss.weights[term] * float(value.detach()) for term, value in terms.items())
                score += total * batch.n_systems / len(self.validation)
                predictions += split_prediction(prediction.to("cpu"), host_batch, electronic)
        return Validation(score, error_table(self.validation, predictions))

    def state_dict(self) -> dict[str, Any]:
        """Everything that `load_state_dict` needs to continue bit for bit."""
        return {
            "model": self.potential.state_dict(),
            "ema": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "learning_rate": self.learning_rate.state_dict(),
            "limit": self.limit.state_dict(),
            "position": asdict(self.at),
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`."""
        self.potential.load_state_dict(state["model"])
        self.average.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.learning_rate.load_state_dict(state["learning_rate"])
        self.limit.load_state_dict(state["limit"])
        self.at = Position(**state["position"])
        torch.set_rng_state(state["random"])
