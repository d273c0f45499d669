"""Exponential moving average of the weights: what is validated, saved and exported."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class AveragedWeights:
    """`average += (1 - decay_t) (weights - average)`, `decay_t = min(decay, (1 + t) / (10 + t))`.

    The smaller decay of the first steps keeps the random start out of the average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.names = [name for name, _ in model.named_parameters()]
        self.weights: list[Tensor] = [parameter.data for parameter in model.parameters()]
        self.average: list[Tensor] = [weight.clone() for weight in self.weights]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the present weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, self.weights, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model carries the averaged weights inside the block."""
        present = [weight.clone() for weight in self.weights]
        torch._foreach_copy_(self.weights, self.average)
        try:
            yield
        finally:
            torch._foreach_copy_(self.weights, present)

    def state_dict(self) -> dict:
        """Steps and averages by parameter name."""
        return {"steps": self.steps, "average": dict(zip(self.names, self.average, strict=True))}

    def load_state_dict(self, state: dict) -> None:
        """Continues from `state_dict`."""
        self.steps = state["steps"]
        torch._foreach_copy_(self.average, [state["average"][name] for name in self.names])
