"""The operator of exported layers: equal to the trained layer in plain torch, with one derivative, used once."""

import pytest
import torch
from torch import Tensor

from charon import ops
from charon.export.layer import ExportedLayer
from charon.model import ModelConfig, Statistics, build_potential
from charon.ops.emulation import counters, reset_counters

N = 7


def layers(l_max: int, electronic: str = "none") -> tuple[list, list[ExportedLayer], Tensor]:
    """The trained and the exported layers of a small model with random weights, and the embedding; float64."""
    torch.manual_seed(3)
    config = ModelConfig(channels=12, layers=2, l_max=l_max, electronic=electronic, cutoff=4.0)
    core = build_potential(config, [1, 8], Statistics((0.0, 0.0), 6.0)).double().core
    embedding = core.embedding.weight.detach()
    return list(core.layers), [ExportedLayer(layer, core.embedding.weight) for layer in core.layers], embedding


def inputs(l_max: int, embedding: Tensor, first: bool) -> dict[str, Tensor]:
    """A random state, types, and all pairs as edges."""
    torch.manual_seed(4)
    types = torch.arange(N) % 2
    state = torch.zeros((N, (l_max + 1) ** 2, 12), dtype=torch.float64)
    state[:, 0] = embedding[types]
    if not first:
        state = torch.randn_like(state)
    positions = 2.0 * torch.randn((N, 3), dtype=torch.float64)
    index = torch.tensor([(i, j) for i in range(N) for j in range(N) if i != j]).t().contiguous()
    return {"state": state, "types": types, "index": index, "vector": positions[index[1]] - positions[index[0]]}


def derivatives(layer, embedding: Tensor, x: dict[str, Tensor]) -> list[Tensor]:
    """New state, charges and spins, and gradients of a sum of both by state and edge vectors."""
    state, vector = x["state"].clone().requires_grad_(), x["vector"].clone().requires_grad_()
    lists = ops.edge_lists(x["index"], N, N)
    charge_spin = torch.linspace(-0.2, 0.3, 2 * N, dtype=torch.float64).reshape(N, 2)
    target, batch = torch.tensor([[1.0, 1.0]], dtype=torch.float64), torch.zeros(N, dtype=torch.int64)
    found = layer(state, charge_spin, embedding, x["types"], vector, x["index"], lists, target, batch)
    total = found[0].sin().sum() + found[1].square().sum()
    gradients = torch.autograd.grad(total, (state, vector), allow_unused=True)
    return [found[0].detach(), found[1].detach(), *gradients]


@pytest.mark.parametrize("electronic", ["none", "equilibration"])
@pytest.mark.parametrize("l_max", [1, 2])
@pytest.mark.parametrize("k", [0, 1])
def test_equal_to_the_trained_layer_in_plain_torch(l_max, k, electronic):
    trained, exported, embedding = layers(l_max, electronic)
    x = inputs(l_max, embedding, first=k == 0)
    with ops.reference_kernels():
        expected = derivatives(trained[k], embedding, x)
    found = derivatives(exported[k], embedding, x)
    pairs = list(zip(found, expected, strict=True))
    if k == 0:  # the first state is the embedding, of which nothing is differentiated
        pairs.pop(2)
    for one, two in pairs:
        assert torch.allclose(one, two, rtol=1e-11, atol=1e-12)
    assert float(found[3].abs().max()) > 1e-3


def call(exported: ExportedLayer, x: dict[str, Tensor], weights: list[Tensor] | None = None) -> Tensor:
    lists = ops.edge_lists(x["index"], N, N)
    layer, given = exported, exported.weights if weights is None else weights
    return ops.layer(x["state"], x["types"], x["vector"], lists, given, layer.l_max, layer.first, layer.spacing)


def test_its_graph_is_used_once_and_has_no_second_derivative():
    _, exported, embedding = layers(2)
    x = inputs(2, embedding, first=False)
    x["vector"].requires_grad_()
    total = call(exported[1], x).sum()
    torch.autograd.grad(total, x["vector"], retain_graph=True)
    with pytest.raises(RuntimeError, match="its graph can be used once"):
        torch.autograd.grad(total, x["vector"])
    with pytest.raises(RuntimeError, match="first derivatives only; take others of the trained one"):
        torch.autograd.grad(call(exported[1], x).sum(), x["vector"], create_graph=True)


def test_each_exchange_is_made_once():
    _, exported, embedding = layers(2)
    for k, layer in enumerate(exported):
        x = inputs(2, embedding, first=k == 0)
        x["state"].requires_grad_()
        reset_counters()
        torch.autograd.grad(call(layer, x).sum(), x["state"])
        assert (counters()["halo_forward"], counters()["halo_reverse"]) == (k, k)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x, w: (x | {"state": x["state"][:, :4]}, w), r"expected state \[n_local, 9, channels\], found \[7, 4"),
        (lambda x, w: (x | {"types": x["types"][:3]}, w), r"expected types \[n_all\] of int64 for 7 local atoms"),
        (lambda x, w: (x, w[:-1]), "expected 19 weights, found 18"),
        (lambda x, w: (x, [w[0].t(), *w[1:]]), r"expected a source \[channels, 36\] and its bias"),
    ],
)
def test_layers_that_are_none(change, text):
    _, exported, embedding = layers(2)
    x, weights = change(inputs(2, embedding, first=False), exported[1].weights)
    with pytest.raises(RuntimeError, match=f"charon::layer: {text}"):
        call(exported[1], x, weights)
