"""Errors of predictions: which properties there are, in which unit, per system and for the whole set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from charon.structure import Structure

ALL_SYSTEMS = "all"


@dataclass(frozen=True)
class Property:
    """What is compared: its label, the unit of its error and the factor from eV, A, e to that unit."""

    name: str
    label: str
    unit: str
    factor: float = 1000.0
    per_atom: bool = False


PROPERTIES = (
    Property("energy per atom", "energy", "meV/atom", per_atom=True),
    Property("energy", "energy", "meV"),
    Property("forces", "forces", "meV/A"),
    Property("stress", "stress", "meV/A^3"),
    Property("charges", "charges", "me"),
    Property("spins", "spins", "m mu_B"),
    Property("dipole", "dipole", "me A"),
)
"""Spins are numbers of unpaired electrons, that is spin moments in Bohr magnetons."""


@dataclass(frozen=True)
class ErrorRow:
    """Mean absolute and root mean square error of one property over the frames of one system."""

    property: str
    unit: str
    system: str
    mae: float
    rmse: float
    reference_rms: float
    """RMS of the reference about the mean of its system: the error of a model that knows only the means."""
    frames: int
    components: int


def residuals(
    prop: Property, structure: Structure, prediction: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Reference and prediction of a property, flat, in its unit; None where the frame has no such label."""
    if prop.label not in structure.labels or prop.label not in prediction:
        return None
    factor = prop.factor / (structure.n_atoms if prop.per_atom else 1)
    reference = np.asarray(structure.labels[prop.label], dtype=np.float64).reshape(-1)
    return reference * factor, np.asarray(prediction[prop.label], dtype=np.float64).reshape(-1) * factor


def error_table(structures: Sequence[Structure], predictions: Sequence[Mapping[str, np.ndarray]]) -> list[ErrorRow]:
    """Errors per property, of all frames and of each system; `predictions` has a mapping per structure."""
    rows: list[ErrorRow] = []
    systems = sorted({structure.system for structure in structures})
    for prop in PROPERTIES:
        pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for structure, prediction in zip(structures, predictions, strict=True):
            pair = residuals(prop, structure, prediction)
            if pair is not None:
                pairs.setdefault(structure.system, []).append(pair)
        if pairs:
            rows.append(_row(prop, ALL_SYSTEMS, list(pairs.values())))
            rows += [_row(prop, system, [pairs[system]]) for system in systems if system in pairs]
    return rows


def _row(prop: Property, name: str, systems: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]) -> ErrorRow:
    """Errors over systems, each a sequence of (reference, prediction) per frame."""
    references = [np.concatenate([pair[0] for pair in pairs]) for pairs in systems]
    predictions = [np.concatenate([pair[1] for pair in pairs]) for pairs in systems]
    difference = np.concatenate(predictions) - np.concatenate(references)
    about_mean = np.concatenate([reference - reference.mean() for reference in references])
    return ErrorRow(
        property=prop.name,
        unit=prop.unit,
        system=name,
        mae=float(np.abs(difference).mean()),
        rmse=float(np.sqrt((difference**2).mean())),
        reference_rms=float(np.sqrt((about_mean**2).mean())),
        frames=sum(len(pairs) for pairs in systems),
        components=difference.size,
    )


def overall(rows: Iterable[ErrorRow]) -> dict[str, ErrorRow]:
    """The rows of the whole set by the name of the property."""
    return {row.property: row for row in rows if row.system == ALL_SYSTEMS}


@dataclass(frozen=True)
class Outlier:
    """A frame with a large error and where it comes from."""

    property: str
    unit: str
    error: float
    system: str
    source: str


def worst_frames(
    structures: Sequence[Structure], predictions: Sequence[Mapping[str, np.ndarray]], count: int = 5
) -> list[Outlier]:
    """The frames of largest RMS error in energy per atom, forces and stress, the worst first."""
    outliers: list[Outlier] = []
    for prop in PROPERTIES:
        if prop.name not in ("energy per atom", "forces", "stress"):
            continue
        found = []
        for structure, prediction in zip(structures, predictions, strict=True):
            pair = residuals(prop, structure, prediction)
            if pair is not None:
                error = float(np.sqrt(((pair[1] - pair[0]) ** 2).mean()))
                found.append(Outlier(prop.name, prop.unit, error, structure.system, structure.source))
        outliers += sorted(found, key=lambda outlier: -outlier.error)[:count]
    return outliers
