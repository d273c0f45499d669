"""Fused message kernels: equal to plain torch in every derivative."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .kernel_cases import LAYERS, assert_equal_to_twin, derivatives, make_layer, rows


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
@pytest.mark.parametrize("channels", [64, 12, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equal_to_plain_torch(l_max, first, channels, dtype, tolerance):
    layer = make_layer(l_max, first, channels)
    leaves = [x.to(dtype).requires_grad_() for x in layer[:3]]
    found = derivatives(layer.kernels, leaves)
    assert {x.dtype for x in found.values()} == {dtype}
    expected = derivatives(layer.twin, [x.detach().double().requires_grad_() for x in leaves])
    assert expected["table'"].abs().max() > 0.1 and expected["value"].abs().max() > 0.1
    assert_equal_to_twin(found, expected, tolerance)


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_derivatives_are_those_of_the_values(l_max, first):
    layer = make_layer(l_max, first, counts=(3, 1, 2), ghosts=1)
    leaves = layer.leaves()
    upstream = rows(3, (l_max + 1) ** 2, 4, seed=8)
    assert torch.autograd.gradcheck(layer.kernels, leaves)
    assert torch.autograd.gradgradcheck(layer.kernels, leaves, upstream)


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_derivatives_of_forces_are_those_of_the_forces(l_max, first):
    layer = make_layer(l_max, first, counts=(2, 1, 1), ghosts=1)
    sent, table, vector = layer.leaves()

    def pulled(upstream: Tensor, sent: Tensor, table: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(layer.kernels(sent, table, vector), (sent, vector), upstream, create_graph=True)

    upstream = rows(3, (l_max + 1) ** 2, 4, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(pulled, (upstream, sent, table))


def test_every_second_and_third_derivative_equals_plain_torch():
    layer = make_layer(2, False)

    def norm(call) -> dict[str, Tensor]:
        leaves = layer.leaves()
        order = torch.tanh(call(*leaves)).sum()
        found = {}
        for k in range(3):
            gradients = torch.autograd.grad(order, leaves, create_graph=True)
            found |= {f"{name} {k + 1}": g for name, g in zip(("sent", "table", "vector"), gradients, strict=True)}
            order = sum((g * rows(*g.shape, seed=9 + k)).sum() for g in gradients)
        return found

    assert_equal_to_twin(norm(layer.kernels), norm(layer.twin), 1e-11)


class Calls(TorchDispatchMode):
    """Names of the operators that run within."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.add(function.name())
        return function(*args, **(kwargs or {}))


def test_training_on_forces_stays_within_the_kernels():
    layer = make_layer(2, False)
    with Calls() as fused:
        derivatives(layer.kernels, layer.leaves())
    with Calls() as plain:
        derivatives(layer.twin, layer.leaves())
    assert {"charon::message", "charon::message_backward"} <= fused.names
    assert "aten::index_add" in plain.names - fused.names


@pytest.mark.parametrize("wanted", range(3))
def test_one_gradient_without_the_others(wanted):
    layer = make_layer(2, False)
    everything = torch.autograd.grad(layer.kernels(*(all_of := layer.leaves())).sum(), all_of)
    some = [x.requires_grad_(k == wanted) for k, x in enumerate(layer.leaves())]
    layer.kernels(*some).sum().backward()
    assert torch.equal(some[wanted].grad, everything[wanted])
    assert [x.grad is None for x in some] == [k != wanted for k in range(3)]
