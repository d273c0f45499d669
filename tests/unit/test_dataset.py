"""Batches, frames held out, and what is said of the reference energies of a set."""

import numpy as np
import pytest
import torch

from charon.batch import make_graphs
from charon.errors import DataError
from charon.model import Statistics
from charon.train.dataset import batch_order, fixed_batches, hold_out
from charon.train.references import plausibility


def test_order_of_batches():
    first, again, other = (batch_order(10, 4, seed=1, epoch=e) for e in (0, 0, 1))
    assert [len(b) for b in first] == [4, 4, 2]
    assert sorted(np.concatenate(first)) == list(range(10))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (np.concatenate(first) == np.concatenate(other)).all()


def test_validation_batches_have_a_limited_number_of_atoms(trimer_structures, monkeypatch):
    monkeypatch.setattr("charon.train.dataset.ATOMS_PER_BATCH", 7)
    graphs = make_graphs(trimer_structures[:5], [47], 4.0)
    assert [batch.n_systems for batch in fixed_batches(graphs, torch.float64)] == [2, 2, 1]
    monkeypatch.setattr("charon.train.dataset.ATOMS_PER_BATCH", 1)
    assert [batch.n_systems for batch in fixed_batches(graphs, torch.float64)] == [1] * 5


def test_hold_out_from_each_system(trimer_structures):
    train, held = hold_out(trimer_structures, 0.25, seed=0)
    assert [len(train), len(held)] == [6, 2]
    assert {s.system for s in held} == {"Ag3+", "Ag3-"}
    assert {s.source for s in train} & {s.source for s in held} == set()
    assert [s.source for s in held] == [s.source for s in hold_out(trimer_structures, 0.25, seed=0)[1]]


def test_hold_out_leaves_something(trimer_structures):
    assert len(hold_out(trimer_structures, 0.01, seed=0)[1]) == 1
    with pytest.raises(DataError, match="leaves none to train on"):
        hold_out(trimer_structures, 0.99, seed=0)


def test_reference_energies_are_checked(trimer_structures):
    assert plausibility(trimer_structures, [47], Statistics((-100.0,), 2.0)) == []
    (warning,) = plausibility(trimer_structures, [47], Statistics((-10.0,), 2.0))
    assert "8 frames lie more than 12 eV/atom" in warning and "a.xyz, frame" in warning
    (warning,) = plausibility(trimer_structures, [47], Statistics((-100.0,), 2.0, determined=False))
    assert "only sums of the reference energies" in warning
