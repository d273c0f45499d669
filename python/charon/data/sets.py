"""Questions asked of a whole set of structures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from charon.errors import DataError
from charon.labels import LABELS, NAMES
from charon.structure import Structure


def labels_present(structures: Iterable[Structure]) -> dict[str, int]:
    """Number of structures that carry each label, for the labels that at least one carries."""
    counts = dict.fromkeys(LABELS, 0)
    for structure in structures:
        for label in structure.labels:
            counts[label] += 1
    return {label: count for label, count in counts.items() if count}


def require_labels(structures: Sequence[Structure], names: Iterable[str]) -> None:
    """Check that each of the labels is carried by at least one structure.

    Raises:
        DataError: listing the labels that were found, the keys that were looked for, and those left unread.
    """
    present = labels_present(structures)
    missing = [name for name in names if name not in present]
    if not missing:
        return
    found = ", ".join(f"{name} ({count} of {len(structures)})" for name, count in present.items()) or "none"
    unread = sorted({key for structure in structures for key in structure.unread_keys})
    where = structures[0].source if structures else "an empty set"
    raise DataError(
        f"No structure carries the label {', '.join(missing)} (first: {where}). Labels found: {found}. "
        f"Looked for: {', '.join(f'REF_{key}, {key}' for name in missing for key in NAMES[name])}. "
        f"Keys in the files that no label was read from: {', '.join(unread) or 'none'}. "
        "Name the key under data.keys in the configuration, or take the label out of the loss."
    )


def fingerprint(structures: Iterable[Structure]) -> str:
    """SHA-256 of numbers, geometry, state and labels, in order; independent of names and files."""
    digest = hashlib.sha256()
    for s in structures:
        digest.update(np.array([s.n_atoms, s.total_charge, s.spin_multiplicity], dtype="<i8").tobytes())
        digest.update(s.numbers.astype("<i8").tobytes() + np.asarray(s.pbc, dtype=bool).tobytes())
        digest.update(s.positions.astype("<f8").tobytes() + s.cell.astype("<f8").tobytes())
        for name in sorted(s.labels):
            digest.update(name.encode() + s.labels[name].astype("<f8").tobytes())
    return digest.hexdigest()
