"""Fused message kernels with any number of threads, each instruction set, on meta tensors and inside TorchScript."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from charon import ops

from .kernel_cases import LAYERS, SPACING, assert_equal_to_twin, assert_parity, derivatives, make_layer

CPU = torch.backends.cpu.get_cpu_capability()


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
    code = (
        "import charon.ops\n"
        "from tests.unit import test_kernel_settings, test_update_kernel\n"
        "test_kernel_settings.check_instruction_set()\n"
        "test_update_kernel.check_instruction_set()\n"
        "print(charon.ops.instruction_set())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
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
