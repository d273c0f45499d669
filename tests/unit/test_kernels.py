"""Fused message kernels: equal to plain torch in every derivative, whatever the graph; clear when misused."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from charon import ops

LAYERS = [(0, True), (1, True), (1, False), (2, True), (2, False)]  # l_max, first
SPACING, SEGMENTS = 0.5, 8
CUTOFF = SPACING * SEGMENTS
CPU = torch.backends.cpu.get_cpu_capability()


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


# ---- graphs


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
@pytest.mark.parametrize(
    ("counts", "ghosts"),
    [
        ((), 0),
        ((0,), 0),
        ((0, 3, 0, 0, 2, 0), 1),
        ((64,), 0),
        ((65, 1, 130), 0),
        ((3, 0) * 550, 40),
    ],
    ids=["no atoms", "one atom", "isolated atoms", "a full tile", "several tiles", "partial sums of tables"],
)
def test_graphs(counts, ghosts, l_max, first):
    assert_parity(make_layer(l_max, first, 4, counts, ghosts))


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_images_of_one_pair(l_max, first):
    layer = make_layer(l_max, first, counts=(4, 3))
    neighbor = torch.tensor([1, 1, 0, 1, 0, 0, 1])  # also of the atom itself
    assert_parity(layer._replace(index=torch.stack([layer.index[0], neighbor])))


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_an_edge_of_length_zero(l_max, first):
    layer = make_layer(l_max, first)
    layer.vector[1] = 0.0
    assert_parity(layer)


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_nothing_comes_from_the_cutoff_and_beyond(l_max, first):
    layer = make_layer(l_max, first)
    layer = layer._replace(table=layer.table + 1.0)  # also where the filters would not end smoothly
    layer.vector.zero_()
    layer.vector[:, 1] = CUTOFF * torch.tensor([1, -1, 1 + 1e-15, 1.5, -2, 1e3, 1e9, 1e100], dtype=torch.float64)
    for name, found in derivatives(layer.kernels, layer.leaves()).items():
        assert (found == 0.0).all(), name


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_everything_goes_to_zero_towards_the_cutoff(l_max, first):
    """A filter ends as (cutoff - r)^3, so its first derivative loses one power, its second two."""
    layer = make_layer(l_max, first, counts=(5, 0, 3))
    direction = layer.vector / layer.vector.norm(dim=1, keepdim=True)

    def largest(distance: float) -> dict[str, float]:
        call, leaves = layer.kernels, [*layer.leaves()[:2], (direction * (CUTOFF - distance)).requires_grad_()]
        found = derivatives(call, leaves)
        (force,) = torch.autograd.grad(call(*leaves).sum(), leaves[2], create_graph=True)
        (found["curvature"],) = torch.autograd.grad((force * rows(*force.shape, seed=10)).sum(), leaves[2])
        found |= {name: found[name][:-3] for name in ("table", "table'")}  # the last three stay zero
        return {name: x.abs().max().item() for name, x in found.items()}

    far, near = largest(1e-2), largest(1e-3)
    order = {"value": 3, "sent": 3, "table": 3, "vector": 2, "upstream'": 2, "sent'": 2, "table'": 2, "curvature": 1}
    for name, power in order.items():
        assert far[name] > 0.0
        assert near[name] == pytest.approx(far[name] * 0.1**power, rel=0.1), name


def test_rows_that_are_not_contiguous():
    layer = make_layer(2, False)
    sent, table = (x.detach().transpose(0, 2).contiguous().transpose(0, 2).requires_grad_() for x in layer[:2])
    vector = layer.vector.t().contiguous().t().requires_grad_()
    found = derivatives(layer.kernels, [sent, table, vector])
    assert not sent.is_contiguous() and not vector.is_contiguous()
    assert_equal_to_twin(found, derivatives(layer.kernels, layer.leaves()), 0.0)


def test_edge_lists_are_the_edges_by_center_and_by_neighbor():
    index = torch.tensor([[0, 0, 2, 2, 2], [3, 1, 3, 0, 3]])
    lists = ops.edge_lists(index, 3, 4)
    assert [x.tolist() for x in lists] == [
        [0, 2, 2, 5],
        [3, 1, 3, 0, 3],
        [0, 1, 2, 2, 5],
        [2, 0, 0, 2, 2],
        [3, 1, 0, 2, 4],
    ]
    assert {x.dtype for x in lists} == {torch.int32}


# ---- threads, instruction sets, devices, TorchScript


def test_the_same_for_any_number_of_threads():
    layer = make_layer(2, False, 12, (7, 3) * 530, 15)
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(derivatives(layer.kernels, layer.leaves()))
    finally:
        torch.set_num_threads(threads)
    for name in found[0]:
        assert torch.equal(found[0][name], found[1][name]), name


def check_instruction_set() -> None:
    """Runs in a process of its own, since the choice is made once."""
    torch.set_num_threads(1)
    for l_max, first in LAYERS:
        for channels in (3, 4, 12, 16):
            assert_parity(make_layer(l_max, first, channels))


@pytest.mark.parametrize("kernels", ["portable", "avx2"])
def test_each_instruction_set(kernels):
    files = [__file__, str(Path(__file__).with_name("test_update_kernel.py"))]
    code = (
        "import runpy, charon.ops\n"
        f"for file in {files!r}: runpy.run_path(file)['check_instruction_set']()\n"
        "print(charon.ops.instruction_set())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CHARON_KERNELS": kernels},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (kernels if CPU in ("AVX2", "AVX512") else "portable")


def test_reference_kernels_lead_to_plain_torch_and_back():
    layer, x = make_layer(1, False), torch.ones(1)
    with pytest.raises(ValueError), ops.reference_kernels():
        assert not ops.has_kernels(x)
        assert torch.equal(layer.kernels(*layer[:3]), layer.twin(*layer[:3]))
        with ops.reference_kernels():
            pass
        assert not ops.has_kernels(x)
        raise ValueError
    assert ops.has_kernels(x) and not ops.has_kernels(x.to("meta"))
    assert ops.instruction_set() in ("avx512", "avx2", "portable")


@pytest.mark.parametrize(("l_max", "first"), LAYERS)
def test_shapes_on_meta(l_max, first):
    layer = make_layer(l_max, first)
    meta = layer._replace(index=layer.index.to("meta"))
    leaves = [x.to("meta", torch.float32).requires_grad_() for x in layer[:3]]
    assert [x.shape for x in ops.edge_lists(meta.index, 3, 5)] == [x.shape for x in ops.edge_lists(layer.index, 3, 5)]
    received = meta.kernels(*leaves)
    assert received.shape == (3, (l_max + 1) ** 2, 4) and received.dtype == torch.float32 and received.is_meta
    for leaf, gradient in zip(leaves, torch.autograd.grad(received.sum(), leaves), strict=True):
        assert gradient.shape == leaf.shape and gradient.is_meta


def test_schemas_pass_torchs_own_checks():
    layer = make_layer(2, False)
    lists = ops.edge_lists(layer.index, 3, 5)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    arguments = (*layer.leaves(), layer.index, lists, *layer[4:], SPACING)
    torch.library.opcheck(torch.ops.charon.message.default, arguments, test_utils=checks)
    torch.library.opcheck(torch.ops.charon.edge_lists.default, (layer.index, 3, 5), test_utils=checks)


@torch.jit.script
def scripted(
    sent: Tensor, table: Tensor, vector: Tensor, index: Tensor, n_local: int, l_max: int, first: bool, spacing: float
) -> tuple[Tensor, Tensor]:
    lists = ops.edge_lists(index, n_local, sent.size(0))
    received = ops.message(sent, table, vector, index, lists, n_local, l_max, first, spacing)
    gradient = torch.autograd.grad([(received * received).sum()], [vector], create_graph=True)[0]
    assert gradient is not None
    return received, gradient


def test_inside_torchscript():
    layer = make_layer(2, False)
    (sent, table, vector), plain = layer.leaves(), layer.leaves()
    received, gradient = scripted(sent, table, vector, *layer[3:], SPACING)
    expected = layer.twin(*plain)
    (expected_gradient,) = torch.autograd.grad((expected * expected).sum(), plain[2], create_graph=True)
    second, expected_second = ((g * g).sum() for g in (gradient, expected_gradient))
    found = {"value": received, "gradient": gradient, "second": torch.autograd.grad(second, table)[0]}
    twin = {
        "value": expected,
        "gradient": expected_gradient,
        "second": torch.autograd.grad(expected_second, plain[1])[0],
    }
    assert_equal_to_twin(found, twin, 1e-12)


# ---- errors


@pytest.mark.parametrize(
    ("edges", "sizes", "text"),
    [
        ([[0, 1, 0], [1, 0, 2]], (2, 3), "edges must be sorted by center; edge 2 has center 0 after 1"),
        ([[0, 2], [1, 0]], (2, 3), "edge 1 joins atoms 2 and 0; expected a center below 2 and a neighbor below 3"),
        ([[0, 1], [1, 3]], (2, 3), "edge 1 joins atoms 1 and 3; expected a center below 2 and a neighbor below 3"),
        ([[-1, 1], [1, 0]], (2, 3), "edge 0 joins atoms -1 and 1"),
        ([[0, 1], [-1, 0]], (2, 3), "edge 0 joins atoms 0 and -1"),
        ([[0], [1]], (3, 2), "expected 0 <= n_local <= n_all.*found n_local = 3, n_all = 2, n_edges = 1"),
        ([[0], [1]], (-1, 2), "found n_local = -1, n_all = 2, n_edges = 1"),
        ([[0], [1], [2]], (3, 3), r"expected edge_index \[2, n_edges\] of int64, found \[3, 1\] of Long"),
        ([[0.0], [1.0]], (2, 2), r"expected edge_index \[2, n_edges\] of int64, found \[2, 1\] of Float"),
    ],
)
def test_edges_that_are_none(edges, sizes, text):
    with pytest.raises(RuntimeError, match=f"charon::edge_lists: .*{text}"):
        ops.edge_lists(torch.tensor(edges), *sizes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"sent": rows(5, 3, 4)}, r"expected sent \[n_all, 11, channels\], found \[5, 3, 4\]"),
        ({"sent": rows(5, 11)}, r"expected sent \[n_all, 11, channels\], found \[5, 11\]"),
        ({"table": rows(11, 3, 4)}, r"expected table \[segments \+ 3, 5, 4\], found \[11, 3, 4\]"),
        ({"table": rows(11, 5, 8)}, r"expected table \[segments \+ 3, 5, 4\], found \[11, 5, 8\]"),
        ({"table": rows(3, 5, 4)}, r"expected table \[segments \+ 3, 5, 4\], found \[3, 5, 4\]"),
        ({"vector": rows(8, 2)}, r"expected edge_vector \[n_edges, 3\], found \[8, 2\]"),
        ({"table": rows(11, 5, 4).float()}, "expected one type of floats, found Double, Float and Double"),
        ({"vector": rows(8, 3).float()}, "expected one type of floats, found Double, Double and Float"),
        ({"l_max": 3}, r"expected l_max 0 \(first only\), 1 or 2, found 3"),
        ({"l_max": 0, "first": False}, r"expected l_max 0 \(first only\), 1 or 2, found 0"),
        ({"l_max": -1}, r"expected l_max 0 \(first only\), 1 or 2, found -1"),
    ],
)
def test_messages_that_are_none(change, text):
    layer = make_layer(2, False)
    lists = ops.edge_lists(layer.index, 3, 5)
    changed = layer._replace(**change)
    with pytest.raises(RuntimeError, match=f"charon::message: {text}"):
        ops.message(*changed[:4], lists, *changed[4:], SPACING)


@pytest.mark.parametrize("wrong", ["few sent", "many sent", "vectors", "centers", "lists"])
def test_sizes_that_disagree_with_the_lists(wrong):
    layer = make_layer(2, False)
    lists = ops.edge_lists(layer.index, 3, 5)
    changes = {  # slices, so that what lies behind them is memory of the same tensor
        "few sent": {"sent": layer.sent[:4]},
        "many sent": {"sent": rows(6, 11, 4)},
        "vectors": {"vector": layer.vector[:-1]},
        "centers": {"n_local": 2},
    }
    layer = layer._replace(**changes.get(wrong, {}))
    with pytest.raises(RuntimeError, match="expected"):
        ops.message(*layer[:4], lists[:4] if wrong == "lists" else lists, *layer[4:], SPACING)
