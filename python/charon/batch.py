"""Structures with their neighbor lists, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from ase.data import chemical_symbols

from charon.errors import DataError
from charon.labels import LABELS, label_shape
from charon.neighbors import edge_vectors, neighbor_list
from charon.structure import Structure


@dataclass(frozen=True, eq=False)
class Graph:
    """A structure with its neighbor list, computed once.

    Args:
        structure: the system.
        types: index of each atom's element in the model's list, [n_atoms] int64.
        edge_index: center and neighbor, [2, n_edges] int64.
        edge_vector: x_neighbor - x_center + shift, [n_edges, 3] float64, in A.
    """

    structure: Structure
    types: torch.Tensor
    edge_index: torch.Tensor
    edge_vector: torch.Tensor


@dataclass(eq=False)
class Batch:
    """Systems side by side; `batch` tells the system of each atom.

    Args:
        types: element index, [n_atoms] int64.
        edge_index: center and neighbor, [2, n_edges] int64.
        edge_vector: x_neighbor - x_center + shift, [n_edges, 3], in A.
        positions: [n_atoms, 3], in A.
        cell: [n_systems, 3, 3], in A.
        pbc: [n_systems, 3] bool.
        total_charge: [n_systems] float, in e.
        unpaired: unpaired electrons, [n_systems] float.
        batch: system of each atom, [n_atoms] int64.
        n_atoms: atoms of each system, [n_systems] int64.
        labels: energy [n_systems] float64, forces [n_atoms, 3], stress [n_systems, 3, 3], charges [n_atoms],
            spins [n_atoms], dipole [n_systems, 3], zero where unknown, and for each `<name>_mask` [n_systems]
            bool, True where known. A label that no system has is absent.
    """

    types: torch.Tensor
    edge_index: torch.Tensor
    edge_vector: torch.Tensor
    positions: torch.Tensor
    cell: torch.Tensor
    pbc: torch.Tensor
    total_charge: torch.Tensor
    unpaired: torch.Tensor
    batch: torch.Tensor
    n_atoms: torch.Tensor
    labels: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def n_systems(self) -> int:
        return self.n_atoms.shape[0]

    def inputs(self) -> tuple[torch.Tensor, ...]:
        """Arguments of a model's `forward`, in order."""
        return (
            self.types,
            self.edge_index,
            self.edge_vector,
            self.positions,
            self.cell,
            self.pbc,
            self.total_charge,
            self.unpaired,
            self.batch,
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        tensors = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "labels"}
        return Batch(**tensors, labels={name: value.to(device) for name, value in self.labels.items()})


def make_graph(structure: Structure, elements: Sequence[int], cutoff: float) -> Graph:
    """Neighbor list and element indices of one structure.

    Raises:
        DataError: an element that the model does not have.
    """
    edge_index, edge_shift = neighbor_list(structure.positions, structure.cell, structure.pbc, cutoff)
    return Graph(
        structure=structure,
        types=torch.from_numpy(element_types(structure, elements)),
        edge_index=torch.from_numpy(edge_index),
        edge_vector=torch.from_numpy(edge_vectors(structure.positions, edge_index, edge_shift)),
    )


def make_graphs(structures: Iterable[Structure], elements: Sequence[int], cutoff: float) -> list[Graph]:
    """Graphs of many structures; `elements` are the model's atomic numbers, `cutoff` in A."""
    return [make_graph(structure, elements, cutoff) for structure in structures]


def element_types(structure: Structure, elements: Sequence[int]) -> np.ndarray:
    """Index of each atom's element in the model's list: [n_atoms] int64.

    Raises:
        DataError: an element that the model does not have.
    """
    lookup = np.full(len(chemical_symbols) + 1, -1, dtype=np.int64)
    lookup[list(elements)] = np.arange(len(elements))
    types = lookup[structure.numbers]  # [n_atoms]
    if (types < 0).any():
        missing = sorted({chemical_symbols[z] for z in structure.numbers[types < 0]})
        known = ", ".join(chemical_symbols[z] for z in elements)
        raise DataError(
            f"{structure.source}: the model does not know {', '.join(missing)}; its elements are {known}. "
            "Remove this structure, or train a model on data that has these elements."
        )
    return types


def collate(graphs: Sequence[Graph], dtype: torch.dtype = torch.float64) -> Batch:
    """One batch of several graphs; floats in `dtype`, the energy label always in float64.

    Raises:
        DataError: no graphs.
    """
    if not graphs:
        raise DataError("A batch needs at least one structure, found none.")
    structures = [graph.structure for graph in graphs]
    n_atoms = torch.tensor([s.n_atoms for s in structures])  # [n_systems]
    first = torch.cumsum(n_atoms, 0) - n_atoms  # index of each system's first atom
    return Batch(
        types=torch.cat([graph.types for graph in graphs]),
        edge_index=torch.cat([g.edge_index + start for g, start in zip(graphs, first, strict=True)], dim=1),
        edge_vector=torch.cat([graph.edge_vector for graph in graphs]).to(dtype),
        positions=torch.from_numpy(np.concatenate([s.positions for s in structures])).to(dtype),
        cell=torch.from_numpy(np.stack([s.cell for s in structures])).to(dtype),
        pbc=torch.from_numpy(np.stack([s.pbc for s in structures])),
        total_charge=torch.tensor([s.total_charge for s in structures], dtype=dtype),
        unpaired=torch.tensor([s.unpaired for s in structures], dtype=dtype),
        batch=torch.repeat_interleave(torch.arange(len(graphs)), n_atoms),
        n_atoms=n_atoms,
        labels=collate_labels(structures, dtype),
    )


def collate_labels(structures: Sequence[Structure], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Labels of several structures with their masks; see `Batch.labels`."""
    labels = {}
    for name in LABELS:
        known = [name in s.labels for s in structures]
        if not any(known):
            continue
        rows = [s.labels.get(name, np.zeros(label_shape(name, s.n_atoms))) for s in structures]
        joined = np.concatenate(rows) if name in ("forces", "charges", "spins") else np.stack(rows)
        labels[name] = torch.from_numpy(joined).to(torch.float64 if name == "energy" else dtype)
        labels[f"{name}_mask"] = torch.tensor(known)
    return labels
