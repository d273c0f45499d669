"""Labels of a frame: under which keys they are looked for, in which order, and what they must look like."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from charon.errors import ConfigError, DataError
from charon.units import UnitSystem

LABELS = ("energy", "forces", "stress", "charges", "spins", "dipole")
VIRIAL_KEYS = ("virial", "virials")  # -stress * volume, in eV
NAMES = {label: (label,) for label in LABELS} | {
    "spins": ("spins", "magmoms"),
    "stress": ("stress", *VIRIAL_KEYS),
}


def label_shape(label: str, n_atoms: int) -> tuple[int, ...]:
    """Shape of a label of one structure, as Structure keeps it."""
    return {
        "energy": (),
        "forces": (n_atoms, 3),
        "stress": (3, 3),
        "charges": (n_atoms,),
        "spins": (n_atoms,),
        "dipole": (3,),
    }[label]


def check_keys(keys: Mapping[str, str] | None) -> dict[str, str]:
    """The user's choice of keys, {label: key}; `charge` and `spin` may be named too.

    Raises:
        ConfigError: a label that does not exist, with the nearest name.
    """
    allowed = (*LABELS, "charge", "spin")
    for label in keys or {}:
        if label not in allowed:
            near = difflib.get_close_matches(label, allowed, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigError(f"keys: {label!r} is no label. {hint}Labels: {', '.join(allowed)}.")
    return dict(keys or {})


def calculator_results(atoms: Atoms) -> dict[str, Any]:
    """Results stored with these atoms; empty when they belong to other positions.

    Read directly, so that constrained atoms keep their real forces.
    """
    calculator = atoms.calc
    if calculator is None or calculator.check_state(atoms):
        return {}
    return {key: value for key, value in calculator.results.items() if value is not None}


def find_labels(atoms: Atoms, source: str, keys: Mapping[str, str] | None = None) -> dict[str, tuple[str, Any]]:
    """Key and raw value of each label: the one named, or REF_* first, then plain, then calculator results.

    Raises:
        DataError: a named key that is absent.
    """
    keys, results, found = keys or {}, calculator_results(atoms), {}
    for label in LABELS:
        per_atom = label in ("forces", "charges", "spins")
        own, other = (atoms.arrays, atoms.info) if per_atom else (atoms.info, atoms.arrays)
        usual = (*(f"REF_{name}" for name in NAMES[label]), *NAMES[label])
        candidates = (keys[label],) if label in keys else usual
        places = (own, other, results)
        hit = next(((key, place[key]) for key in candidates for place in places if key in place), None)
        if hit is not None:
            found[label] = hit
        elif label in keys:
            raise DataError(
                f"{source}: the key {keys[label]!r} named for {label} is absent. "
                f"Keys of this frame: {', '.join(frame_keys(atoms)) or 'none'}."
            )
    return found


def frame_keys(atoms: Atoms) -> list[str]:
    """Every key of a frame under which a label could stand."""
    results = atoms.calc.results if atoms.calc is not None else ()
    return sorted({*atoms.info, *atoms.arrays, *results} - {"numbers", "positions"})


def convert_labels(
    found: Mapping[str, tuple[str, Any]], atoms: Atoms, source: str, units: UnitSystem
) -> dict[str, np.ndarray]:
    """Labels of one frame in eV, A, e; a virial becomes a stress, -virial / volume.

    Args:
        found: {label: (key, raw value)}, from `find_labels`.
        atoms: the frame.
        source: file and frame, for messages.
        units: units of the frame.

    Raises:
        DataError: a value of the wrong shape, or one that is not finite.
    """
    labels = {}
    for label, (key, value) in found.items():
        if label == "stress" and not atoms.pbc.all():
            warnings.warn(
                "Stress labels of systems that are not periodic in three directions are ignored.",
                stacklevel=2,
            )
            continue
        labels[label] = check_label(label, key, value, len(atoms), source)
        if label == "stress" and key.removeprefix("REF_") in VIRIAL_KEYS:
            volume = atoms.cell.volume * units.factor("length") ** 3
            labels[label] *= -units.factor("virial") / volume
        else:
            labels[label] *= units.factor(label)
    return labels


def check_label(label: str, key: str, value: Any, n_atoms: int, source: str) -> np.ndarray:
    """The value as a float64 array of the label's shape.

    Raises:
        DataError: naming frame and key, the shape expected and the shape found.
    """
    shape = label_shape(label, n_atoms)
    try:
        array = np.array(value, dtype=np.float64)
    except (ValueError, TypeError):
        raise DataError(f"{source}: key {key!r} ({label}) must be numbers, found {value!r}.") from None
    if label == "stress":
        array = _full_stress(array, key, source)
    elif array.size == np.prod(shape) and _without_ones(array.shape) == _without_ones(shape):
        array = array.reshape(shape)
    if array.shape != shape:
        raise DataError(f"{source}: key {key!r} ({label}) must have shape {list(shape)}, found {list(array.shape)}.")
    if not np.isfinite(array).all():
        raise DataError(f"{source}: key {key!r} ({label}) has values that are NaN or infinite.")
    return array


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _full_stress(array: np.ndarray, key: str, source: str) -> np.ndarray:
    """Stress [3, 3] from 9 numbers or from ASE's order xx, yy, zz, yz, xz, xy."""
    if array.shape == (6,):
        return voigt_6_to_full_3x3_stress(array)
    if array.shape == (9,):
        array = array.reshape(3, 3)
    if array.shape != (3, 3):
        raise DataError(
            f"{source}: key {key!r} (stress) must be 6 (xx, yy, zz, yz, xz, xy) or 9 numbers, "
            f"found shape {list(array.shape)}."
        )
    if np.abs(array - array.T).max() > 1e-3 * np.abs(array).max():
        raise DataError(f"{source}: key {key!r} (stress) must be symmetric, found {array.tolist()}.")
    return (array + array.T) / 2
