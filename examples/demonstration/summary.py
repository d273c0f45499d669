"""The numbers that the demonstration ends with, for the terminal and for the top of the report."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from charon.metrics import ErrorRow
from demonstration.melt import Agreement
from demonstration.salt import Salt
from demonstration.scans import ScanResult

SALT = "molten NaCl"


@dataclass(frozen=True)
class Line:
    """One result: what, where, value with its unit."""

    topic: str
    what: str
    value: str


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
    systems = sorted({row.system for row in rows} - {"all"})
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
    rows = [(name, pooled(clusters, "forces", members)) for name, members in families(clusters).items()]
    lines = [Line("test sets, MAE", f"forces, {name}", _with_spread(row)) for name, row in rows if row]
    for name in ("forces", "energy per atom", "stress"):
        row = pooled(salt, name, ["all"])
        if row:
            lines.append(Line("test sets, MAE", f"{name}, {SALT}", _with_spread(row)))
    return lines


def _with_spread(row: ErrorRow) -> str:
    unit = row.unit.replace("/A", "/Å").replace("^3", "³")
    return f"{row.mae:.3g} {unit} (the data spread by {row.reference_rms:.3g})"


def lines_of_scans(results: Iterable[ScanResult]) -> list[Line]:
    """Mean error of the gap between two states along each scan."""
    return [
        Line(
            "two states",
            "gap of " + " and ".join(state.name for state in result.scan.states),
            f"{1e3 * result.gap_error():.0f} meV mean error on the scan",
        )
        for result in results
    ]


def lines_of_salt(salt: Salt, speed: tuple[float, float], agreements: Sequence[Agreement]) -> list[Line]:
    """First peaks, pressure, drift, agreement and speed of the simulation."""
    topic = f"{SALT}, {salt.n_ions} ions"
    lines = []
    for pair, ((r0, g0), (r, g)) in salt.peaks().items():
        text = f"{r:.2f} Å, {g:.2f} (labelled: {r0:.2f} Å, {g0:.2f})"
        lines.append(Line(topic, f"first peak of g(r), {pair}", text))
    found, reference = salt.model_pressure, salt.labelled_pressure
    text = f"{found[0]:.2f} ± {found[1]:.2f} GPa (labelled: {reference[0]:.2f} ± {reference[1]:.2f})"
    lines.append(Line(topic, "pressure", text))
    drift = salt.drift
    lines.append(Line(topic, "NVE drift, float32", f"{drift.slope:+.2g} ± {drift.error:.1g} meV/atom/ps"))
    lines.append(Line(topic, "speed, two ranks", f"{speed[1]:.0f} µs per ion and step"))
    for found in agreements:
        relative = abs(found.energy_difference / found.energy)
        text = f"energy {relative:.0e} relative, forces {found.force_difference:.0e} eV/Å"
        lines.append(Line("same energy", f"{found.what}, {found.dtype}", text))
    return lines


def table(lines: Sequence[Line]) -> Table:
    """The lines for the terminal, a block per topic."""
    found = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    found.add_column(style="bold", no_wrap=True)
    found.add_column(no_wrap=True)
    found.add_column()
    topic = ""
    for line in lines:
        if topic and line.topic != topic:
            found.add_row("", "", "")
        found.add_row(line.topic if line.topic != topic else "", line.what, line.value)
        topic = line.topic
    return found
