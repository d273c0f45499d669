"""What is taken from the data before training: reference energies per element and a few scales."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charon.errors import DataError
from charon.neighbors import neighbor_list
from charon.structure import Structure


@dataclass(frozen=True)
class Statistics:
    """Start values of a potential; energies in eV, one reference energy per element."""

    reference_energies: tuple[float, ...]
    mean_neighbors: float
    electronegativity: float = 0.0
    """Energy per unit of total charge, eV/e."""
    determined: bool = True
    """False where compositions fix only sums of reference energies, not each of them."""


def _labeled(structures: Sequence[Structure]) -> list[Structure]:
    labeled = [s for s in structures if "energy" in s.labels]
    if not labeled:
        raise DataError("no structure carries an energy, so the reference energies cannot be fitted")
    return labeled


def fit_reference_energies(
    structures: Sequence[Structure], elements: Sequence[int], electronic: bool = True
) -> tuple[np.ndarray, float, bool]:
    """Least-squares energies per element [n_elements], per unit charge, and whether each element's is determined.

    Solves `E = sum_Z n_Z E_Z + chi Q + eta Q^2 / n + kappa u^2 / n`, eV, over the structures that carry an energy, each
    weighted by 1 / n atoms; of many solutions it takes the shortest. The quadratic terms only keep states apart in
    the fit: they are not extensive for fragments, so the model learns them from the atomic charges and spins. Without
    `electronic` there are only elements. Raises DataError if no structure carries an energy.
    """
    labeled = _labeled(structures)
    counts = np.array([[np.count_nonzero(s.numbers == z) for z in elements] for s in labeled], dtype=float)
    n_atoms = counts.sum(1)
    energies = np.array([float(s.labels["energy"]) for s in labeled])
    charge = np.array([s.total_charge for s in labeled], dtype=float)
    unpaired = np.array([s.unpaired for s in labeled], dtype=float)
    state = np.stack([charge, charge**2 / n_atoms, unpaired**2 / n_atoms], axis=1)  # [n_structures, 3]
    columns = np.concatenate([counts, state], axis=1) if electronic else counts
    solution, *_ = np.linalg.lstsq(columns / n_atoms[:, None], energies / n_atoms, rcond=1e-8)
    determined = int(np.linalg.matrix_rank(counts)) == len(elements)
    return solution[: len(elements)], float(solution[len(elements)]) if electronic else 0.0, determined


def statistics(
    structures: Sequence[Structure], elements: Sequence[int], cutoff: float, electronic: bool = True
) -> Statistics:
    """Everything that a fresh potential takes from its training structures; `cutoff` in A."""
    reference, electronegativity, determined = fit_reference_energies(structures, elements, electronic)
    sample = structures[:: max(1, len(structures) // 200)]
    edges = sum(neighbor_list(s.positions, s.cell, s.pbc, cutoff)[0].shape[1] for s in sample)
    neighbors = max(1.0, edges / max(1, sum(s.n_atoms for s in sample)))
    return Statistics(tuple(map(float, reference)), neighbors, electronegativity, determined)
