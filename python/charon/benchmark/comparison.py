"""Our errors beside those of the peers: table, JSON and plot."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from charon.benchmark.archive import reference_set
from charon.benchmark.published import PEERS, QUANTITIES, Errors, Peer
from charon.report.looks import INK, color, logarithmic, new_figure, pretty
from charon.tables import short

OURS = "Charon"
MEMORY_MARK = "*"


def models_of(ours: Mapping[str, Errors]) -> list[Peer]:
    """Ours first, then the peers."""
    return [Peer(OURS, "this run", dict(ours)), *PEERS]


def table_of_comparison(ours: Mapping[str, Errors]) -> Table:
    """RMSE on the test set: a block per set, a line per model."""
    table = Table(title="RMSE on test frames", title_justify="left")
    table.add_column("set", no_wrap=True)
    table.add_column("model", no_wrap=True)
    for _, sign, unit in QUANTITIES:
        table.add_column(f"{sign} {unit}", justify="right", no_wrap=True)
    for name in ours:
        for model in models_of(ours):
            first = model.name == OURS
            cells = ["-" if error is None else short(error) for error in model.errors[name]]
            title = reference_set(name).title if first else ""
            table.add_row(title, label_of(model), *cells, style="bold" if first else None)
        table.add_section()
    return table


def footnotes(frames: Mapping[str, int]) -> list[str]:
    """Where the figures are from; `frames` found of each set."""
    counts = ", ".join(f"{count} of {reference_set(name).title}" for name, count in frames.items())
    ours = f"{OURS}: frames found: {counts}; the peers' figures are of the whole archive"
    return [ours, *(f"{label_of(peer)}: {peer.source}" for peer in PEERS)]


def label_of(model: Peer) -> str:
    """The name of a model, marked if its figures were quoted from memory."""
    return model.name + (MEMORY_MARK if model.from_memory else "")


def write_json(path: Path, ours: Mapping[str, Errors], about: Mapping[str, Any]) -> None:
    """All figures with their units and sources."""
    models = [
        {
            "name": model.name,
            "source": model.source,
            "from_memory": model.from_memory,
            "rmse": {name: dict(zip(_keys(), model.errors[name], strict=True)) for name in ours},
        }
        for model in models_of(ours)
    ]
    path.write_text(json.dumps({**about, "models": models}, indent=1) + "\n", encoding="utf-8")


def _keys() -> list[str]:
    return [f"{name} [{unit}]" for name, _, unit in QUANTITIES]


def draw(path: Path, ours: Mapping[str, Errors]) -> None:
    """A point per set and model, one panel per quantity."""
    figure, axes = new_figure(11.0, 3.8, columns=len(QUANTITIES))
    models, names = models_of(ours), list(ours)
    step = 0.6 / len(models)
    for panel, (axis, (prop, _, unit)) in enumerate(zip(axes, QUANTITIES, strict=True)):
        for index, model in enumerate(models):
            heights = [_or_nan(model.errors[name], panel) for name in names]
            places = np.arange(len(names)) + (index - (len(models) - 1) / 2) * step
            axis.plot(places, heights, "o", markersize=7, color=color(index), label=label_of(model))
        axis.set_title(pretty(f"{prop} RMSE [{unit}]"), fontsize=10, color=INK)
        axis.set_xticks(
            range(len(names)), [reference_set(name).title.replace(" / ", "\n") for name in names], fontsize=8
        )
        axis.set_xlim(-0.5, len(names) - 0.5)
        logarithmic(axis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(models), frameon=False)
    figure.savefig(path, dpi=150)


def _or_nan(errors: Sequence[float | None], index: int) -> float:
    value = errors[index]
    return np.nan if value is None else value
