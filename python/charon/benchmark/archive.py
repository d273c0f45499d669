"""The sets of an unpacked archive, recognized by their composition, and their split into training and test."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.formula import Formula

from charon.benchmark.published import SETS, ReferenceSet
from charon.data import read_structures
from charon.data.n2p2 import is_input_data
from charon.errors import DataError
from charon.structure import Structure

TEST_FRACTION = 0.1


def find_sets(folder: Path) -> tuple[dict[str, list[Structure]], list[str]]:
    """The structures of each set found below a folder, by name, and remarks on files that are none of them.

    Their multiplicity is the lowest that fits the electrons: the archive does not say it.

    Raises:
        DataError: no such folder, a set that is there twice, or none at all.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder. Expected the unpacked archive of Materials Cloud 2020.137."
        )
    paths = sorted(path for path in folder.rglob("*.data*") if path.is_file() and is_input_data(path))
    found: dict[str, list[Structure]] = {}
    places: dict[str, Path] = {}
    remarks: list[str] = []
    for path in paths:
        structures = read_structures(path, default_spin="lowest")
        formulas = sorted({formula(structure) for structure in structures})
        name = recognized(formulas)
        if name is None:
            remarks.append(f"{path}: none of the sets, it has {', '.join(formulas[:5])}")
        elif name in found:
            raise DataError(
                f"{path}: the set {name} was found in {places[name]} already. Keep one of them in {folder}."
            )
        else:
            found[name], places[name] = structures, path
    if not found:
        raise DataError(
            f"{folder}: none of the sets {', '.join(known.title for known in SETS)} was found in {len(paths)} files "
            f"*input.data (also .xz, .gz, .bz2). {' '.join(remarks)}".rstrip()
        )
    return found, remarks


def recognized(formulas: Sequence[str]) -> str | None:
    """Name of the set that has these formulas, if all of them belong to one."""
    return next((known.name for known in SETS if all(re.fullmatch(known.formula, text) for text in formulas)), None)


def reference_set(name: str) -> ReferenceSet:
    """The set of this name."""
    return next(known for known in SETS if known.name == name)


def formula(structure: Structure) -> str:
    """Hill formula."""
    return Formula.from_list(structure.to_atoms().get_chemical_symbols()).format("hill")


def split(structures: Sequence[Structure], seed: int) -> tuple[list[Structure], list[Structure]]:
    """Frames to train on, and the tenth that is drawn at random for the test; both in the order of the file."""
    n_test = max(1, round(TEST_FRACTION * len(structures)))
    test = set(np.random.default_rng([seed, 3]).permutation(len(structures))[:n_test].tolist())
    return (
        [structure for i, structure in enumerate(structures) if i not in test],
        [structures[i] for i in sorted(test)],
    )
