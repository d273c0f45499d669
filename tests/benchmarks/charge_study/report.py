"""Makes charge_physics.md and charge_physics.png of results/charge_physics.json.

python -m tests.benchmarks.charge_study.report
"""

import json
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from .run import CARBONS, PULLED, REFERENCE, RESULTS, Curves  # noqa: E402

TARGET = Path(__file__).parents[1] / "charge_physics.md"
PAGE = """\
# Charges at dissociation and in long chains

![charges of sodium and polarizability of chains](charge_physics.png)

Preset `qeq` with both charge solvers, trained for {minutes:g} minutes on Na8Cl8+ and Na9Cl8+ with 300 clusters that
lose a sodium, up to 12 Å (left, middle), and on C10H2 and C10H3+ (right), seed 0, one thread; GFN2-xTB labelled all of
them. Lone NaCl and chains of other lengths were in no training, nor was any response to a field. Columns: charge of Na
in NaCl at {last:.1f} Å and of a sodium {pulled:.0f} Å from its place in Na9Cl8+, e; α_zz of the atomic charges per
carbon, Å³.

| | NaCl | Na9Cl8+ | C{short}H2 | C{long}H2 |
|---|---|---|---|---|
{rows}

Plain equilibration levels the electronegativities of atoms however far apart, so charge stays on parted neutral atoms
and the response of a chain grows with its length as a metal's. Charges that flow along bonds only (`charge_solver:
flow`, what `qeq` has) stop where bonds end: parted NaCl is neutral, and the response of a chain levels off as that of
tight binding does, in long chains below it.

The sodium that leaves Na9Cl8+ should keep 1 e; GFN2-xTB, which delocalises charge, does not, and the models follow
their labels. With flow, once bonds end, the ion keeps the share of the total charge that the layers give it, which is
learned; the slow decay of the tight binding and of plain equilibration is not there.

Each training had {least:.0f} to {most:.0f} % of a core; longer ones give other figures in
all columns.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.charge_study.run --minutes {minutes:g}
    python -m tests.benchmarks.charge_study.report
"""


def page(curves: dict[str, Curves], minutes: float, shares: list[float]) -> str:
    """The table of both ends, with what it means."""
    rows = []
    for model, found in curves.items():
        ends = [found["pair"][-1], found["cluster"][-1], found["chain"][0], found["chain"][-1]]
        rows.append(f"| {model} | " + " | ".join("-" if v is None else f"{v:.3g}" for v in ends) + " |")
    last, pulled = 2.36 + PULLED[-1], PULLED[-1]
    short, long = CARBONS[0], CARBONS[-1]
    where = {"last": last, "pulled": pulled, "short": short, "long": long}
    busy = {"least": 100 * min(shares), "most": 100 * max(shares)}
    return PAGE.format(minutes=minutes, rows="\n".join(rows), **where, **busy)


def draw(curves: dict[str, Curves], path: Path) -> None:
    """Three panels: both scans and the chain."""
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.7), layout="constrained")
    panels = (
        ("pair", "NaCl", 2.36 + PULLED, "distance, Å", "charge of Na, e"),
        ("cluster", "Na out of Na9Cl8+", PULLED, "moved by, Å", "charge of Na, e"),
        ("chain", "polyynes C$_n$H$_2$", np.array(CARBONS), "carbons", "α$_{zz}$ of charges per carbon, Å³"),
    )
    for axis, (name, title, x, below, beside) in zip(axes, panels, strict=True):
        for place, (model, found) in enumerate(curves.items()):
            y = np.array([np.nan if v is None else v for v in found[name]])
            style = "k--" if model == REFERENCE else f"C{place}o-"
            axis.plot(x, y, style, markersize=3, label=model)
        axis.set(title=title, xlabel=below, ylabel=beside)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Page and plot."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    TARGET.write_text(page(found["curves"], found["minutes"], found["core_shares"]), encoding="utf-8")
    draw(found["curves"], TARGET.with_suffix(".png"))


if __name__ == "__main__":
    main()
