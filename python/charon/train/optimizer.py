"""The optimizer: AdamW, or Muon for the matrices between features and AdamW for the rest."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from charon.train.config import TrainingConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al. 2024, "Muon")."""


def orthogonalized(matrix: Tensor, iterations: int = 5) -> Tensor:
    """`U V^T` of a matrix `U S V^T`, approximately: singular values end between about 0.7 and 1.2.

    `matrix` [rows, columns], any rank; Newton-Schulz iterations x -> a x + (b x x^T + c (x x^T)^2) x.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.t() if tall else matrix
    x = x / x.norm().clamp(min=1e-12)
    for _ in range(iterations):
        gram = x @ x.t()
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose matrices are orthogonalized before the step (Jordan et al. 2024).

    The step has the size of one of Adam's: `lr * 0.2 sqrt(max(rows, columns))` (Liu et al. 2025), so that both can
    share a learning rate. Parameters must be matrices.
    """

    def __init__(self, params: Iterable[Any], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step(parameter, parameter.grad, group)

    def _step(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])
        size = 0.2 * math.sqrt(max(parameter.shape))
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(orthogonalized(ahead), alpha=-group["lr"] * size)


class Optimizers:
    """Several optimizers that step together and share a learning rate."""

    def __init__(self, members: list[torch.optim.Optimizer]) -> None:
        self.members = members

    def set_learning_rate(self, rate: float) -> None:
        """Sets the learning rate of every group."""
        for member in self.members:
            for group in member.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        """One step of each."""
        for member in self.members:
            member.step()

    def zero_grad(self) -> None:
        """Forgets all gradients."""
        for member in self.members:
            member.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """States of all, for the checkpoint."""
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`."""
        for member, content in zip(self.members, state["members"], strict=True):
            member.load_state_dict(content)


def make_optimizer(model: nn.Module, config: TrainingConfig) -> Optimizers:
    """The optimizer that the configuration names; weight decay acts on matrices only."""
    tables = {id(p) for name, p in model.named_parameters() if "embedding" in name or "element_" in name}
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.ndim == 2 and min(p.shape) > 1 and id(p) not in tables]
    chosen = {id(p) for p in matrices}
    rest = [p for p in trained if id(p) not in chosen]
    if config.optimizer == "muon" and matrices:
        muon = Muon(matrices, config.learning_rate, weight_decay=config.weight_decay)
        return Optimizers([muon, torch.optim.AdamW(rest, lr=config.learning_rate, weight_decay=0.0, fused=True)])
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return Optimizers([torch.optim.AdamW([g for g in groups if g["params"]], lr=config.learning_rate, fused=True)])
