"""Graphs and batches: shapes, offsets, masks, precision."""

import numpy as np
import pytest
import torch

from charon.batch import collate, make_graph, make_graphs
from charon.errors import DataError

ELEMENTS = [1, 6, 11, 17, 47]


@pytest.fixture
def graphs(structures, with_labels):
    return make_graphs(map(with_labels, structures.values()), ELEMENTS, cutoff=4.5)


def test_shapes_and_types(graphs):
    batch = collate(graphs, torch.float32)
    n_atoms = sum(graph.structure.n_atoms for graph in graphs)
    assert batch.n_systems == len(graphs) == 7
    assert batch.types.shape == batch.batch.shape == (n_atoms,) and batch.types.dtype == torch.int64
    assert batch.positions.shape == (n_atoms, 3) and batch.cell.shape == (7, 3, 3)
    assert batch.pbc.shape == (7, 3) and batch.pbc.dtype == torch.bool
    assert batch.edge_index.dtype == torch.int64
    assert batch.edge_vector.shape == (batch.edge_index.shape[1], 3)
    assert batch.total_charge.tolist() == [0, 0, 1, -1, 0, 0, 0]
    assert batch.unpaired.tolist() == [0, 2, 0, 0, 0, 0, 0]
    assert batch.n_atoms.tolist() == [3, 3, 3, 3, 12, 8, 8]
    floats = [batch.positions, batch.cell, batch.edge_vector, batch.total_charge, batch.unpaired]
    assert {tensor.dtype for tensor in floats} == {torch.float32}


def test_element_indices(graphs):
    batch = collate(graphs)
    numbers = torch.tensor(np.concatenate([graph.structure.numbers for graph in graphs]))
    assert torch.equal(torch.tensor(ELEMENTS)[batch.types], numbers)


def test_edges_stay_in_their_system_and_are_sorted(graphs):
    batch = collate(graphs)
    center, neighbor = batch.edge_index
    assert torch.equal(batch.batch[center], batch.batch[neighbor])
    assert (center.diff() >= 0).all()
    assert (batch.edge_vector.norm(dim=1) < 4.5).all()


def test_edges_of_a_batch_are_those_of_its_systems(graphs):
    batch = collate(graphs)
    count = [graph.edge_index.shape[1] for graph in graphs]
    for graph, index, vector in zip(
        graphs, batch.edge_index.split(count, dim=1), batch.edge_vector.split(count), strict=True
    ):
        assert torch.equal(index - index.min(), graph.edge_index)
        assert torch.equal(vector, graph.edge_vector)


def test_labels_and_masks(graphs):
    labels = collate(graphs).labels
    assert labels["energy_mask"].all() and labels["forces_mask"].all()
    assert labels["stress_mask"].tolist() == [False] * 5 + [True, False]
    assert labels["dipole_mask"].tolist() == [True] * 5 + [False, True]
    assert labels["stress"].shape == (7, 3, 3) and not labels["stress"][~labels["stress_mask"]].any()
    assert labels["dipole"].shape == (7, 3) and not labels["dipole"][5].any()
    assert labels["forces"].shape == (40, 3) and labels["charges"].shape == labels["spins"].shape == (40,)
    np.testing.assert_array_equal(labels["stress"][5], graphs[5].structure.labels["stress"])


def test_energy_stays_in_double_precision(graphs):
    labels = collate(graphs, torch.float32).labels
    assert labels["energy"].dtype == torch.float64 and labels["forces"].dtype == torch.float32
    assert labels["energy"].tolist() == [float(graph.structure.labels["energy"]) for graph in graphs]


def test_inputs_are_in_the_order_of_forward(graphs):
    batch = collate(graphs)
    names = "types edge_index edge_vector positions cell pbc total_charge unpaired batch"
    for tensor, name in zip(batch.inputs(), names.split(), strict=True):
        assert tensor is getattr(batch, name)


def test_label_that_nobody_has_is_absent(structures):
    assert collate(make_graphs(structures.values(), ELEMENTS, 4.0)).labels == {}


def test_atoms_without_labels_are_zero_filled(structures, with_labels):
    pair = [structures["CH2 singlet"], with_labels(structures["CH2 triplet"])]
    labels = collate(make_graphs(pair, ELEMENTS, 4.0)).labels
    assert labels["forces_mask"].tolist() == [False, True]
    assert not labels["forces"][:3].any() and labels["forces"][3:].all()


def test_to_another_device(graphs):
    batch = collate(graphs[:2]).to("meta")
    assert batch.positions.device.type == batch.labels["forces"].device.type == "meta"


def test_element_that_the_model_lacks(structures):
    with pytest.raises(DataError, match="Ag3-: the model does not know Ag; its elements are H, C. Remove"):
        make_graph(structures["Ag3-"], [1, 6], 4.0)


def test_empty_batch():
    with pytest.raises(DataError, match="at least one structure"):
        collate([])
