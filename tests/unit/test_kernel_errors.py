"""Messages and edges that are none: the kernels say what was expected and what was found."""

import pytest
import torch

from charon import ops

from .kernel_cases import SPACING, make_layer, rows


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
