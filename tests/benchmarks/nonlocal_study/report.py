"""Makes tests/benchmarks/nonlocal.md and nonlocal.png of results/cumulenes.json.

python -m tests.benchmarks.nonlocal_study.report
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from .cumulenes import RESULTS, VARIANTS  # noqa: E402

PAGE = Path(__file__).parents[1] / "nonlocal.md"
Run = dict[str, Any]

TEXT = """\
# What is learned beyond the reach of messages

![dihedral scan of C12H4, and the sign of the change by length](nonlocal.png)

Cumulenes C_nH4: the energy follows the angle between two ends up to 14 Å apart, and for even and odd n in opposite
directions. Trained on the lengths 3-10, 13 and 14 (199 frames), {steps} steps in batches of 10, cutoff 3.5 Å, two
layers, one thread. Left: the scan of C12H4, a length that training never saw; its RMSE is taken about the mean. Right:
E(88°) - E(2°) of ideal chains, positive for even n. Two frames near 180° (n = 9 of train, n = 13 of val), where the
reference jumps by 0.4-0.5 eV, are left out. A blind model errs by 254 meV on the scan, whose barrier is {barrier:.0f}
meV. The scan was looked at while the form of the propagator was chosen; signs beyond n = 14 are the test that was not.

| | seed | validation, meV | scan, meV | barrier, meV | wrong signs, n = 4 ... 20 |
|---|---|---|---|---|---|
{rows}

## What made it general

Of earlier forms, at 1500 steps (scan in meV, barrier in meV; seeds 0, 1, 2 where there are several):

| hops | steps | decay | scan | barrier |
|---|---|---|---|---|
| of free sign | 10 | per channel | 62, 103 | 606, 454 |
| of free sign, tensors only | 10 | per channel | 239 | |
| of free sign | 14 | per channel | 22 | 894 |
| of free sign | 20 | per channel | 39 | 946 |
| positive | 14 | per channel | 24 | 879 |
| positive | 20 | per channel | 22, 46, 20 | 806, 661, 731 |

All had signs of the decay on a grid of both, bonds as hops, eight channels, ranks 0, 1 and 2 but where said. Two
things matter: the sum over hops has to have converged, for a truncated one depends on how many hops there are,
and is fitted length by length; and hops have to be positive, so that alternation comes from the sign of one decay per
channel and continues at any length.

## Again

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.nonlocal_study.cumulenes --variants {variants} --steps {steps}
    python -m tests.benchmarks.nonlocal_study.report
"""


def row(run: Run) -> str:
    """One run in the table."""
    wrong = ", ".join(str(n) for n in run["wrong_signs"]) or "none"
    figures = f"{run['validation_mev']:.1f} | {run['scan_mev']:.1f} | {run['barrier_mev']:.0f}"
    return f"| {run['variant']} | {run['seed']} | {figures} | {wrong} |"


def draw(runs: list[Run], path: Path) -> None:
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
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    left.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Of the runs with the most steps."""
    runs = json.loads(RESULTS.read_text(encoding="utf-8"))
    steps = max(run["steps"] for run in runs)
    order = list(VARIANTS)
    runs = sorted((r for r in runs if r["steps"] == steps), key=lambda r: (order.index(r["variant"]), r["seed"]))
    names = [name for name in order if any(run["variant"] == name for run in runs)]
    variants = " ".join(f'"{name}"' if " " in name else name for name in names)
    barrier = runs[0]["reference"][-1] - runs[0]["reference"][0]
    rows = "\n".join(map(row, runs))
    PAGE.write_text(TEXT.format(steps=steps, barrier=barrier, rows=rows, variants=variants), encoding="utf-8")
    draw(runs, PAGE.with_suffix(".png"))


if __name__ == "__main__":
    main()
