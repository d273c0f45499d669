"""report.html of a run, from the files of its run directory alone."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from charon.evaluate import Arrays, read_predictions
from charon.metrics import ALL_SYSTEMS, PROPERTIES, ErrorRow, Property, overall, worst_frames
from charon.report.looks import pretty
from charon.report.page import Page, png
from charon.report.plots import (
    collect,
    error_histograms,
    group_of,
    learning_curves,
    parity,
    parity_grid,
)
from charon.run_directory import RunDirectory
from charon.structure import Structure
from charon.tables import by_system, many_systems


def write_run_report(path: str | Path) -> Path:
    """Draws the plots of a run and writes its report.html; returns the path of the page.

    Raises ModelFileError if the directory is no run or its training has not ended.
    """
    run = RunDirectory.existing(path)
    errors, about = run.read_evaluation()
    run.plots.mkdir(exist_ok=True)
    page = Page(f"Charon: {run.path.resolve().name}", _subtitle(about))
    page.section("Summary")
    add_summary(page, errors)
    if rows := run.read_metrics():
        page.section("Learning curves")
        note = "Errors are those of the averaged weights."
        keep(page, run.plots / "learning_curves.png", learning_curves(rows), note)
    for name in reversed(list(errors)):
        _add_set(page, run, name, errors[name], main=name == list(errors)[-1])
    page.section("Data")
    _add_data(page, run, about)
    page.section("Configuration")
    page.code(run.config.read_text(encoding="utf-8"), summary="config.yaml")
    return page.write(run.report)


def add_summary(page: Page, errors: dict[str, list[ErrorRow]]) -> None:
    """A table of the errors of each set, over all systems."""
    page.text(
        "Mean absolute and root mean square errors over all frames of each set. The spread of the data is "
        "the RMSE of a model that knows only the mean of each system."
    )
    sets = [name for name in errors if errors[name]]
    rows = []
    for prop in PROPERTIES:
        found = {name: overall(errors[name]).get(prop.name) for name in sets}
        if any(found.values()):
            cells: list[object] = [prop.name, pretty(prop.unit)]
            for row in found.values():
                cells += [row.mae, row.rmse] if row else ["-", "-"]
            spread = next(row.reference_rms for row in reversed(list(found.values())) if row)
            rows.append([*cells, spread])
    headings = [f"{name} {measure}" for name in sets for measure in ("MAE", "RMSE")]
    page.table(["property", "unit", *headings, "spread of data"], rows)


def add_errors(page: Page, rows: Sequence[ErrorRow], caption: str = "") -> None:
    """MAE and RMSE per property and system: a block per property or, of many systems, a line per system."""
    if many_systems(rows):
        _add_lines(page, rows, caption)
        return
    several = len({row.system for row in rows}) > 2
    shown = [row for row in rows if row.system == ALL_SYSTEMS or several]
    page.table(
        ["property", "system", "frames", "MAE", "RMSE", "spread of data", "unit"],
        [[r.property, r.system, r.frames, r.mae, r.rmse, r.reference_rms, pretty(r.unit)] for r in shown],
        caption=caption,
        strong=[i for i, row in enumerate(shown) if row.system == ALL_SYSTEMS],
    )


def _add_lines(page: Page, rows: Sequence[ErrorRow], caption: str) -> None:
    whole = overall(rows)
    headings = [f"{r.property} {kind}, {pretty(r.unit)}" for r in whole.values() for kind in ("MAE", "RMSE")]
    lines: list[list[object]] = []
    for system, found in by_system(rows).items():
        cells = [x for n in whole for x in ((found[n].mae, found[n].rmse) if n in found else ("-", "-"))]
        lines.append([system, max(row.frames for row in found.values()), *cells])
    page.table(["system", "frames", *headings], lines, caption=caption, strong=[0])


def add_parity(
    page: Page, folder: Path, name: str, structures: Sequence[Structure], predictions: Sequence[Arrays]
) -> None:
    """Parity plots of each property, also of each system by itself, and the distributions of the errors.

    The figures are kept in `folder` too, as PNG files whose names contain `name`.
    """
    group = group_of(structures)
    shown = [prop for prop in PROPERTIES if prop.name != "energy"]
    pairs = {prop: collect(prop, structures, predictions, group) for prop in shown}
    pairs = {prop: values for prop, values in pairs.items() if values}
    with page.columns():
        for prop, values in pairs.items():
            keep(page, folder / f"parity_{name}_{_file_name(prop)}.png", parity(prop, values), width="28rem")
    histograms = error_histograms({prop.name: values for prop, values in pairs.items()})
    keep(
        page,
        folder / f"errors_{name}.png",
        histograms,
        "Errors beyond the 99.5 % quantile are in the last bins.",
    )
    if len({structure.system for structure in structures}) > 1:
        for prop in [prop for prop in pairs if prop.label in ("energy", "forces", "stress", "charges")]:
            figure = parity_grid(prop, collect(prop, structures, predictions))
            path = folder / f"systems_{name}_{_file_name(prop)}.png"
            keep(page, path, figure, summary=f"{prop.name}: each system by itself")


def _file_name(prop: Property) -> str:
    return prop.name.replace(" ", "_")


def _add_set(page: Page, run: RunDirectory, name: str, rows: Sequence[ErrorRow], main: bool) -> None:
    page.section(f"{name.capitalize()} set")
    structures, predictions = read_predictions(run.predictions / f"{name}.xyz")
    if main:
        add_parity(page, run.plots, name, structures, predictions)
    add_errors(page, rows)
    page.heading("Worst frames")
    page.text(f"RMS error of a frame. Reference and prediction of every frame are in predictions/{name}.xyz.")
    outliers = worst_frames(structures, predictions)
    page.table(
        ["property", "error", "unit", "system", "frame"],
        [[o.property, o.error, pretty(o.unit), o.system, o.source] for o in outliers],
    )


def _add_data(page: Page, run: RunDirectory, about: dict[str, Any]) -> None:
    split = json.loads(run.split.read_text(encoding="utf-8"))
    systems = sorted({system for content in split.values() for system in content["systems"]})
    page.table(
        ["system", *split],
        [
            *([s, *(c["systems"].get(s, 0) for c in split.values())] for s in systems),
            ["all frames", *(c["frames"] for c in split.values())],
        ],
        caption="Frames of each system",
        strong=[len(systems)],
    )
    data = about["data"]
    page.text(
        f"Total charges from {_range(data['charge_range'])}, multiplicities from "
        f"{_range(data['spin_range'])}. Data fingerprint {data['data_fingerprint'][:16]}."
    )
    page.table(
        ["element", "reference energy, eV"],
        [[symbol, f"{energy:.4f}"] for symbol, energy in about["reference_energies"].items()],
        caption="Reference energies by least squares",
    )


def _range(values: Iterable[int]) -> str:
    return " to ".join(str(value) for value in values)


def _subtitle(about: dict[str, Any]) -> str:
    at, versions = about["checkpoint"], about["versions"]
    return (
        f"{about['parameters']:,} parameters; best weights of epoch {at['epoch']} "
        f"after {at['minutes']:.1f} minutes; " + ", ".join(f"{name} {version}" for name, version in versions.items())
    )


def keep(page: Page, path: Path, figure: Figure, caption: str = "", width: str = "", summary: str = "") -> None:
    """Saves a figure as PNG and puts it on the page, folded away behind `summary` if there is one."""
    path.write_bytes(png(figure))
    page.figure(path, caption, width, summary)
