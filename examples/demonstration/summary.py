"""The numbers that the demonstration ends with, for the terminal and for the top of the report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from charon.metrics import ALL_SYSTEMS, ErrorRow
from charon.report.looks import pretty
from charon.tables import short
from demonstration.melt import Agreement
from demonstration.salt import Salt
from demonstration.scans import ScanResult

SALT = "molten NaCl"


@dataclass(frozen=True)
class Line:
    """One result: its topic, what it is, its value with unit, and what to compare it with."""

    topic: str
    what: str
    value: str
    beside: str = ""


def pooled(rows: Iterable[ErrorRow], name: str, systems: Sequence[str]) -> ErrorRow | None:
    """MAE of a property over several systems, from the rows of each; None if no row is of them."""
    chosen = [row for row in rows if row.property == name and row.system in systems]
    if not chosen:
        return None
    weights = np.array([row.components for row in chosen], dtype=float)

    def mean(values: list[float]) -> float:
        return float(np.average(values, weights=weights))

    return ErrorRow(
        property=name,
        unit=chosen[0].unit,
        system=", ".join(systems),
        mae=mean([row.mae for row in chosen]),
        rmse=mean([row.rmse**2 for row in chosen]) ** 0.5,
        reference_rms=mean([row.reference_rms**2 for row in chosen]) ** 0.5,
        frames=sum(row.frames for row in chosen),
        components=int(weights.sum()),
    )


def families(rows: Iterable[ErrorRow]) -> dict[str, list[str]]:
    """The systems of the cluster set by family: Ag3, carbenes, salt clusters, carbon chains."""
    systems = sorted({row.system for row in rows} - {ALL_SYSTEMS})
    found: dict[str, list[str]] = {"Ag3": [], "carbenes": [], "NaCl clusters": [], "carbon chains": []}
    for system in systems:
        found[family(system)].append(system)
    return {name: members for name, members in found.items() if members}


def family(system: str) -> str:
    """The family of a system by its name: `CHF+ doublet` is a carbene, `C10H3+` a chain."""
    if system.startswith("Ag"):
        return "Ag3"
    if system.startswith("Na"):
        return "NaCl clusters"
    return "carbon chains" if system.startswith("C10") else "carbenes"


def lines_of_errors(clusters: Sequence[ErrorRow], salt: Sequence[ErrorRow]) -> list[Line]:
    """MAE of the forces on the test sets, by family, and of energy and stress of the salt."""
    rows = [(f"forces, {name}", pooled(clusters, "forces", of)) for name, of in families(clusters).items()]
    names = ("forces", "energy per atom", "stress")
    rows += [(f"{name}, {SALT}", pooled(salt, name, [ALL_SYSTEMS])) for name in names]
    return [
        Line(
            "test sets, MAE",
            what,
            f"{short(row.mae)} {pretty(row.unit)}",
            f"spread of labels {short(row.reference_rms)}",
        )
        for what, row in rows
        if row
    ]


def lines_of_scans(results: Iterable[ScanResult]) -> list[Line]:
    """Mean error of the gap between two states along each scan."""
    lines = []
    for result in results:
        names = " and ".join(state.name for state in result.scan.states)
        low, high = result.gap_range()
        gap = f"gap {low:.2f} to {high:.2f} eV"
        lines.append(Line("two states, mean error of the gap", names, f"{1e3 * result.gap_error():.0f} meV", gap))
    return lines


def line_of_coupling(energy: float) -> Line:
    """What two far molecules know of each other; `energy` in eV."""
    return Line("size consistency", "CH2 and C10H2, 50 Å apart", f"{1e3 * energy:+.1g} meV", "from the sum of both")


def lines_of_salt(salt: Salt, speed: tuple[float, float]) -> list[Line]:
    """First peaks, pressure, drift and speed of the simulation."""
    topic, lines = f"{SALT}, {salt.n_ions} ions", []
    for pair, ((r0, g0), _, (r, g)) in salt.peaks().items():
        what = f"first peak of g(r), {pair}"
        lines.append(Line(topic, what, f"{r:.2f} Å, height {g:.2f}", f"labelled {r0:.2f} Å, {g0:.2f}"))
    (p, error), (p0, error0) = salt.model_pressure, salt.labelled_pressure
    beside = f"labelled {p0:.2f} ± {error0:.2f}"
    lines.append(Line(topic, "pressure", f"{p:.2f} ± {error:.2f} GPa", beside))
    drift, time = salt.drift, salt.runs[1]["Time"]
    value = f"{drift.slope:+.2g} ± {drift.error:.1g} meV/atom/ps"
    lines.append(Line(topic, "NVE drift, float32", value, f"over {time[-1] - time[0]:.2f} ps"))
    lines.append(Line(topic, "speed", f"{speed[1]:.0f} µs per ion and step", "two ranks"))
    return lines


def lines_of_agreement(agreements: Iterable[Agreement]) -> list[Line]:
    """Relative difference of energies and largest of forces, LAMMPS and ASE."""
    return [
        Line(
            "last configuration",
            f"{found.what}, {found.dtype}",
            f"energy {abs(found.energy_difference / found.energy):.0e} relative",
            f"forces {found.force_difference:.0e} eV/Å",
        )
        for found in agreements
    ]


def table(lines: Sequence[Line]) -> Table:
    """The lines for the terminal, a block per topic."""
    found = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for style in (None, None, "dim"):
        found.add_column(style=style)
    for topic in dict.fromkeys(line.topic for line in lines):
        found.add_row(f"[bold]{topic}[/bold]")
        for line in lines:
            if line.topic == topic:
                found.add_row(f"  {line.what}", line.value, line.beside)
    return found
