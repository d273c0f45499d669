"""The sets of a training: what is read, how it is split, a fingerprint, and the order of the batches."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from charon.batch import Batch, Graph, collate
from charon.data import fingerprint, labels_present, read_structures
from charon.errors import DataError
from charon.structure import Structure
from charon.train.config import DataConfig
from charon.train.far_pairs import far_pairs

SETS = ("train", "validation", "test")
ATOMS_PER_BATCH = 512
"""Of a validation: many molecules at once cost little more than one, and memory stays small."""


@dataclass(frozen=True)
class DataSets:
    """Training, validation and test structures."""

    train: list[Structure]
    validation: list[Structure]
    test: list[Structure]

    def elements(self) -> list[int]:
        """Atomic numbers of the training set, ascending."""
        return sorted({int(z) for structure in self.train for z in np.unique(structure.numbers)})

    def fingerprint(self) -> str:
        """Hash over everything that a training reads: it tells whether data have changed."""
        return fingerprint([structure for name in SETS for structure in getattr(self, name)])

    def fingerprints(self) -> dict[str, str]:
        """The hash of each set."""
        return {name: fingerprint(getattr(self, name)) for name in SETS}

    def describe(self) -> dict:
        """Frames and systems of each set, with the source of every frame: the content of split.json."""
        return {
            name: {
                "frames": len(structures),
                "atoms": int(sum(s.n_atoms for s in structures)),
                "systems": count_systems(structures),
                "labels": labels_present(structures),
                "sources": [s.source for s in structures],
            }
            for name, structures in ((name, getattr(self, name)) for name in SETS)
        }


def count_systems(structures: Sequence[Structure]) -> dict[str, int]:
    """Frames per system, by name."""
    return dict(sorted(Counter(structure.system for structure in structures).items()))


def read_sets(config: DataConfig, seed: int) -> DataSets:
    """Reads the sets; where `validation` is a fraction it is drawn from each system by the seed."""
    train = _read(config, config.train)
    if isinstance(config.validation, float):
        train, validation = hold_out(train, config.validation, seed)
    else:
        validation = _read(config, config.validation)
    if config.far_pairs > 0:
        train, validation = (part and [*part, *far_pairs(part, config.far_pairs, seed)] for part in (train, validation))
    return DataSets(train, validation, _read(config, config.test))


def _read(config: DataConfig, paths: Sequence[Path]) -> list[Structure]:
    return read_structures(
        paths,
        keys=config.keys,
        units=config.units,
        default_charge=config.charge,
        default_spin=config.spin,
        on_error=config.on_error,
    )


def hold_out(structures: Sequence[Structure], fraction: float, seed: int) -> tuple[list[Structure], list[Structure]]:
    """Splits off a fraction of each system, at least one frame of all; both parts keep the order."""
    random = np.random.default_rng([seed, 1])
    held: set[int] = set()
    for system in count_systems(structures):
        members = [i for i, structure in enumerate(structures) if structure.system == system]
        held.update(int(i) for i in random.permutation(members)[: round(fraction * len(members))])
    if not held:
        held = {int(random.integers(len(structures)))}
    if len(held) == len(structures):
        raise DataError(f"data.validation={fraction:g} of {len(structures)} frames leaves none to train on")
    kept = [structure for i, structure in enumerate(structures) if i not in held]
    return kept, [structures[i] for i in sorted(held)]


def batch_order(n_graphs: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Indices of each batch of an epoch: a function of seed and epoch, so a run can continue inside it."""
    order = np.random.default_rng([seed, 2, epoch]).permutation(n_graphs)
    return [order[start : start + batch_size] for start in range(0, n_graphs, batch_size)]


def fixed_batches(graphs: Sequence[Graph], dtype: torch.dtype) -> list[Batch]:
    """Batches in the order of the graphs, of at most `ATOMS_PER_BATCH` atoms or of one graph."""
    batches: list[list[Graph]] = []
    atoms = ATOMS_PER_BATCH
    for graph in graphs:
        atoms += graph.structure.n_atoms
        if atoms > ATOMS_PER_BATCH:
            batches.append([])
            atoms = graph.structure.n_atoms
        batches[-1].append(graph)
    return [collate(batch, dtype) for batch in batches]


def spread(structures: Sequence[Structure], count: int) -> Iterator[int]:
    """Indices of at most `count` structures, evenly spread."""
    n = len(structures)
    return iter(sorted({int(i) for i in np.linspace(0, n - 1, min(n, count)).round()}) if n else [])


def save_split(sets: DataSets, config: DataConfig, path: Path) -> None:
    """Writes split.json: files, counts and the source of every frame of each set."""
    content = sets.describe()
    for name in SETS:
        files = getattr(config, name)
        content[name]["files"] = [str(f) for f in files] if not isinstance(files, float) else f"{files:g} of train"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
