"""Reference energies as a user sees them: a table, and whether they are plausible."""

from collections.abc import Sequence

import numpy as np
from ase.data import chemical_symbols

from charon.model import Statistics
from charon.structure import Structure

LARGEST_BINDING = 12.0
"""eV per atom. The most strongly bound solids and molecules stay below 10."""


def reference_lines(
    structures: Sequence[Structure], elements: Sequence[int], statistics: Statistics
) -> tuple[list[str], list[str]]:
    """Lines of the table (element, energy, atoms in the training set) and warnings."""
    counts = {z: int(sum(np.count_nonzero(s.numbers == z) for s in structures)) for z in elements}
    lines = ["reference energies (least squares)", "element  energy [eV]    atoms"]
    for z, energy in zip(elements, statistics.reference_energies, strict=True):
        lines.append(f"{chemical_symbols[z]:<7}  {energy:11.4f}  {counts[z]:7d}")
    return lines, plausibility(structures, elements, statistics)


def plausibility(structures: Sequence[Structure], elements: Sequence[int], statistics: Statistics) -> list[str]:
    """Warnings about energies that no set of reference energies explains, or explains in one way only."""
    warnings = []
    if not statistics.determined:
        warnings.append(
            "the compositions of the training set determine only sums of the reference energies: "
            "energies of other compositions have no meaning"
        )
    reference = dict(zip(elements, statistics.reference_energies, strict=True))
    above = {
        structure.source: (float(structure.labels["energy"]) - sum(reference[int(z)] for z in structure.numbers))
        / structure.n_atoms
        for structure in structures
        if "energy" in structure.labels
    }
    strange = {source: value for source, value in above.items() if abs(value) > LARGEST_BINDING}
    if strange:
        worst = max(strange, key=lambda source: abs(strange[source]))
        warnings.append(
            f"{len(strange)} frames lie more than {LARGEST_BINDING:g} eV/atom from their reference energies, "
            f"farthest {worst} ({strange[worst]:+.1f} eV/atom): is the unit of energy right, is it one "
            "level of theory?"
        )
    return warnings
