"""One coordinate of a molecule in two states: energies by the model and by the method of its data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from sampling.molecules import carbon_chain

from charon import Calculator
from charon.data.engine import NotConverged, TbliteEngine

METHOD = "GFN2-xTB"


@dataclass(frozen=True)
class State:
    """A name, the total charge (e) and the multiplicity 2S+1."""

    name: str
    charge: int
    spin: int


@dataclass(frozen=True)
class Scan:
    """Geometries along one coordinate, and the states in which each is evaluated.

    Args:
        name: of files.
        title: what moves, in words.
        coordinate: name and unit for the axis.
        values: of the coordinate, [n_points].
        build: the molecule at a value of the coordinate.
        states: two of them.
    """

    name: str
    title: str
    coordinate: str
    values: np.ndarray
    build: Callable[[float], Atoms]
    states: tuple[State, State]


def triatomic(symbols: str, first: float, second: float, angle: float) -> Atoms:
    """The first atom at the corner, bonds `first` and `second` (A) at `angle` (degrees)."""
    turned = np.radians(angle)
    ends = [[first, 0.0, 0.0], [second * np.cos(turned), second * np.sin(turned), 0.0]]
    return Atoms(symbols, [[0.0, 0.0, 0.0], *ends])


SILVER = Scan(
    name="silver",
    title="Ag3: one bond is stretched; the other is 2.7 Å, at a right angle",
    coordinate="length of the bond [Å]",
    values=np.linspace(2.3, 3.4, 23),
    build=lambda length: triatomic("Ag3", 2.7, length, 90.0),
    states=(State("Ag3+ singlet", 1, 1), State("Ag3- singlet", -1, 1)),
)
CARBENE = Scan(
    name="carbene",
    title="CH2: the angle between the bonds, each 1.1 Å",
    coordinate="angle H-C-H [degrees]",
    values=np.linspace(80.0, 180.0, 26),
    build=lambda angle: triatomic("CH2", 1.1, 1.1, angle),
    states=(State("CH2 singlet", 0, 1), State("CH2 triplet", 0, 3)),
)
SCANS = (SILVER, CARBENE)
Curves = dict[str, np.ndarray]


def reference_curves(scan: Scan) -> Curves:
    """Energies [n_points] (eV) of each state by tight binding, as in the data; NaN where unconverged."""
    engine = TbliteEngine(METHOD, spin_polarized=True)
    return {state.name: np.array([_labelled(engine, scan, state, v) for v in scan.values]) for state in scan.states}


def _labelled(engine: TbliteEngine, scan: Scan, state: State, value: float) -> float:
    try:
        return float(engine.single_point(scan.build(value), state.charge, state.spin)["energy"])
    except NotConverged:
        return float("nan")


def coupling_at_a_distance(model: Path, distance: float = 50.0) -> float:
    """Energy (eV) by which two neutral closed shells, CH2 and C10H2, `distance` A apart differ from their sum."""
    calculator = Calculator(model, charge=0, spin=1)
    first, second = CARBENE.build(102.0), carbon_chain(extra_hydrogen=False)
    second.positions += np.array([0.0, 0.0, distance])
    pair, *alone = (calculator.get_potential_energy(atoms) for atoms in (first + second, first, second))
    return float(pair - sum(alone))


def model_curves(scan: Scan, model: Path) -> Curves:
    """Energies [n_points] (eV) of each state by the exported model."""
    curves = {}
    for state in scan.states:
        calculator = Calculator(model, charge=state.charge, spin=state.spin)
        curves[state.name] = np.array([calculator.get_potential_energy(scan.build(v)) for v in scan.values])
    return curves


@dataclass(frozen=True)
class ScanResult:
    """A scan with the energies of its states [n_points] (eV): by tight binding and by the model."""

    scan: Scan
    reference: Curves
    model: Curves

    def gap(self, curves: Curves) -> np.ndarray:
        """Energy of the first state above the second, [n_points], eV."""
        first, second = (state.name for state in self.scan.states)
        return curves[first] - curves[second]

    def gap_error(self) -> float:
        """Mean absolute error of the gap, eV."""
        return float(np.nanmean(np.abs(self.gap(self.model) - self.gap(self.reference))))

    def gap_range(self) -> tuple[float, float]:
        """Smallest and largest gap by tight binding, eV."""
        gap = self.gap(self.reference)
        return float(np.nanmin(gap)), float(np.nanmax(gap))

    def save(self, path: Path) -> None:
        """A CSV table: the coordinate, then each state by tight binding and by the model, eV."""
        names = [f"{s.name} {source} [eV]" for s in self.scan.states for source in (METHOD, "model")]
        columns = [curves[s.name] for s in self.scan.states for curves in (self.reference, self.model)]
        table = np.column_stack([self.scan.values, *columns])
        heading = ",".join([self.scan.coordinate, *names])
        np.savetxt(path, table, fmt="%.6f", delimiter=",", header=heading, comments="", encoding="utf-8")


def evaluate(scan: Scan, model: Path, folder: Path) -> ScanResult:
    """Both sets of curves, kept in `folder`/scan_NAME.csv too."""
    result = ScanResult(scan, reference_curves(scan), model_curves(scan, model))
    result.save(folder / f"scan_{scan.name}.csv")
    return result
