"""Sets as arrays in one npz file, with the keys of PhysNet's sets, and NNMP-Pot's names for what is beyond them."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from charon.errors import DataError
from charon.units import UnitSystem

REQUIRED = ("Z", "R")
SHAPES: dict[str, tuple[str | int, ...]] = {
    "N": (),
    "Z": ("max_atoms",),
    "R": ("max_atoms", 3),
    "E": (),
    "F": ("max_atoms", 3),
    "Q": (),
    "Qa": ("max_atoms",),
    "D": (3,),
    "Mult": (),
    "Cell": (3, 3),
}

Arrays = Mapping[str, np.ndarray]


def is_npz(path: Path) -> bool:
    """Whether the name ends in .npz."""
    return path.suffix == ".npz"


def read_npz(path: Path, units: UnitSystem) -> Iterator[tuple[str, Atoms]]:
    """Source and Atoms of each frame, in the units of the file.

    Every array has a row per frame, and rows of atoms are filled up with zeros to the largest frame: N, number of
    atoms (by default the atomic numbers that are not zero); Z, atomic numbers; R, positions; E, energy; F, forces;
    Q, total charge; Qa, charges of the atoms; D, dipole about the origin; Mult, multiplicity 2S+1; Cell, cell vectors
    in rows, zero of an open system. Z and R must be there. The dipole is given out about the center of geometry. An
    array of another name is not read.

    Args:
        path: the file.
        units: its units, by which the dipole is shifted.

    Raises:
        DataError: no npz file, an array that is missing or not of the shape it must have, naming it and the frame.

    Source: N, Z, R, E, F, Q and D as in https://zenodo.org/records/2605341 (Unke and Meuwly 2019).
    """
    arrays = _load(path)
    dipole_shift = units.factor("length") / units.factor("dipole")
    for index in range(len(arrays["Z"])):
        source = f"{path}, frame {index}"
        yield source, _atoms({key: array[index] for key, array in arrays.items()}, source, dipole_shift)


def _load(path: Path) -> dict[str, np.ndarray]:
    """The arrays with a row per frame, each of the shape that it must have."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as npz: {error}. Is the file complete?") from None
    missing = [key for key in REQUIRED if key not in arrays]
    if missing:
        raise DataError(
            f"{path}: the array {' and '.join(missing)} is missing. Found: {', '.join(sorted(arrays)) or 'none'}. "
            "Expected Z (atomic numbers) and R (positions), with a row per frame."
        )
    if arrays["Z"].ndim != 2:
        raise DataError(f"{path}: the array Z must have the shape [frames, atoms], found {list(arrays['Z'].shape)}.")
    n_frames, max_atoms = arrays["Z"].shape
    for key, shape in SHAPES.items():
        if key not in arrays:
            continue
        expected = (n_frames, *(max_atoms if size == "max_atoms" else size for size in shape))
        if arrays[key].size != np.prod(expected) or len(arrays[key]) != n_frames:
            raise DataError(
                f"{path}: the array {key} must have the shape {list(expected)} ({n_frames} frames of at most "
                f"{max_atoms} atoms, by Z), found {list(arrays[key].shape)}."
            )
        arrays[key] = arrays[key].reshape(expected)
    return {key: array for key, array in arrays.items() if key in SHAPES or array.shape[:1] == (n_frames,)}


def _atoms(row: Arrays, source: str, dipole_shift: float) -> Atoms:
    numbers = row["Z"]
    n_atoms = int(row["N"]) if "N" in row else int(np.count_nonzero(numbers))
    if not 0 < n_atoms <= len(numbers) or not numbers[:n_atoms].all():
        raise DataError(
            f"{source}: N says {n_atoms} atoms, Z has {np.count_nonzero(numbers)} of {len(numbers)}. "
            "Expected the atoms first, then zeros."
        )
    cell = row.get("Cell", np.zeros((3, 3)))
    atoms = Atoms(numbers[:n_atoms].astype(int), row["R"][:n_atoms], cell=cell, pbc=bool(cell.any()))
    atoms.info = {key: row[key].item() for key in set(row) - set(SHAPES) if row[key].ndim == 0}
    atoms.info |= {name: row[key].item() for name, key in (("charge", "Q"), ("spin", "Mult")) if key in row}
    per_atom = {"forces": "F", "charges": "Qa"}
    labels = {name: row[key][:n_atoms] for name, key in per_atom.items() if key in row}
    if "E" in row:
        labels["energy"] = row["E"].item()
    if "D" in row:
        labels["dipole"] = row["D"] - row.get("Q", 0) * atoms.positions.mean(axis=0) * dipole_shift
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms
