"""Figures of the demonstration: scans of molecules, pair distributions, the course of the simulation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from charon.report.looks import INK, SOFT, color, dress, new_figure
from demonstration.analysis import Distribution
from demonstration.scans import ScanResult
from demonstration.simulation import Thermo

GAP = 3.0
"""Two states farther apart than this many times the range of their curves are drawn on a broken axis."""


def scan_figure(result: ScanResult) -> Figure:
    """Left: both states from one zero, tight binding (lines) and model (points). Right: their difference."""
    scan, reference, model = result.scan, result.reference, result.model
    figure = Figure(figsize=(9.4, 4.3), layout="constrained")
    names = [state.name for state in scan.states]
    zero = min(np.nanmin(reference[name]) for name in names)
    broken = _apart([reference[name] for name in names])
    names.sort(key=lambda name: -np.nanmean(reference[name]))  # the higher state is drawn above
    grid = figure.add_gridspec(2 if broken else 1, 2, width_ratios=[1.35, 1])
    panels = [figure.add_subplot(grid[row, 0]) for row in range(2 if broken else 1)]
    for index, name in enumerate(names):
        axis = panels[index if broken else 0]
        axis.plot(scan.values, reference[name] - zero, color=color(index), linewidth=1.8, label=f"{name}, GFN2-xTB")
        style: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4.5, "markerfacecolor": "white"}
        axis.plot(scan.values, model[name] - zero, color=color(index), label=f"{name}, model", **style)
    for axis in panels:
        _label(axis, scan.coordinate if axis is panels[-1] else "", "energy [eV], one zero for both states")
    if broken:
        _break(panels)
    else:
        blind = np.mean([reference[name] - zero for name in names], axis=0)
        panels[0].plot(scan.values, blind, color=SOFT, linewidth=1.2, linestyle="--", label="mean of the states")
    errors = figure.add_subplot(grid[:, 1])
    errors.axhline(0.0, color=INK, linewidth=0.8)
    for index, name in enumerate(names):
        difference = 1000.0 * (model[name] - reference[name])
        errors.plot(scan.values, difference, color=color(index), marker="o", markersize=3, label=name)
    _label(errors, scan.coordinate, "model - GFN2-xTB [meV]")
    for axis in panels:
        axis.legend(frameon=False, fontsize=8.5)
    figure.suptitle(scan.title, fontsize=11, color=INK)
    return figure


def _apart(curves: Sequence[np.ndarray]) -> bool:
    ranges = [(np.nanmin(curve), np.nanmax(curve)) for curve in curves]
    widest = max(high - low for low, high in ranges)
    return max(low for low, _ in ranges) - min(high for _, high in ranges) > GAP * widest


def _break(panels: Sequence[Axes]) -> None:
    """Upper and lower part of one axis: the same scale, the cut marked between them."""
    upper, lower = panels
    span = 1.08 * max(np.ptp(axis.get_ylim()) for axis in panels)
    for axis in panels:
        middle = float(np.mean(axis.get_ylim()))
        axis.set_ylim(middle - span / 2, middle + span / 2)
        axis.yaxis.set_major_locator(MaxNLocator(4))
    upper.spines["bottom"].set_visible(False)
    upper.tick_params(bottom=False, labelbottom=False)
    upper.set_ylabel("")
    lower.yaxis.set_label_coords(-0.13, 1.05)
    mark: dict[str, Any] = {
        "marker": [(-1, -0.5), (1, 0.5)],
        "markersize": 9,
        "linestyle": "",
        "color": SOFT,
        "clip_on": False,
    }
    upper.plot([0], [0], transform=upper.transAxes, **mark)
    lower.plot([0], [1], transform=lower.transAxes, **mark)


def _label(axis: Axes, horizontal: str, vertical: str) -> None:
    dress(axis)
    axis.set_xlabel(horizontal, fontsize=9, color=SOFT)
    axis.set_ylabel(vertical, fontsize=9, color=SOFT)


def distributions_figure(labelled: dict[str, Distribution], simulated: dict[str, dict[str, Distribution]]) -> Figure:
    """A panel for each pair: the labelled dynamics with its error as a band, parts of the run as lines."""
    figure, axes = new_figure(10.4, 3.7, len(labelled))
    for axis, (pair, reference) in zip(axes, labelled.items(), strict=True):
        band = (reference.g - 2 * reference.error, reference.g + 2 * reference.error)
        axis.fill_between(reference.r, *band, color=SOFT, alpha=0.25, linewidth=0)
        axis.plot(reference.r, reference.g, color=INK, linewidth=1.2, label="GFN1-xTB, 64 ions")
        for index, (part, found) in enumerate(simulated.items()):
            curve = found[pair]
            axis.plot(curve.r, curve.g, color=color(index), linewidth=1.6, label=f"model, {part}", alpha=0.85)
        axis.set_title(pair, fontsize=11, color=INK)
        axis.set_ylim(0)
        axis.set_xlim(1.5, reference.r[-1])
        axis.set_xlabel("r [Å]", fontsize=9, color=SOFT)
    axes[0].set_ylabel("g(r)", fontsize=9, color=SOFT)
    axes[0].legend(frameon=False, fontsize=8.5)
    return figure


def course_figure(
    runs: Sequence[Thermo], n_ions: int, temperature: float, labelled_pressure: tuple[float, float]
) -> Figure:
    """Temperature, pressure and total energy over time; NVT and NVE in two colors."""
    figure, axes = new_figure(10.4, 3.3, 3)
    for index, (name, run) in enumerate(zip(("NVT", "NVE"), runs, strict=True)):
        time = run["Time"]
        axes[0].plot(time, run["Temp"], color=color(index), linewidth=1.3, label=name)
        axes[1].plot(time, run["Press"] * 1e-4, color=color(index), linewidth=1.3, label=name)
    nve = runs[-1]
    axes[0].axhline(temperature, color=SOFT, linewidth=1.0, linestyle="--", label="set")
    mean, error = labelled_pressure
    axes[1].axhline(mean, color=INK, linewidth=1.0, label="GFN1-xTB, mean")
    axes[1].axhspan(mean - 2 * error, mean + 2 * error, color=SOFT, alpha=0.25, linewidth=0)
    change = 1000.0 * (nve["TotEng"] - nve["TotEng"].mean()) / n_ions  # [n_steps]
    line = np.polyval(np.polyfit(nve["Time"], change, 1), nve["Time"])
    axes[2].plot(nve["Time"], change, color=color(1), linewidth=1.3, label="NVE")
    axes[2].plot(nve["Time"], line, color=INK, linewidth=1.0, linestyle="--", label="straight line")
    titles = ("temperature [K]", "pressure [GPa]", "total energy, from its mean [meV/atom]")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize=10, color=INK)
        axis.set_xlabel("time [ps]", fontsize=9, color=SOFT)
        axis.legend(frameon=False, fontsize=8.5)
    return figure
