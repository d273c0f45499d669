"""Figures of a training: learning curves, parity by system, distributions of errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from charon.metrics import PROPERTIES, Property, residuals
from charon.report.looks import COLORS, INK, SOFT, color, dress, logarithmic, new_figure, pretty
from charon.structure import Structure
from charon.tables import short

MOST_POINTS = 20000
Pairs = dict[str, tuple[np.ndarray, np.ndarray]]


def group_of(structures: Sequence[Structure]) -> Callable[[Structure], str]:
    """What a structure is colored by: its system or, of many systems, its charge and multiplicity."""
    return system_of if len({structure.system for structure in structures}) <= len(COLORS) else state_of


def system_of(structure: Structure) -> str:
    """The name of the system."""
    return structure.system


def state_of(structure: Structure) -> str:
    """Total charge and multiplicity in words."""
    charge = f"{structure.total_charge:+d}" if structure.total_charge else "0"
    return f"charge {charge}, multiplicity {structure.spin_multiplicity}"


def collect(
    prop: Property,
    structures: Sequence[Structure],
    predictions: Sequence[Mapping[str, np.ndarray]],
    group: Callable[[Structure], str] = system_of,
) -> Pairs:
    """Reference and prediction of a property in its unit, by group.

    Energies are taken from the mean reference of their system, so that all systems fit on one axis.
    """
    found: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {}
    for structure, prediction in zip(structures, predictions, strict=True):
        pair = residuals(prop, structure, prediction)
        if pair is not None:
            found.setdefault(structure.system, []).append((group(structure), *pair))
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for members in found.values():
        mean = np.concatenate([r for _, r, _ in members]).mean() if prop.label == "energy" else 0.0
        for name, reference, predicted in members:
            parts.setdefault(name, []).append((reference - mean, predicted - mean))
    return {
        name: (np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]))
        for name, pairs in sorted(parts.items())
    }


def learning_curves(rows: Sequence[Mapping[str, float]]) -> Figure:
    """Losses, errors of the validation set (MAE) and learning rate over the epochs; `rows` of metrics.csv."""
    errors = [key for key in rows[0] if " MAE [" in key and not key.startswith("energy MAE")]
    panels = 2 + len(errors)
    columns = min(3, panels)
    lines = -(-panels // columns)
    figure, axes = new_figure(3.7 * columns, 2.75 * lines, columns, lines)
    epochs = [row["epoch"] for row in rows]
    for key, name, index in (("train_loss", "training", 0), ("validation_loss", "validation", 1)):
        if key in rows[0]:
            axes[0].plot(epochs, [row[key] for row in rows], color=color(index), label=name, linewidth=1.6)
    axes[0].set_title("loss (final weights)", fontsize=10, color=INK)
    axes[0].legend(frameon=False, fontsize=9)
    for axis, key in zip(axes[1:], errors, strict=False):
        axis.plot(epochs, [row[key] for row in rows], color=color(1), linewidth=1.6)
        axis.set_title(pretty(f"validation {key}"), fontsize=10, color=INK)
    for axis in axes[: 1 + len(errors)]:
        logarithmic(axis)
    rate = axes[1 + len(errors)]
    rate.plot(epochs, [row["learning_rate"] for row in rows], color=color(2), linewidth=1.6)
    rate.set_title("learning rate", fontsize=10, color=INK)
    for axis in axes[panels:]:
        axis.set_visible(False)
    for axis in axes[:panels]:
        axis.set_xlabel("epoch", fontsize=9, color=SOFT)
    return figure


def parity(prop: Property, pairs: Pairs) -> Figure:
    """Prediction over reference and the error below it, colored by group; `pairs` as from `collect`."""
    figure = Figure(figsize=(5.2, 5.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    dress(upper)
    dress(lower)
    for index, (reference, predicted) in enumerate(pairs.values()):
        chosen = _thin(reference.size, MOST_POINTS // len(pairs))
        style = {"s": 7, "color": color(index), "alpha": 0.55, "linewidths": 0}
        upper.scatter(reference[chosen], predicted[chosen], **style)
        lower.scatter(reference[chosen], (predicted - reference)[chosen], **style)
    low, high = _diagonal(upper, pairs.values())
    upper.set_ylim(low, high)
    lower.axhline(0.0, color=INK, linewidth=0.8, zorder=0)
    upper.set_title(title_of(prop), fontsize=10, color=INK)
    upper.set_ylabel("predicted", fontsize=9, color=SOFT)
    lower.set_ylabel("error", fontsize=9, color=SOFT)
    lower.set_xlabel("reference", fontsize=9, color=SOFT)
    _legend(figure, list(pairs))
    return figure


def parity_grid(prop: Property, pairs: Pairs, columns: int = 6) -> Figure:
    """A small parity plot for each system, each on its own scale, with its RMSE."""
    columns = min(columns, len(pairs))
    lines = -(-len(pairs) // columns)
    height = 1.85 * lines + 0.45
    figure = Figure(figsize=(1.8 * columns, height))
    figure.subplots_adjust(0.055, 0.3 / height, 0.99, 1 - 0.65 / height, wspace=0.4, hspace=0.4)
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis, (name, (reference, predicted)) in zip(axes, pairs.items(), strict=False):
        chosen = _thin(reference.size, 2000)
        axis.scatter(reference[chosen], predicted[chosen], s=4, color=color(0), alpha=0.5, linewidths=0)
        low, high = _diagonal(axis, [(reference, predicted)])
        dress(axis)
        axis.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
        rmse = float(np.sqrt(((predicted - reference) ** 2).mean()))
        axis.set_title(f"{name}: {short(rmse)}", fontsize=8, color=INK)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        axis.yaxis.set_major_locator(MaxNLocator(3))
        axis.tick_params(labelsize=7)
    for axis in axes[len(pairs) :]:
        axis.set_visible(False)
    figure.suptitle(f"{title_of(prop)}, with the RMSE of each system", fontsize=10, color=INK)
    return figure


def title_of(prop: Property) -> str:
    """Name and unit of a property, as `collect` gives it."""
    name = f"{prop.name}, from the mean of its system" if prop.label == "energy" else prop.name
    return pretty(f"{name} [{prop.unit}]")


def _diagonal(axis: Axes, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Draws the line of perfect prediction; returns its ends, a little beyond the data."""
    values = [value for pair in pairs for value in pair]
    low, high = min(float(v.min()) for v in values), max(float(v.max()) for v in values)
    margin = 0.04 * (high - low) or 1.0
    axis.plot([low - margin, high + margin], [low - margin, high + margin], color=INK, linewidth=0.8, zorder=0)
    return low - margin, high + margin


def error_histograms(pairs_of: Mapping[str, Pairs]) -> Figure:
    """Distribution of the errors of each property (keys are its names) over all systems, on a log scale."""
    units = {prop.name: prop.unit for prop in PROPERTIES}
    columns = min(3, len(pairs_of))
    lines = -(-len(pairs_of) // columns)
    figure, axes = new_figure(3.7 * columns, 2.75 * lines, columns, lines)
    for axis, (name, pairs) in zip(axes, pairs_of.items(), strict=False):
        errors = np.concatenate([predicted - reference for reference, predicted in pairs.values()])
        reach = float(np.quantile(np.abs(errors), 0.995)) or 1.0
        axis.hist(np.clip(errors, -reach, reach), bins=61, color=color(0), log=True)
        axis.set_title(pretty(f"{name}: error [{units[name]}]"), fontsize=10, color=INK)
    for axis in axes[len(pairs_of) :]:
        axis.set_visible(False)
    return figure


def _thin(size: int, most: int) -> np.ndarray:
    """Indices of at most `most` points, evenly spread."""
    return np.arange(size) if size <= most else np.linspace(0, size - 1, most).astype(int)


def _legend(figure: Figure, systems: Sequence[str]) -> None:
    if len(systems) < 2:
        return
    marks = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=color(i), label=name)
        for i, name in enumerate(systems)
    ]
    columns = max(1, min(len(systems), 60 // (max(map(len, systems)) + 4)))
    figure.legend(
        handles=marks,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        handletextpad=0.1,
    )
