"""The fused update: equal to plain torch in every derivative that training takes; clear when misused."""

import pytest
import torch
from torch import Tensor, nn

from charon import ops
from charon.model.update import TensorUpdate, VectorUpdate

from .kernel_cases import assert_equal_to_twin, rows


def make_update(l_max: int, channels: int = 4, n: int = 3, scale: float = 1.0) -> tuple[nn.Module, list[Tensor]]:
    """An update with random weights, also of biases; state, message and types of n atoms of two elements."""
    module = (VectorUpdate if l_max == 1 else TensorUpdate)(channels, 2).double()
    with torch.no_grad():
        for seed, weight in enumerate(module.parameters()):
            weight.copy_(rows(*weight.shape, seed=20 + seed) / (weight.size(0) ** 0.5 if weight.dim() > 1 else 1.0))
    state, message = (scale * rows(n, (l_max + 1) ** 2, channels, seed=seed) for seed in (1, 2))
    return module, [state, message, torch.arange(n) % 2]


def derivatives(module: nn.Module, inputs: list[Tensor]) -> dict[str, Tensor]:
    """Of the new state: gradients, and those of <c, gradient of state> + <d, gradient of message>."""
    state, message = (x.detach().requires_grad_() for x in inputs[:2])
    weights = dict(module.named_parameters())
    updated = module(state, message, inputs[2])
    upstream = rows(*updated.shape, seed=3).to(updated.dtype).requires_grad_()
    first = torch.autograd.grad(updated, (state, message, *weights.values()), upstream, retain_graph=True)
    pulled = torch.autograd.grad(updated, (state, message), upstream, create_graph=True)
    along = sum((g * rows(*g.shape, seed=4 + k).to(g.dtype)).sum() for k, g in enumerate(pulled))
    of = (state, message, *weights.values(), upstream)
    second = torch.autograd.grad(along, of, materialize_grads=True)
    names = ["state", "message", *weights, "state'", "message'", *(f"{name}'" for name in weights), "upstream'"]
    return {"value": updated.detach(), **dict(zip(names, first + second, strict=True))}


def of_twin(module: nn.Module, inputs: list[Tensor]) -> dict[str, Tensor]:
    with ops.reference_kernels():
        return derivatives(module, inputs)


def assert_parity(module: nn.Module, inputs: list[Tensor], tolerance: float = 1e-12) -> None:
    assert_equal_to_twin(derivatives(module, inputs), of_twin(module, inputs), tolerance)


@pytest.mark.parametrize("l_max", [1, 2])
@pytest.mark.parametrize("channels", [64, 12, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_equal_to_plain_torch(l_max, channels, dtype, tolerance):
    module, inputs = make_update(l_max, channels, 30)  # more than a block of 24 atoms
    inputs = [x.to(dtype) if x.is_floating_point() else x for x in inputs]
    found = derivatives(module.to(dtype), inputs)
    assert {x.dtype for x in found.values()} == {dtype}
    inputs = [x.double() if x.is_floating_point() else x for x in inputs]
    assert_equal_to_twin(found, of_twin(module.double(), inputs), tolerance)


@pytest.mark.parametrize("l_max", [1, 2])
def test_gradients_are_those_of_the_values(l_max):
    module, (state, message, types) = make_update(l_max)
    leaves = [x.detach().requires_grad_() for x in (state, message, *module.weights())]

    def call(state, message, *weights):
        return ops.update(state, message, types, list(weights), l_max)

    assert torch.autograd.gradcheck(call, leaves)


@pytest.mark.parametrize("l_max", [1, 2])
def test_second_derivatives_are_those_of_the_gradients(l_max):
    module, (state, message, types) = make_update(l_max)
    weights = [x.detach() for x in module.weights()]

    def call(state, message):
        return ops.update(state, message, types, weights, l_max)

    leaves = [state.requires_grad_(), message.requires_grad_()]
    assert torch.autograd.gradgradcheck(call, leaves, rows(*state.shape, seed=5))


@pytest.mark.parametrize("l_max", [1, 2])
def test_second_derivatives_of_weights_are_those_of_the_gradients(l_max):
    module, (state, message, types) = make_update(l_max, channels=3, n=2)
    leaves = [x.detach().requires_grad_() for x in module.weights()]
    state.requires_grad_(), message.requires_grad_()

    def pulled(*weights: Tensor) -> tuple[Tensor, ...]:
        updated = ops.update(state, message, types, list(weights), l_max)
        return torch.autograd.grad(updated, (state, message), rows(*state.shape, seed=5), create_graph=True)

    assert torch.autograd.gradcheck(pulled, leaves)


# ---- atoms


@pytest.mark.parametrize("l_max", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 24, 25, 1100])
def test_numbers_of_atoms(n, l_max):
    assert_parity(*make_update(l_max, n=n))


@pytest.mark.parametrize("l_max", [1, 2])
def test_an_atom_without_message_and_direction(l_max):
    module, inputs = make_update(l_max)
    inputs[1][1] = 0.0
    inputs[0][1, 1:] = 0.0
    assert_parity(module, inputs)


@pytest.mark.parametrize("l_max", [1, 2])
def test_states_far_beyond_the_usual(l_max):
    """The soft limit is at its end, the silu far in its tails."""
    assert_parity(*make_update(l_max, scale=1e4), tolerance=1e-11)


@pytest.mark.parametrize("l_max", [1, 2])
@pytest.mark.parametrize("which", ["state", "message"])
def test_rows_that_are_not_contiguous(which, l_max):
    module, inputs = make_update(l_max)
    expected = of_twin(module, inputs)
    k = ["state", "message"].index(which)
    inputs[k] = inputs[k].transpose(0, 2).contiguous().transpose(0, 2)
    assert not inputs[k].is_contiguous()
    assert_equal_to_twin(derivatives(module, inputs), expected, 1e-12)


def test_one_gradient_without_the_others():
    module, inputs = make_update(2)
    expected = derivatives(module, inputs)
    module.requires_grad_(False)
    for k, name in enumerate(("state", "message")):
        leaves = [x.detach().requires_grad_(j == k) for j, x in enumerate(inputs[:2])]
        updated = module(*leaves, inputs[2])
        updated.backward(rows(*updated.shape, seed=3))
        assert torch.equal(leaves[k].grad, expected[name]) and leaves[1 - k].grad is None


# ---- threads, instruction sets, devices, TorchScript


@pytest.mark.parametrize("l_max", [1, 2])
def test_the_same_for_any_number_of_threads(l_max):
    module, inputs = make_update(l_max, 12, 1021)
    threads, found = torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            weights = [x.detach().requires_grad_() for x in module.weights()]
            state, message = (x.detach().requires_grad_() for x in inputs[:2])
            updated = ops.update(state, message, inputs[2], weights, l_max)
            first = torch.autograd.grad(updated.square().sum(), (state, message, *weights), retain_graph=True)
            pulled = torch.autograd.grad(updated.square().sum(), (state, message), create_graph=True)
            second = torch.autograd.grad(sum(g.square().sum() for g in pulled), (state, message, *weights))
            found.append([updated, *first, *second])
    finally:
        torch.set_num_threads(threads)
    assert [torch.equal(one, two) for one, two in zip(*found, strict=True)] == [True] * len(found[0])


def check_instruction_set() -> None:
    """Runs in a process of its own, since the choice is made once; see test_kernel_settings.py."""
    torch.set_num_threads(1)
    for l_max in (1, 2):
        for channels in (3, 4, 12, 16):
            assert_parity(*make_update(l_max, channels, 30))


@pytest.mark.parametrize("l_max", [1, 2])
def test_shapes_on_meta(l_max):
    module, inputs = make_update(l_max)
    module, (state, message, types) = module.to("meta"), [x.to("meta") for x in inputs]
    state.requires_grad_()
    updated = ops.update(state, message, types, module.weights(), l_max)
    assert updated.is_meta and updated.shape == state.shape and updated.dtype == state.dtype
    (gradient,) = torch.autograd.grad(updated.sum(), state)
    assert gradient.is_meta and gradient.shape == state.shape


def test_schema_passes_torchs_own_checks():
    module, (state, message, types) = make_update(2)
    arguments = (state.requires_grad_(), message, types, [x.detach() for x in module.weights()], 2)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.charon.update.default, arguments, test_utils=checks)


@torch.jit.script
def scripted(state: Tensor, message: Tensor, types: Tensor, weights: list[Tensor], l_max: int) -> tuple[Tensor, Tensor]:
    updated = ops.update(state, message, types, weights, l_max)
    gradient = torch.autograd.grad([(updated * updated).sum()], [state], create_graph=True)[0]
    assert gradient is not None
    return updated, gradient


@pytest.mark.parametrize("l_max", [1, 2])
def test_inside_torchscript(l_max):
    module, (state, message, types) = make_update(l_max)
    state.requires_grad_()
    updated, gradient = scripted(state, message, types, module.weights(), l_max)
    weights = list(module.parameters())
    found = torch.autograd.grad(gradient.square().sum(), weights, materialize_grads=True)
    with ops.reference_kernels():
        expected = module(state, message, types)
    (expected_gradient,) = torch.autograd.grad(expected.square().sum(), state, create_graph=True)
    twin = torch.autograd.grad(expected_gradient.square().sum(), weights, materialize_grads=True)
    names = ["value", "gradient", *dict(module.named_parameters())]
    assert_equal_to_twin(
        dict(zip(names, (updated, gradient, *found), strict=True)),
        dict(zip(names, (expected, expected_gradient, *twin), strict=True)),
        1e-12,
    )


# ---- errors


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda s, m, t, w: (s[:, :4], m, t, w),
            r"expected state and message \[n, 9, channels\] of one type, found \[3, 4, 4\]",
        ),
        (lambda s, m, t, w: (s, m[:2], t, w), r"expected state and message .* and \[2, 9, 4\]"),
        (lambda s, m, t, w: (s, m, t[:2], w), r"expected types \[3\] of int64, found \[2\]"),
        (lambda s, m, t, w: (s, m, t.int(), w), r"expected types \[3\] of int64, found \[3\]"),
        (lambda s, m, t, w: (s, m, t, w[:8]), "expected 10 weights, found 8"),
        (lambda s, m, t, w: (s, m, t, [w[0].t(), *w[1:]]), r"expected weight 0 as \[8, 4\] of Double, found \[4, 8\]"),
        (lambda s, m, t, w: (s, m, t, [*w[:9], w[9][:8]]), r"expected weight 9 as \[12, 4\] of Double, found \[8, 4\]"),
        (lambda s, m, t, w: (s, m, t, [*w[:4], w[4].float(), *w[5:]]), r"expected weight 4 .* found \[12\] of Float"),
        (lambda s, m, t, w: (s, m.float(), t, w), "expected .*Double.*Float"),
        (lambda s, m, t, w: (s, m, t, [*w[:7], w[7][:1], *w[8:]]), r"expected weight 7 as \[2, 20\]"),
    ],
    ids=["rows", "atoms", "types", "integers", "weights", "transposed", "short", "float weight", "float", "elements"],
)
def test_updates_that_are_none(change, text):
    module, inputs = make_update(2)
    with pytest.raises(RuntimeError, match=f"charon::update: {text}"):
        ops.update(*change(*inputs, [x.detach() for x in module.weights()]), 2)


@pytest.mark.parametrize("l_max", [0, 3])
def test_ranks_that_there_are_not(l_max):
    module, inputs = make_update(2)
    with pytest.raises(RuntimeError, match=f"charon::update: expected l_max 1 or 2, found {l_max}"):
        ops.update(*inputs, module.weights(), l_max)


@pytest.mark.parametrize("wrong", [2, -1])
def test_elements_that_the_weights_do_not_have(wrong):
    module, (state, message, types) = make_update(1)
    weights = [x.detach() for x in module.weights()]
    for k in (6, 7):  # slices, so that what lies around them is memory of the same tensor
        weights[k] = torch.cat([weights[k]] * 3)[2:4]
    types[1] = wrong
    with pytest.raises((RuntimeError, IndexError), match="types|element|index"):
        ops.update(state, message, types, weights, 1)


def test_derivatives_that_only_plain_torch_has():
    module, (state, message, types) = make_update(2)
    state.requires_grad_()
    (gradient,) = torch.autograd.grad(module(state, message, types).square().sum(), state, create_graph=True)
    with pytest.raises(RuntimeError, match=r"third derivatives need charon\.ops\.reference_kernels\(\)"):
        torch.autograd.grad(gradient.square().sum(), state, create_graph=True)
    weight = module.vector_in.weight
    with pytest.raises(RuntimeError, match=r"derivatives of the gradients of weights need charon\.ops\.reference_ke"):
        torch.autograd.grad(module(state, message, types).square().sum(), weight, create_graph=True)
    with ops.reference_kernels():
        for k in range(3):
            order = module(state, message, types).square().sum() if k == 0 else gradient.square().sum()
            (gradient,) = torch.autograd.grad(order, state, create_graph=True)
    assert gradient.abs().max() > 0.0
