"""Makes nonlocal.md, nonlocal.png and nonlocal_sets.png of the results of this folder's studies.

python -m tests.benchmarks.nonlocal_study.report
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from .chains import LENGTHS  # noqa: E402
from .cumulenes import VARIANTS  # noqa: E402
from .sections import MATRIX_ERRORS, MECHANISMS, SECTIONS, errors_of, load  # noqa: E402
from .texts import AGAIN, TITLE  # noqa: E402

PAGE = Path(__file__).parents[1] / "nonlocal.md"
Run = dict[str, Any]


def draw_cumulenes(runs: list[Run], path: Path) -> None:
    """The scan and the turned chains, a color per variant, a line per seed."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.0, 3.8), layout="constrained")
    left.plot(runs[0]["angles"], runs[0]["reference"], "k--", label="reference")
    names = [name for name in VARIANTS if any(run["variant"] == name for run in runs)]
    for place, name in enumerate(names):
        for index, run in enumerate(r for r in runs if r["variant"] == name):
            label = name if index == 0 else None
            left.plot(run["angles"], run["scan"], color=f"C{place}", alpha=0.8, label=label)
            lengths = [int(n) for n in run["turned_mev"]]
            right.plot(lengths, list(run["turned_mev"].values()), "o-", color=f"C{place}", markersize=3, alpha=0.8)
    left.set(title="C$_{12}$H$_4$, not in training", xlabel="dihedral angle, degrees", ylabel="energy, meV")
    right.axhline(0.0, color="0.7", linewidth=0.8)
    right.set(title="E(88°) - E(2°)", xlabel="carbons", ylabel="meV")
    left.legend(fontsize=8)
    finish(figure, path)


def draw_matrix(axis: Axes, runs: list[Run]) -> None:
    """Force errors by set over the smallest of the set: means of the seeds, a color per mechanism."""
    sets = list(dict.fromkeys(r["set"] for r in runs))
    names = [name for name in MECHANISMS if any(r["preset"] == name for r in runs)]
    means = np.full((len(names), len(sets)), np.nan)
    for i, name in enumerate(names):
        for j, of in enumerate(sets):
            errors = errors_of(runs, of, name, MATRIX_ERRORS["forces, meV/Å"])
            means[i, j] = np.mean(errors) if errors else np.nan
    places = np.arange(len(sets))
    for i, name in enumerate(names):
        axis.plot(places + 0.08 * (i - len(names) / 2), means[i] / np.nanmin(means, axis=0), "o", label=name)
    axis.set(title="mechanism by set", ylabel="force RMSE over the best", yscale="log")
    axis.set_xticks(places, sets, rotation=20)
    axis.legend(fontsize=7)


def draw_chains(axis: Axes, found: Run) -> None:
    """Force errors of both kinds of chains by length, means of the seeds."""
    for place, (preset, rows) in enumerate(found["presets"].items()):
        for charge, style in ((0, "o-"), (1, "s--")):
            errors = [np.mean(rows[f"C{n}H{2 + charge}" + "+" * charge]["forces"]) for n in LENGTHS]
            label = preset if charge == 0 else None
            axis.plot(LENGTHS, errors, style, color=f"C{place}", markersize=3, label=label)
    axis.set(title="chains, trained on ten carbons", xlabel="carbons", ylabel="force RMSE, meV/Å", yscale="log")
    axis.legend(fontsize=8)


def draw_wetting(axis: Axes, found: Run) -> None:
    """E(lying) - E(standing) with and without aluminium."""
    name, method = ("aumgo4g", "PBE") if "aumgo4g" in found else ("au_mgo", "GFN1-xTB")
    rows = [
        (method, found[name]["reference"]),
        *((f"{m['preset']}\n{m['steps']}, {m['seed']}", m) for m in found[name]["models"]),
    ]
    for shift, doping in ((-0.2, "doped"), (0.2, "undoped")):
        axis.bar(np.arange(len(rows)) + shift, [r[doping] for _, r in rows], 0.38, label=doping)
    axis.axhline(0.0, color="0.5", linewidth=0.8)
    axis.set(title="Au$_2$ on MgO", ylabel="E(lying) - E(standing), eV")
    axis.set_xticks(range(len(rows)), [name for name, _ in rows], fontsize=7)
    axis.set_ylim(top=1.25 * axis.get_ylim()[1])
    axis.legend(fontsize=8, loc="upper center", ncols=2)


def draw_lode(axis: Axes, runs: list[Run]) -> None:
    """Force errors on far frames by dimer, of the longest runs."""
    names = list(runs[0]["dimers"])
    for place, run in enumerate(r for r in longest(runs) if r["seed"] == runs[0]["seed"]):
        errors = [d["forces"] for d in run["dimers"].values()]
        axis.plot(range(len(names)), errors, "o", color=f"C{place % 10}", label=f"{run['variant']}, {run['steps']}")
    axis.set(title="dimers at 12 to 15 Å", ylabel="force RMSE, meV/Å", yscale="log")
    axis.set_xticks(range(len(names)), names, rotation=20, fontsize=8)
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.36, 1.0))


PANELS: dict[str, Callable[[Axes, Any], None]] = {
    "mechanisms": draw_matrix,
    "chains": draw_chains,
    "wetting": draw_wetting,
    "lode": draw_lode,
}
"""By the file of results."""


def finish(figure: Any, path: Path) -> None:
    """Saves and closes."""
    for axis in figure.axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_sets(path: Path) -> bool:
    """A panel for each study that was run; False where there is none."""
    found = {name: load(name) for name in PANELS}
    shown = [name for name, results in found.items() if results]
    if shown:
        figure, axes = plt.subplots(1, len(shown), figsize=(4.6 * len(shown), 3.9), layout="constrained", squeeze=False)
        for axis, name in zip(axes[0], shown, strict=True):
            PANELS[name](axis, found[name])
        finish(figure, path)
    return bool(shown)


def order(runs: list[Run]) -> list[Run]:
    """The cumulenes' runs by variant, steps and seed."""
    names = list(VARIANTS)
    return sorted(runs, key=lambda r: (names.index(r["variant"]), r["steps"], r["seed"]))


def longest(runs: list[Run]) -> list[Run]:
    """Those with the most steps of their variant."""
    most = {name: max(r["steps"] for r in runs if r["variant"] == name) for name in {r["variant"] for r in runs}}
    return [r for r in runs if r["steps"] == most[r["variant"]]]


def main() -> None:
    """Page and plots."""
    parts = [TITLE]
    second = PAGE.with_name("nonlocal_sets.png")
    if draw_sets(second):
        parts.append(f"![errors on chains, gold and dimers]({second.name})\n")
    for name, section in SECTIONS.items():
        found = load(name)
        if name == "cumulenes" and found:
            found = order(found)
            draw_cumulenes(longest(found), PAGE.with_suffix(".png"))
        if found:
            parts.append(section(found))
    PAGE.write_text("\n".join([*parts, AGAIN]), encoding="utf-8")


if __name__ == "__main__":
    main()
