"""Errors as tables for the terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from charon.metrics import ALL_SYSTEMS, PROPERTIES, ErrorRow, Outlier, overall

MOST_SYSTEMS_IN_BLOCKS = 6


def many_systems(rows: Iterable[ErrorRow]) -> bool:
    """Whether a table is better read with one line per system than with one block per property."""
    return len({row.system for row in rows} - {ALL_SYSTEMS}) > MOST_SYSTEMS_IN_BLOCKS


def table_of_errors(rows: Sequence[ErrorRow], title: str) -> Table:
    """MAE and RMSE per property and system: a block per property or, of many systems, a line per system."""
    return _lines(rows, title) if many_systems(rows) else _blocks(rows, title)


def short(value: float) -> str:
    """Three digits or a little more, without an exponent: 1664, 35.7, 4.21, 0.035."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _blocks(rows: Sequence[ErrorRow], title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("property", "system"):
        table.add_column(name, no_wrap=True)
    for name in ("frames", "MAE", "RMSE", "spread"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    systems = {row.system for row in rows} - {ALL_SYSTEMS}
    for row in rows:
        first = row.system == ALL_SYSTEMS
        if not first and len(systems) == 1:
            continue
        if first and table.row_count:
            table.add_section()
        values = (f"{value:.4g}" for value in (row.mae, row.rmse, row.reference_rms))
        name = row.property if first else ""
        table.add_row(name, row.system, str(row.frames), *values, row.unit, style="bold" if first else None)
    return table


def by_system(rows: Iterable[ErrorRow]) -> dict[str, dict[str, ErrorRow]]:
    """Rows by system, then by property; the whole set first."""
    found: dict[str, dict[str, ErrorRow]] = {ALL_SYSTEMS: {}}
    for row in rows:
        found.setdefault(row.system, {})[row.property] = row
    return found


def _lines(rows: Sequence[ErrorRow], title: str) -> Table:
    table = Table(title=f"{title}: MAE / RMSE", title_justify="left", box=None, padding=(0, 2, 0, 0))
    whole = overall(rows)
    table.add_column("system", no_wrap=True)
    table.add_column("frames", justify="right", no_wrap=True)
    for row in whole.values():
        table.add_column(f"{row.property}\n[dim]{row.unit}[/dim]", justify="right")
    for system, found in by_system(rows).items():
        cells = (f"{short(r.mae)} / {short(r.rmse)}" if (r := found.get(name)) else "-" for name in whole)
        frames = str(max(row.frames for row in found.values()))
        table.add_row(system, frames, *cells, style="bold" if system == ALL_SYSTEMS else None)
    return table


def table_of_sets(errors: Mapping[str, Sequence[ErrorRow]]) -> Table:
    """MAE and RMSE of each set, over all systems."""
    table = Table(title="all systems: MAE / RMSE", title_justify="left")
    table.add_column("property", no_wrap=True)
    for name in errors:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    sets = [overall(rows) for rows in errors.values()]
    for prop in PROPERTIES:
        found = [rows.get(prop.name) for rows in sets]
        if any(found):
            table.add_row(prop.name, *(f"{r.mae:.4g} / {r.rmse:.4g}" if r else "-" for r in found), prop.unit)
    return table


def table_of_outliers(outliers: Sequence[Outlier]) -> Table:
    """The worst frames, with the files that they come from."""
    table = Table(title="worst frames (RMS error)", title_justify="left")
    for name in ("property", "error", "system"):
        table.add_column(name, justify="right" if name == "error" else "left", no_wrap=True)
    table.add_column("source", overflow="fold")
    for outlier in outliers:
        table.add_row(outlier.property, f"{outlier.error:.4g} {outlier.unit}", outlier.system, outlier.source)
    return table
