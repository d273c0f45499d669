"""Force error against the counted cost of one evaluation, a panel a set.

python tests/benchmarks/core_study/figures.py RESULTS.json [...] --out tests/benchmarks/core.png
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PANELS = {
    "acac64": ("acetylacetone, test 300 K", "test300"),
    "dipeptides": ("polar dipeptides, val", "val"),
    "water": ("liquid water, test", "test"),
    "carbenes": ("carbenes in four states, val", "val"),
}
SHADES = {"painn": "tab:gray", "D1": "tab:orange", "D2": "tab:blue", "D2a": "tab:green", "lin": "tab:purple"}


def force_errors(result: dict, split: str) -> list[float]:
    """F RMSE of each member, meV/A, with the averaged weights that are best on val."""
    out = []
    for member in range(len(result["job"]["members"])):
        best = min(range(len(result["ema"])), key=lambda e: result["val"][e][member][1])
        out.append(result[split][best][member][1])
    return out


def draw(results: dict[str, dict], out: Path) -> None:
    """Four panels, all with 64 channels, 2 layers and equal steps within a panel."""
    figure, axes = plt.subplots(1, 4, figsize=(12.0, 3.0), layout="constrained")
    for axis, (group, (title, split)) in zip(axes, PANELS.items(), strict=True):
        top = 0.0
        for name, result in results.items():
            set_name, core = name.split(" ", 1)
            if set_name != group or core not in SHADES:
                continue
            cost = (result["per_edge"] * result["neighbors"] + result["per_atom"]) / 1e6
            errors = force_errors(result, split)
            axis.plot([cost] * len(errors), errors, "o", color=SHADES[core])
            axis.annotate(
                core,
                (cost, errors[0]),
                textcoords="offset points",
                xytext=(6, -9 if core == "lin" else 3),
                color=SHADES[core],
            )
            top = max(top, *errors)
            steps = result["steps"]
        axis.set_ylim(0.0, 1.12 * top)
        axis.set_xlim(0.0, axis.get_xlim()[1] * 1.15)
        axis.set_title(f"{title}, {steps} steps", fontsize=9)
        axis.set_xlabel("million multiply-adds per atom")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("F RMSE, meV/Å")
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    merged: dict[str, dict] = {}
    for path in arguments.results:
        merged |= json.loads(path.read_text())
    draw(merged, arguments.out)
