"""Sparse products along bonds: kernels against plain torch and their derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from charon.ops import edge_lists, reference_kernels
from charon.ops.hops import green, hop

N_LOCAL, N_ALL = 5, 7
BONDS = torch.tensor([[0, 0, 0, 1, 2, 2, 4], [1, 5, 6, 0, 2, 3, 6]])
"""Sorted by center; atom 3 has no bond, 5 and 6 are ghosts."""


def inputs(channels: int = 8, components: int = 4, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(channels)
    weight = torch.randn(BONDS.size(1), channels, generator=generator, dtype=torch.float64)
    x = torch.randn(N_ALL, components, channels, generator=generator, dtype=torch.float64)
    return weight.to(dtype).requires_grad_(), x.to(dtype).requires_grad_()


LISTS = edge_lists(BONDS, N_LOCAL, N_ALL)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("channels", [1, 5, 8])
def test_kernel_equals_plain_torch(channels, dtype):
    weight, x = inputs(channels, dtype=dtype)
    found = hop(weight, x, LISTS)
    with reference_kernels():
        expected = hop(weight, x, LISTS)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(found)
    for one, other in zip(
        torch.autograd.grad(found, (weight, x), upstream),
        torch.autograd.grad(expected, (weight, x), upstream),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_sums_by_hand():
    weight, x = inputs()
    found = hop(weight, x, LISTS)
    torch.testing.assert_close(found[0], weight[0] * x[1] + weight[1] * x[5] + weight[2] * x[6])
    assert not found[3].any()


def test_derivatives():
    weight, x = inputs(channels=2, components=2)
    assert gradcheck(lambda a, b: hop(a, b, LISTS), (weight, x))
    assert gradgradcheck(lambda a, b: hop(a, b, LISTS), (weight, x))


def test_wrong_shapes_are_errors():
    weight, x = inputs()
    with pytest.raises(RuntimeError, match="expected 7 and 7 rows of as many channels"):
        hop(weight[:-1], x, LISTS)
    with pytest.raises(RuntimeError, match="of one float type"):
        hop(weight.float(), x, LISTS)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("channels", [3, 8])
def test_the_recursion_as_one_operator(channels, steps):
    generator = torch.Generator().manual_seed(steps)
    bonds = torch.tensor([[0, 0, 1, 1, 2, 2, 3], [1, 2, 0, 2, 0, 1, 3]])
    half = torch.rand(4, channels, generator=generator, dtype=torch.float64) / 3
    hops = half[[0, 1, 0, 2, 1, 2, 3]].requires_grad_()  # symmetric
    source = torch.randn(4, 5, channels, generator=generator, dtype=torch.float64, requires_grad=True)
    decay = torch.linspace(-0.8, 0.7, channels, dtype=torch.float64)
    lists = edge_lists(bonds, 4, 4)
    before, now = source, hop(hops, source, lists)
    expected = source + decay * now
    for k in range(2, steps + 1):
        before, now = now, 2.0 * hop(hops, now, lists) - before
        expected = expected + decay**k * now
    found = green(hops, decay, source, lists, 4, steps)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(found.shape, generator=generator, dtype=torch.float64)
    gradients = (torch.autograd.grad(value, (hops, source), upstream) for value in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)
