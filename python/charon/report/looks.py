"""How figures look: colors, grid, plain numbers on log axes, units as they are printed."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

COLORS = (
    "#1f5fa8",
    "#d1711e",
    "#2e8b57",
    "#b03a48",
    "#7a5ba8",
    "#8c6d46",
    "#c75aa0",
    "#5f6b7a",
    "#9a9a1f",
    "#1f9aa8",
)
INK, SOFT, GRID = "#1c2430", "#5c6675", "#e3e7ec"


def color(index: int) -> str:
    """A color for the system of this index; they repeat after ten."""
    return COLORS[index % len(COLORS)]


def new_figure(width: float = 6.4, height: float = 4.4, columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of the house's looks, `width` x `height` in inches, and its axes row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        dress(axis)
    return figure, list(axes.flat)


def dress(axis: Axes) -> None:
    """Light grid, no upper and right frame."""
    axis.grid(color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(colors=SOFT, labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(SOFT)


def logarithmic(axis: Axes) -> None:
    """Log scale upwards with plain numbers, however short the range."""
    low, high = axis.dataLim.y0, axis.dataLim.y1
    axis.set_yscale("log")
    wide = high > 5.0 * low
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(5))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axis.yaxis.set_minor_locator(NullLocator())


def pretty(text: str) -> str:
    """Units as they are printed: `meV/A^3` becomes `meV/Å³`."""
    return text.replace("mu_B", "μB").replace("/A", "/Å").replace("me A", "me Å").replace("^3", "³")
