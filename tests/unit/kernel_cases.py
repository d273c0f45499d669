"""Messages for the tests of the fused kernels: random graphs, all derivatives, comparison with plain torch."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from charon import ops

LAYERS = [(0, True), (1, True), (1, False), (2, True), (2, False)]  # l_max, first
SPACING, SEGMENTS = 0.5, 8
CUTOFF = SPACING * SEGMENTS


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Layer(NamedTuple):
    """A message: what it is differentiated by, its edges and its kind."""

    sent: Tensor
    table: Tensor
    vector: Tensor
    index: Tensor
    n_local: int
    l_max: int
    first: bool

    def leaves(self) -> list[Tensor]:
        return [x.detach().clone().requires_grad_() for x in self[:3]]

    def kernels(self, sent: Tensor, table: Tensor, vector: Tensor) -> Tensor:
        lists = ops.edge_lists(self.index, self.n_local, self.sent.size(0))
        return ops.message(sent, table, vector, self.index, lists, *self[4:], SPACING)

    def twin(self, sent: Tensor, table: Tensor, vector: Tensor) -> Tensor:
        return torch.ops.charon.message_reference(sent, table, vector, self.index, *self[4:], SPACING)


def table_of(l_max: int, first: bool, channels: int) -> Tensor:
    """Spline coefficients of filters that end smoothly: the last three are zero."""
    table = rows(SEGMENTS + 3, l_max + 1 if first else 2 * l_max + 1, channels, seed=1)
    table[-3:] = 0.0
    return table


def make_layer(
    l_max: int, first: bool, channels: int = 4, counts: tuple[int, ...] = (3, 0, 5), ghosts: int = 2
) -> Layer:
    """Center i has counts[i] edges to random atoms, also ghosts, some of them beyond the cutoff."""
    n_all = len(counts) + ghosts
    center = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.long))
    neighbor = (torch.rand(center.numel(), generator=torch.Generator().manual_seed(3)) * n_all).long()
    vector = rows(center.numel(), 3, seed=4)
    length = 0.2 + 1.1 * CUTOFF * torch.rand(center.numel(), 1, generator=torch.Generator().manual_seed(5)).double()
    sent = rows(n_all, l_max + 1 + (0 if first else (l_max + 1) ** 2 - 1), channels, seed=2)
    vector = vector / vector.norm(dim=1, keepdim=True) * length
    index = torch.stack([center, neighbor])
    return Layer(sent, table_of(l_max, first, channels), vector, index, len(counts), l_max, first)


def derivatives(call: Callable[..., Tensor], leaves: list[Tensor]) -> dict[str, Tensor]:
    """Of a message: gradients, and those of <c, gradient of sent> + <d, gradient of vector>, as training on forces."""
    sent, table, vector = leaves
    received = call(sent, table, vector)
    upstream = rows(*received.shape, seed=6).to(received.dtype).requires_grad_()
    first = torch.autograd.grad(received, leaves, upstream, retain_graph=True)
    pulled = torch.autograd.grad(received, (sent, vector), upstream, create_graph=True)
    along = sum((g * rows(*g.shape, seed=7 + k).to(g.dtype)).sum() for k, g in enumerate(pulled))
    second = torch.autograd.grad(along, (upstream, sent, table), materialize_grads=True)
    names = ["value", "sent", "table", "vector", "upstream'", "sent'", "table'"]
    return dict(zip(names, [received.detach(), *first, *second], strict=True))


def assert_equal_to_twin(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    """Apart by less than `tolerance` of the largest entry; zero where that is zero."""
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        assert found[name].isfinite().all(), name
        if value.numel():
            error, largest = (found[name] - value).abs().max().item(), value.abs().max().item()
            assert error <= tolerance * largest, f"{name}: {error} apart, largest entry {largest}"


def assert_parity(layer: Layer) -> None:
    found, expected = (derivatives(call, layer.leaves()) for call in (layer.kernels, layer.twin))
    assert_equal_to_twin(found, expected, 1e-12)
