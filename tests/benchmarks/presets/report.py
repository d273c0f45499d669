"""Makes tests/benchmarks/presets.md and presets.png of results/presets.json.

python -m tests.benchmarks.presets.report [--minutes 20]
"""

import argparse
import json
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from .jobs import JUDGED, SPINS, VARIABLE  # noqa: E402
from .plan import MODELS, Peer  # noqa: E402
from .run import RESULTS, Record  # noqa: E402
from .sets import SETS  # noqa: E402

PAGE = Path(__file__).parents[1] / "presets.md"
UNITS = ("E, meV/atom", "F, meV/Å", "q, me")
Cell = tuple[float | None, ...]
"""Errors of energy, forces and charges, and of spins where a set has them."""

INTRODUCTION = """\
# Presets and SpookyNet on sets with charges

![errors by set](presets.png)

RMSE on the test frames, E in meV/atom / F in meV/Å / q in me, and spins in
milli-μB where a set has them; the best of each in bold. Every run trains on the same
frames for {minutes:g} minutes of the clock, validations included, on one thread, two runs at a time on two cores; the
weights with the lowest loss on the validation frames are judged. {seeds}.

Equal time favors what is fast: the peer makes a fraction of the steps (second table) and is far from its end. On the
full sets of Ko et al. SpookyNet's authors publish 5.8 (chains), 1.1 (NaCl), 27 (Ag3) and 5.3 meV/Å (Au2-MgO).

The runs are of `loss.charges: 0.1` (now 1), of reference energies fitted to whole energies, and of ZBL's repulsion but
in `spooky` (nonlocal.md says what these change); on carbon4g and aumgo4g models had D3 or D4, which those labels do not
hold and which the command now leaves out.
"""


class Table:
    """Finished runs of one length, by set and model."""

    def __init__(self, records: list[Record], minutes: float) -> None:
        self.minutes = minutes
        of_length = [r for r in records if r["minutes"] == minutes]
        self.failed = [r for r in of_length if "error" in r]
        self.done = [r for r in of_length if "error" not in r]
        self.sets = [name for name in SETS if any(r["set"] == name for r in of_length)]
        self.models = [name for name in MODELS if any(r["preset"] == name for r in of_length)]

    def runs(self, set_name: str, model: str) -> list[Record]:
        """The finished runs of all seeds."""
        return [r for r in self.done if (r["set"], r["preset"]) == (set_name, model)]

    def cell(self, set_name: str, model: str) -> Cell:
        """Mean errors of the seeds; None where there is no run, or no charges."""
        tests = [run["test"] for run in self.runs(set_name, model)]
        found = [[t[key] for t in tests if t.get(key) is not None] for key in (*JUDGED, SPINS)]
        return tuple(mean(values) if values else None for values in found)

    def best(self, set_name: str) -> Cell:
        """The lowest error of each kind on a set."""
        columns = zip(*(self.cell(set_name, model) for model in self.models), strict=True)
        return tuple(min((v for v in values if v is not None), default=None) for values in columns)


def errors_table(table: Table) -> list[str]:
    """Rows of models, columns of sets."""
    lines = [f"| | {' | '.join(table.sets)} |", "|---|" + "---|" * len(table.sets)]
    best = {name: table.best(name) for name in table.sets}
    for model in table.models:
        cells = [_text(table.cell(name, model), best[name]) for name in table.sets]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def _text(cell: Cell, best: Cell) -> str:
    if all(value is None for value in cell):
        return "-"
    shown = zip(cell, best, strict=True) if best[-1] is not None else zip(cell[:-1], best[:-1], strict=True)
    return " / ".join("-" if v is None else f"**{_short(v)}**" if v == b else _short(v) for v, b in shown)


def _short(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def effort_table(table: Table) -> list[str]:
    """Steps and epochs of each run: what the time was enough for."""
    lines = ["| steps / epochs | " + " | ".join(table.sets) + " |", "|---|" + "---|" * len(table.sets)]
    for model in table.models:
        runs = [table.runs(name, model) for name in table.sets]
        cells = [
            f"{mean(r['steps'] for r in of):.0f} / {mean(r['epochs'] for r in of):.0f}" if of else "-" for of in runs
        ]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return lines


def models_table(table: Table) -> list[str]:
    """What each model is."""
    lines = ["| | what | settings | parameters |", "|---|---|---|---|"]
    for model in table.models:
        runs = [r for r in table.done if r["preset"] == model]
        if runs:
            sizes = sorted({r["parameters"] for r in runs})
            size = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
            lines.append(f"| {model} | {MODELS[model].about} | {runs[0]['settings']} | {size} |")
    return lines


def sets_table(table: Table) -> list[str]:
    """What each set is."""
    lines = ["| | what | in the folder |", "|---|---|---|"]
    for name in table.sets:
        found = SETS[name]
        where = "shipped: examples/data/clusters" if found.shipped else ", ".join(f"`{f}`" for f in found.files)
        lines.append(f"| {name} | {found.about} | {where} |")
    return lines


def page(table: Table) -> str:
    """The whole page."""
    seeds = sorted({r["seed"] for r in table.done})
    said = f"Seed {seeds[0]}" if len(seeds) == 1 else f"Mean of the seeds {', '.join(map(str, seeds))}"
    parts = [INTRODUCTION.format(minutes=table.minutes, seeds=said), *errors_table(table), ""]
    parts += [f"{r['set']}, {r['preset']} failed: `{r['error'].splitlines()[-1]}`" for r in table.failed]
    shares = [r["cpu_minutes"] / r["wall_minutes"] for r in table.done]
    parts += ["", f"Each run had {100 * min(shares):.0f} to {100 * max(shares):.0f} % of a core.", ""]
    parts += [*effort_table(table), "", "## Models", "", *models_table(table), "", RECIPES, *sets_table(table), ""]
    parts += ["Sets of one file: frames 0, 5, 10 ... test, 1, 11, 21 ... validation. Sources: accuracy.md.", ""]
    sets, models = ",".join(table.sets), ",".join(table.models)
    rest = f"--presets {models} --minutes {table.minutes:g} --seeds {' '.join(map(str, seeds))}"
    parts += ["## Again", "", f"    export CHARON_BENCH_DATA=<folder> {VARIABLE}=<environment>/bin/python"]
    parts += [f"    python -m tests.benchmarks.presets.run --sets {sets} \\\n      {rest}"]
    parts += ["    python -m tests.benchmarks.presets.report"]
    return "\n".join(parts) + "\n"


RECIPES = """\
Charon: `presets/presets.yaml`. SpookyNet: the model of the paper as xnns has it, AMSGrad and averaged weights as in the
paper, the sum of the RMS errors of energy, forces and charges as the loss, one cosine over the time instead of
halving on plateaus, `presets/spooky_peer.py`. In crystals its electrostatics and D4 end at 20 bohr. No model is
trained on dipoles.

## Sets
"""


def draw(table: Table, path: Path) -> None:
    """A panel per error, the sets side by side."""
    figure, axes = plt.subplots(1, 3, figsize=(13.0, 3.8), layout="constrained")
    for which, (axis, unit) in enumerate(zip(axes, UNITS, strict=True)):
        for place, model in enumerate(table.models):
            found = [(x, table.cell(name, model)[which]) for x, name in enumerate(table.sets)]
            shift = 0.6 * (place / max(1, len(table.models) - 1) - 0.5)
            points = [(x + shift, value) for x, value in found if value is not None]
            if points:
                marker = "x" if isinstance(MODELS[model], Peer) else "o"
                axis.plot(*zip(*points, strict=True), marker, color=f"C{place}", label=model)
        axis.set_yscale("log")
        axis.set_ylabel(unit)
        axis.set_xticks(range(len(table.sets)), table.sets, rotation=30, ha="right")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write, with a .png beside it")
    parser.add_argument("--minutes", type=float, help="length of the runs shown, default: the longest")
    options = parser.parse_args()
    records = [r for r in json.loads(options.results.read_text(encoding="utf-8")) if r["minutes"] is not None]
    table = Table(records, options.minutes or max(r["minutes"] for r in records))
    options.page.write_text(page(table), encoding="utf-8")
    draw(table, options.page.with_suffix(".png"))


if __name__ == "__main__":
    main()
