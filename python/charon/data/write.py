"""Structures to extended XYZ, in full precision."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.io.extxyz import key_val_dict_to_str

from charon.data.xyz import OPENERS
from charon.errors import DataError
from charon.structure import Structure

TARGETS = (".xyz", ".extxyz", ".xyz.gz", ".xyz.xz", ".xyz.bz2")
COLUMNS = {"forces": 3, "charges": 1, "spins": 1}


def check_target(path: Path, overwrite: bool = False) -> None:
    """Refuse a name that is not of extended XYZ, and to overwrite a file unasked.

    Raises:
        DataError: saying which.
    """
    if not path.name.endswith(TARGETS):
        raise DataError(f"{path}: expected a name that ends in {', '.join(TARGETS)}")
    if path.exists() and not overwrite:
        raise DataError(f"{path} exists already; remove it, name another target or pass overwrite")


def write_structures(path: str | Path, structures: Iterable[Structure], decimals: int | None = None) -> None:
    """Write extended XYZ that `read_structures` and ASE read; .xz, .gz and .bz2 compress.

    Args:
        path: the file.
        structures: what to write, in eV, A, e.
        decimals: digits after the point; None writes every digit, so that nothing is lost.
    """
    path = Path(path)
    with OPENERS.get(path.suffix, open)(path, "wt", encoding="utf-8") as file:
        for structure in structures:
            file.write(frame_text(structure, decimals))


def frame_text(structure: Structure, decimals: int | None = None) -> str:
    """One frame of an extended XYZ file."""
    columns = {name: structure.labels[name] for name in COLUMNS if name in structure.labels}
    properties = "species:S:1:pos:R:3" + "".join(f":{name}:R:{COLUMNS[name]}" for name in columns)
    table = np.column_stack([structure.positions, *columns.values()])  # [n_atoms, n_columns]
    rows = [
        f"{chemical_symbols[number]:<2} {_numbers(row, decimals)}"
        for number, row in zip(structure.numbers, table, strict=True)
    ]
    header = f"Properties={properties} {_header(structure, decimals)}"
    return "\n".join([str(structure.n_atoms), header, *rows]) + "\n"


def _header(structure: Structure, decimals: int | None) -> str:
    info: dict[str, Any] = {}
    if structure.pbc.any():
        info["Lattice"] = _numbers(structure.cell.ravel(), None)
    info |= {
        "pbc": " ".join("FT"[int(periodic)] for periodic in structure.pbc),
        "charge": structure.total_charge,
        "spin": structure.spin_multiplicity,
        "system": structure.system,
    }
    for name in ("energy", "stress", "dipole"):
        if name in structure.labels:
            info[name] = _numbers(structure.labels[name].ravel(), None if name == "stress" else decimals)
    return key_val_dict_to_str(info)


def _numbers(values: np.ndarray, decimals: int | None) -> str:
    """Numbers as text; without `decimals` the shortest text that gives the same float64 back."""
    return " ".join(repr(float(v)) if decimals is None else f"{v:.{decimals}f}" for v in values)
