"""Derivatives of the solution of linear equations without differentiating the iteration that found it.

The gradient of unrolled conjugate gradients is wrong where the right side is symmetric and its perturbation is not: the
iteration has arrived in the symmetric subspace and the rest was never solved. In training the adjoint equation is
solved instead, each time a gradient is asked for; exported files do the same by multipliers: see
`FinalCharges.stationary`.
"""

from typing import Any, Protocol

import torch
from torch import Tensor


class Equations(Protocol):
    """Linear equations `A(t) x = right` with a map that depends on tensors t."""

    def solve(self, right: Tensor, tensors: list[Tensor]) -> Tensor:
        """x, without a graph."""
        ...

    def mapped(self, x: Tensor, tensors: list[Tensor]) -> Tensor:
        """A(t) x, differentiable."""
        ...

    def transposed_solution(self, right: Tensor, tensors: list[Tensor]) -> Tensor:
        """The solution of the transposed equations, made of `solution`."""
        ...


class _Solution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, equations: Equations, right: Tensor, *tensors: Tensor) -> Tensor:
        found = equations.solve(right, list(tensors))
        ctx.equations = equations
        ctx.save_for_backward(found, *tensors)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found, *tensors = ctx.saved_tensors
        adjoint = ctx.equations.transposed_solution(gradient, tensors)
        with torch.enable_grad():
            views = [t.view_as(t) for t in tensors]  # `found` depends on the tensors, but not on these
            wanted = [view for view in views if view.requires_grad]
            work = -(adjoint * ctx.equations.mapped(found, views)).sum()
            given = torch.autograd.grad(work, wanted, create_graph=True, allow_unused=True) if wanted else ()
        found_gradients = iter(given)
        return None, adjoint, *(next(found_gradients) if view.requires_grad else None for view in views)


def solution(equations: Equations, right: Tensor, tensors: list[Tensor]) -> Tensor:
    """The solution of linear equations, differentiable any number of times by `right` and `tensors`."""
    return _Solution.apply(equations, right, *tensors)


def ratio(numerator: Tensor, denominator: Tensor, active: Tensor) -> Tensor:
    """`numerator / denominator` where `active`, else 0: an iteration that has arrived stays where it is."""
    return torch.where(active, numerator, 0.0) / torch.where(active, denominator, 1.0)


def smallest_norm(scale: Tensor) -> Tensor:
    """The squared norm below which a residual is rounding error.

    `scale` is the squared norm of the right side before anything that solves no equation, such as a constant, is taken
    off it: what is left may be rounding error from the start.
    """
    return scale * (100.0 * epsilon(scale)) ** 2


def rounding_error(size: Tensor) -> Tensor:
    """What a sum of terms of both signs, as large as `size` in all, may be without meaning anything."""
    return 10.0 * epsilon(size) * size


def epsilon(x: Tensor) -> float:
    """Relative rounding error of a number."""
    return 1e-7 if x.dtype == torch.float32 else 1e-16
