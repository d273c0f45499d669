"""What is computed from trajectories: pair distributions, their peaks and errors, energy drift, pressure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers

from charon.neighbors import edge_vectors, neighbor_list

PAIRS = (("Na", "Na"), ("Na", "Cl"), ("Cl", "Cl"))
BIN = 0.1  # A


@dataclass(frozen=True)
class Distribution:
    """A pair distribution function with its statistical error.

    Args:
        r: middles of the bins, [n_bins], A.
        g: [n_bins].
        error: standard error of the mean over blocks of frames, [n_bins]; zero for a single block.
    """

    r: np.ndarray
    g: np.ndarray
    error: np.ndarray


def pair_distribution(atoms: Atoms, pair: tuple[str, str], r_max: float, width: float = BIN) -> np.ndarray:
    """g_ab(r) of one periodic frame in bins of `width` up to `r_max` (A): [n_bins].

    `g_ab(r) = V n_ab(r) / (N_a N_b 4 pi r^2 dr)` with `n_ab` the number of ordered pairs in the shell, each
    atom's images included, itself not. With N_b, rather than N_b - 1, for like atoms the integral of
    `rho_b g_ab` counts neighbors, so cells of different size can be compared.
    """
    edges = bin_edges(r_max, width)
    index, shift = neighbor_list(atoms.positions, atoms.cell.array, atoms.pbc, r_max)
    first, second = (atoms.numbers == atomic_numbers[symbol] for symbol in pair)
    chosen = first[index[0]] & second[index[1]]
    vectors = edge_vectors(atoms.positions, index[:, chosen], shift[chosen])  # [n_pairs, 3]
    counts, _ = np.histogram(np.linalg.norm(vectors, axis=1), bins=edges)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)  # [n_bins], A^3
    return counts * atoms.get_volume() / (first.sum() * second.sum() * shells)


def bin_edges(r_max: float, width: float) -> np.ndarray:
    """Edges of the bins, [n_bins + 1], A."""
    return np.arange(int(r_max / width + 1e-9) + 1) * width


def mean_distribution(
    trajectories: Sequence[Sequence[Atoms]],
    pair: tuple[str, str],
    r_max: float,
    block: int,
    width: float = BIN,
) -> Distribution:
    """Mean over all frames; the error from the scatter of blocks of about `block` frames of a trajectory."""
    series = [np.array([pair_distribution(atoms, pair, r_max, width) for atoms in frames]) for frames in trajectories]
    edges = bin_edges(r_max, width)
    return Distribution(0.5 * (edges[1:] + edges[:-1]), *block_mean(series, block))


def block_mean(series: Sequence[np.ndarray], block: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of correlated series, each [n_frames, ...], by blocks of about `block`."""
    parts = [part for found in series for part in np.array_split(found, max(1, round(len(found) / block)))]
    return weighted_mean(np.array([part.mean(axis=0) for part in parts]), np.array([len(part) for part in parts]))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of rows [n_rows, ...] and its standard error `sqrt(sum w^2 (x - mean)^2 n / (n - 1)) / sum w`."""
    n = len(values)
    mean = np.average(values, axis=0, weights=weights)
    if n < 2:
        return mean, np.zeros_like(mean)
    square = np.tensordot(weights**2, (values - mean) ** 2, axes=1)
    return mean, np.sqrt(square * n / (n - 1)) / weights.sum()


def first_peak(distribution: Distribution, reach: float) -> tuple[float, float]:
    """Position (A) and height of the highest peak, by a parabola through the points within `reach` (A)."""
    r, g = distribution.r, distribution.g
    top = r[np.argmax(g)]
    near = np.abs(r - top) <= reach
    a, b, c = np.polyfit(r[near] - top, g[near], 2)
    if a >= 0:
        return float(top), float(g.max())
    return float(top - b / (2 * a)), float(c - b**2 / (4 * a))


@dataclass(frozen=True)
class Drift:
    """A straight line through the total energy: slope with its error, and what remains about the line.

    Args:
        slope: meV/atom/ps.
        error: standard error of the slope from the scatter of block means about the line, meV/atom/ps.
        scatter: root mean square deviation from the line, meV/atom.
    """

    slope: float
    error: float
    scatter: float


def energy_drift(time: np.ndarray, energy: np.ndarray, n_atoms: int, blocks: int = 10) -> Drift:
    """Least squares of the total energy [n_steps] (eV) over time [n_steps] (ps), per atom."""
    t, e = time - time.mean(), 1000.0 * (energy - energy.mean()) / n_atoms
    slope = (t @ e) / (t @ t)
    rest = e - slope * t
    means = np.array([part.mean() for part in np.array_split(rest, blocks)])
    middles = np.array([part.mean() for part in np.array_split(t, blocks)])
    error = np.sqrt((means @ means) / (blocks - 2) / (middles @ middles))
    return Drift(float(slope), float(error), float(np.sqrt((rest**2).mean())))


def pressure(stress: np.ndarray, cell: np.ndarray, n_atoms: int, temperature: float) -> float:
    """Pressure in GPa: `N k T / V - trace(stress) / 3`, stress [3, 3] in eV/A^3, cell [3, 3] in A."""
    kinetic = n_atoms * units.kB * temperature / abs(np.linalg.det(cell))
    return float((kinetic - np.trace(stress) / 3.0) / units.GPa)
