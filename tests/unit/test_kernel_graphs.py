"""Fused message kernels on all kinds of graphs: empty, isolated, images, at the cutoff."""

import pytest
import torch

from charon import ops

from .kernel_cases import CUTOFF, LAYERS, assert_equal_to_twin, assert_parity, derivatives, make_layer, rows


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
