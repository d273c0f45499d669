"""Energy along the bonds of a molecule: smooth, repulsive at short range, one minimum.

Source: the bond smoothness characterisation test, arXiv 2602.04861.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import covalent_radii
from matplotlib.figure import Figure
from scipy.signal import find_peaks

from charon.errors import DataError
from charon.evaluate import Predictor, predict
from charon.model import Potential
from charon.neighbors import neighbor_list
from charon.report.looks import color, new_figure
from charon.structure import Structure

BOND = 1.25
"""Atoms are bonded within this many sums of their covalent radii."""
FACTORS = np.linspace(0.5, 2.0, 151)
SHORT_RANGE = 0.8
KINK_FLOOR = 5e-4
"""Third differences (eV) below which no kink is looked for."""
WELL = 1e-3
"""Depth (eV) that makes a dip a minimum."""

Model = Predictor | Potential | BaseCalculator


@dataclass(frozen=True, eq=False)
class BondScan:
    """Energies and forces of a molecule whose bond is stretched, the fragments on both sides rigid.

    Args:
        pair: symbols of the two atoms, as "C-H".
        atoms: indices of the two atoms.
        length: of the bond in the structure given, A.
        factors: lengths over that length, ascending and evenly spaced, [n].
        energies: [n], eV.
        forces: -dE/dlength from the forces of the model, positive where the atoms repel each other, [n], eV/A.
    """

    pair: str
    atoms: tuple[int, int]
    length: float
    factors: np.ndarray
    energies: np.ndarray
    forces: np.ndarray

    @property
    def step(self) -> float:
        """Distance between two points of the scan, A."""
        return self.length * float(self.factors[1] - self.factors[0])

    def within(self, low: float, high: float) -> "BondScan":
        """The part between two factors."""
        part = (self.factors >= low - 1e-9) & (self.factors <= high + 1e-9)
        return replace(self, factors=self.factors[part], energies=self.energies[part], forces=self.forces[part])

    def minima(self) -> np.ndarray:
        """Factors of the minima inside of the scan, [n_minima]."""
        return self.factors[find_peaks(-self.energies, prominence=WELL)[0]]

    def repulsive(self) -> bool:
        """Whether the energy falls and the force pushes from the shortest length to 0.8 of the bond."""
        short = self.within(0.0, SHORT_RANGE)
        return bool((np.diff(short.energies) < 0).all() and (short.forces > 0).all())

    def kink(self) -> float:
        """Largest third difference over the largest of those around it: near 1 if smooth, a jump of the slope >> 1.

        Those around it are the second to fifth on either side, the first belong to the same kink.
        """
        third = np.abs(np.diff(self.energies, 3))  # [n - 3]
        padded = np.pad(third, 5)
        around = [padded[5 + shift : 5 + shift + len(third)] for shift in (-5, -4, -3, -2, 2, 3, 4, 5)]
        return float((third / np.maximum(np.max(around, axis=0), KINK_FLOOR)).max())

    def force_error(self) -> float:
        """Largest relative difference between the force and the slope of the energy, over two steps (Simpson).

        Forces below 1 eV/A count as 1 eV/A.
        """
        slope = -(self.energies[2:] - self.energies[:-2]) / (2 * self.step)  # [n - 2]
        mean = (self.forces[2:] + 4 * self.forces[1:-1] + self.forces[:-2]) / 6  # [n - 2]
        return float((np.abs(slope - mean) / np.maximum(np.abs(slope), 1.0)).max())


def bonds(atoms: Atoms) -> list[tuple[int, int]]:
    """Pairs i < j within 1.25 sums of covalent radii that part the molecule when cut; bonds of rings are left out."""
    found = []
    edges, _ = _bond_graph(atoms)
    for i, j in zip(*edges, strict=True):
        if i < j and j not in _side(edges, i, j):
            found.append((int(i), int(j)))
    return found


def bond_scan(model: Model, atoms: Atoms, i: int, j: int, factors: Sequence[float] | np.ndarray = FACTORS) -> BondScan:
    """Stretches the bond between atoms i and j: each side moves by half along the bond, as a rigid body.

    Args:
        model: potential, predictor or ASE calculator.
        atoms: with charge and spin in `info`; other molecules stay where they are.
        i, j: two bonded atoms, see `bonds`.
        factors: lengths over the length in `atoms`, ascending and evenly spaced.

    Raises:
        DataError: i and j are not bonded, or the bond belongs to a ring, so that no side can move alone.
    """
    edges, shifts = _bond_graph(atoms)
    name = f"{atoms.get_chemical_formula()}, atoms {i} and {j}"
    bond = np.flatnonzero((edges[0] == i) & (edges[1] == j))
    if len(bond) != 1:
        raise DataError(f"{name}: expected one bond within {BOND} sums of covalent radii, found {len(bond)}.")
    left, right = _side(edges, i, j), _side(edges, j, i)
    if j in left:
        raise DataError(f"{name}: the bond belongs to a ring. Scan a bond that parts the molecule: {bonds(atoms)}.")
    vector = atoms.positions[j] - atoms.positions[i] + shifts[bond[0]]  # [3]
    length = float(np.linalg.norm(vector))
    sides = np.isin(np.arange(len(atoms)), list(right)) * 0.5 - np.isin(np.arange(len(atoms)), list(left)) * 0.5
    direction = np.outer(sides, vector / length)  # [n_atoms, 3], dx/dlength
    frames = []
    for factor in factors:
        frame = atoms.copy()
        frame.positions += (factor - 1.0) * length * direction
        frames.append(frame)
    energies, forces = _evaluate(model, frames)
    along = np.einsum("nai,ai->n", forces, direction)
    pair = "-".join(sorted((atoms.symbols[i], atoms.symbols[j])))
    return BondScan(pair, (i, j), length, np.asarray(factors, dtype=float), energies, along)


def scan_bonds(model: Model, atoms: Atoms, factors: Sequence[float] | np.ndarray = FACTORS) -> list[BondScan]:
    """A scan of every bond that parts the molecule."""
    return [bond_scan(model, atoms, i, j, factors) for i, j in bonds(atoms)]


def bond_figure(scans: Iterable[BondScan], title: str = "") -> Figure:
    """Energy along every bond above its lowest value, a color for each pair of elements, up to where it grows steep."""
    figure, (axis,) = new_figure()
    pairs: dict[str, list[BondScan]] = {}
    for scan in scans:
        pairs.setdefault(scan.pair, []).append(scan)
    for index, (pair, members) in enumerate(pairs.items()):
        for number, scan in enumerate(members):
            label = f"{pair} ({len(members)})" if number == 0 else None
            energies = scan.energies - scan.energies.min()
            axis.plot(scan.factors, energies, color=color(index), linewidth=1.4, label=label)
    axis.set_yscale("asinh", linear_width=1.0)
    axis.set_xlabel("bond length / length of the structure")
    axis.set_ylabel("energy above the lowest [eV]")
    axis.set_title(title, fontsize=10)
    axis.legend(frameon=False, fontsize=9)
    return figure


def _evaluate(model: Model, frames: Sequence[Atoms]) -> tuple[np.ndarray, np.ndarray]:
    """Energies [n] and forces [n, n_atoms, 3]."""
    if isinstance(model, BaseCalculator):
        results = [(model.get_property("energy", a), model.get_property("forces", a)) for a in frames]
        return np.array([energy for energy, _ in results]), np.array([forces for _, forces in results])
    predictor = Predictor.of_potential(model) if isinstance(model, Potential) else model
    structures = [Structure.from_atoms(atoms, labels=False, source="bond scan") for atoms in frames]
    found = predict(predictor, structures, batch_size=64)
    return np.array([f["energy"] for f in found]), np.array([f["forces"] for f in found], dtype=float)


def _bond_graph(atoms: Atoms) -> tuple[np.ndarray, np.ndarray]:
    """Bonded pairs in both directions, [2, n_edges], and the shifts of the second atom [n_edges, 3]."""
    radii = covalent_radii[atoms.numbers]
    cutoff = 2 * BOND * float(radii.max())
    edges, shifts = neighbor_list(atoms.positions, np.asarray(atoms.cell), atoms.pbc, cutoff)
    vectors = atoms.positions[edges[1]] - atoms.positions[edges[0]] + shifts
    bonded = np.linalg.norm(vectors, axis=1) < BOND * radii[edges].sum(0)
    return edges[:, bonded], shifts[bonded]


def _side(edges: np.ndarray, start: int, other: int) -> set[int]:
    """Atoms that bonds connect with `start` once its bond to `other` is cut; has `other` if it is in a ring."""
    cut = {(start, other), (other, start)}
    neighbors: dict[int, list[int]] = {}
    for i, j in edges.T.tolist():
        if (i, j) not in cut:
            neighbors.setdefault(i, []).append(j)
    seen, todo = {start}, [start]
    while todo:
        new = set(neighbors.get(todo.pop(), ())) - seen
        seen |= new
        todo += new
    return seen
