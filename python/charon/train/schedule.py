"""What changes in the course of a training: learning rate, energy weight and the limit on gradients."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from charon.train.config import LossConfig, TrainingConfig


class LearningRate:
    """Learning rate as a function of progress p in [0, 1]: warm-up, then cosine, constant or plateau.

    cosine: `final + (1 - final) (1 + cos(pi p)) / 2` after the warm-up; plateau: halved when the validation
    score has not improved for `plateau_patience` validations, down to `final_factor`.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.plateau, self.waited, self.best = 1.0, 0, math.inf

    def at(self, progress: float) -> float:
        """The learning rate at a progress in [0, 1]."""
        config = self.config
        if progress < config.warmup:
            return config.learning_rate * max(progress / config.warmup, 0.02)
        if config.schedule == "cosine":
            phase = min(1.0, (progress - config.warmup) / max(1.0 - config.warmup, 1e-9))
            falling = 0.5 * (1.0 + math.cos(math.pi * phase))
            return config.learning_rate * (config.final_factor + (1.0 - config.final_factor) * falling)
        return config.learning_rate * (self.plateau if config.schedule == "plateau" else 1.0)

    def observe(self, score: float) -> None:
        """Takes in a validation score; only `plateau` uses it."""
        if score < self.best:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.config.plateau_patience:
            self.waited = 0
            self.plateau = max(self.plateau * 0.5, self.config.final_factor)

    def state_dict(self) -> dict:
        """What `plateau` has seen."""
        return {"plateau": self.plateau, "waited": self.waited, "best": self.best}

    def load_state_dict(self, state: dict) -> None:
        """Continues from `state_dict`."""
        self.plateau, self.waited, self.best = state["plateau"], state["waited"], state["best"]


def energy_weight(config: LossConfig, progress: float) -> float:
    """Weight of the energy term: `energy_start` up to `energy_ramp`, then geometrically up to `energy`."""
    start, end = config.energy_start, config.energy
    if end == 0.0:
        return 0.0
    risen = (progress - config.energy_ramp) / max(1.0 - config.energy_ramp, 1e-9)
    risen = min(1.0, max(0.0, risen))
    if start <= 0.0:
        return end * risen
    return start * (end / start) ** risen


class GradientLimit:
    """Scales gradients whose norm exceeds `clip_norm` or `clip_factor` times the running mean of the norm."""

    MEMORY = 0.99

    def __init__(self, clip_norm: float | None, clip_factor: float | None) -> None:
        self.clip_norm, self.clip_factor = clip_norm, clip_factor
        self.mean, self.seen = 0.0, 0

    def apply(self, gradients: Sequence[Tensor]) -> float:
        """Clips in place; returns the norm before clipping. Nothing is changed if it is not finite."""
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(gradients)))))
        if not math.isfinite(norm):
            return norm
        limit = self._limit()
        if norm > limit:
            torch._foreach_mul_(list(gradients), limit / norm)
        self.seen += 1
        memory = min(self.MEMORY, 1.0 - 1.0 / self.seen)
        self.mean = memory * self.mean + (1.0 - memory) * min(norm, limit)
        return norm

    def _limit(self) -> float:
        limits = [math.inf]
        if self.clip_norm is not None:
            limits.append(self.clip_norm)
        if self.clip_factor is not None and self.seen >= 10:
            limits.append(self.clip_factor * self.mean)
        return min(limits)

    def state_dict(self) -> dict:
        """The running mean."""
        return {"mean": self.mean, "seen": self.seen}

    def load_state_dict(self, state: dict) -> None:
        """Continues from `state_dict`."""
        self.mean, self.seen = state["mean"], state["seen"]
