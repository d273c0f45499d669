"""Charges that flow along bonds next to plain equilibration, where the two part: dissociation and long chains.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.charge_physics [--minutes 3]

Trains `qeq` with both charge solvers on Na8Cl8+ and Na9Cl8+, and on C10H2 and C10H3+, then pulls NaCl apart, pulls
a sodium ion out of Na9Cl8+, and lets a polyyne grow. GFN2-xTB, which labelled the sets, is asked for the same. The runs
go to runs/charge_physics, figures to results/charge_physics.json, page and plot to charge_physics.md and .png.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ase.io
import matplotlib
import numpy as np
import torch
from ase import Atoms

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from charon.batch import collate, make_graph  # noqa: E402
from charon.data.engine import NotConverged, TbliteEngine  # noqa: E402
from charon.model import Potential  # noqa: E402
from charon.model.response import polarizability  # noqa: E402
from charon.structure import Structure  # noqa: E402
from charon.train.checkpoint import load_run  # noqa: E402

from .presets.jobs import Job  # noqa: E402
from .presets.plan import Preset  # noqa: E402
from .presets.run import ROOT, attend  # noqa: E402
from .presets.sets import SETS  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "charge_physics.json"
WORK = ROOT / "runs" / "charge_physics"
SOLVERS = (
    Preset("qeq-flow", "charges flow along bonds", ("model.preset=qeq",)),
    Preset(
        "qeq-equilibration",
        "one common electronegativity",
        ("model.preset=qeq", "model.charge_solver=equilibration"),
    ),
)
PULLED = np.concatenate([np.arange(0.0, 5.0, 0.5), np.arange(5.0, 21.0, 1.0)])
"""A, from where the bond is."""
CARBONS = (4, 6, 8, 10, 12, 16, 20, 26, 32)
REFERENCE = "GFN2-xTB"
FIELD = 1e-3
"""V/A, for the reference's polarizability."""

Curves = dict[str, list[float | None]]


def pair(distance: float) -> Atoms:
    """NaCl, its bond longer by `distance` than 2.36 A."""
    return Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.36 + distance]], info={"charge": 0, "spin": 1})


def cluster(distance: float) -> Atoms:
    """A Na9Cl8+ of the test set whose outermost sodium, atom 0, is moved outwards."""
    frames = ase.io.read(SETS["nacl"].paths(WORK / "sets")["test"], ":")
    atoms = next(a for a in frames if a.symbols.count("Na") == 9)
    sodium = [i for i, symbol in enumerate(atoms.symbols) if symbol == "Na"]
    middle = atoms.positions.mean(axis=0)
    first = max(sodium, key=lambda i: float(np.linalg.norm(atoms.positions[i] - middle)))
    order = [first, *(i for i in range(len(atoms)) if i != first)]
    moved = Atoms(atoms.numbers[order], atoms.positions[order], info={"charge": 1, "spin": 1})
    outwards = moved.positions[0] - middle
    moved.positions[0] += distance * outwards / np.linalg.norm(outwards)
    return moved


def polyyne(carbons: int) -> Atoms:
    """C_nH2, triple bonds of 1.21 A and single ones of 1.36 A between."""
    lengths = [1.21 if k % 2 == 0 else 1.36 for k in range(carbons - 1)]
    z = np.concatenate([[0.0], np.cumsum(lengths)])
    z = np.concatenate([z, [-1.06, z[-1] + 1.06]])
    return Atoms(f"C{carbons}H2", [[0, 0, h] for h in z], info={"charge": 0, "spin": 1})


def batch_for(potential: Potential, atoms: Atoms) -> Any:
    """A batch of one structure, float64."""
    structure = Structure.from_atoms(atoms, source="charge_physics")
    return collate([make_graph(structure, potential.elements, potential.cutoff)], torch.float64)


def model_curves(on_salt: Path, on_chains: Path) -> Curves:
    """Charge of the sodium atom in both scans, e, and polarizability per carbon along the chain, A^3."""
    salt, chains = (load_run(path)[0].double() for path in (on_salt, on_chains))

    def charge(atoms: Atoms) -> float:
        with torch.no_grad():
            return float(salt(*batch_for(salt, atoms).inputs())[1][0, 0])

    along = [float(polarizability(chains, batch_for(chains, polyyne(n)))[2, 2]) / n for n in CARBONS]
    return {
        "pair": [charge(pair(d)) for d in PULLED],
        "cluster": [charge(cluster(d)) for d in PULLED],
        "chain": [14.3996 * a for a in along],  # e A^2/V to A^3
    }


def reference_curves() -> Curves:
    """The same by tight binding; None where it does not converge. The chain's answer is that of its atomic charges."""
    engine = TbliteEngine(REFERENCE)

    def charge(atoms: Atoms) -> float | None:
        try:
            labels = engine.single_point(atoms, atoms.info["charge"], atoms.info["spin"])
        except NotConverged:
            return None
        return float(labels["charges"][0])

    return {
        "pair": [charge(pair(d)) for d in PULLED],
        "cluster": [charge(cluster(d)) for d in PULLED],
        "chain": [reference_answer(engine, polyyne(n)) / n for n in CARBONS],
    }


def reference_answer(engine: TbliteEngine, atoms: Atoms) -> float:
    """Polarizability of the atomic charges along z, A^3."""
    from tblite.library import ffi  # its `add` wants a pointer for a field

    moments = []
    for field in (FIELD, -FIELD):
        calculator = engine._calculator(atoms, 0, 1)
        calculator.add("electric-field", ffi.new("double[3]", [0.0, 0.0, field / 51.42206748]))  # atomic units
        moments.append(float(calculator.singlepoint()["charges"] @ atoms.positions[:, 2]))
    return abs(moments[0] - moments[1]) / (2.0 * FIELD) * 14.3996


PAGE = """\
# Charges at dissociation and in long chains

![charges of sodium and polarizability of chains](charge_physics.png)

Preset `qeq` with both charge solvers, trained for {minutes:g} minutes on Na8Cl8+ and Na9Cl8+ (left, middle) and on
C10H2 and C10H3+ (right), seed 0, one thread; GFN2-xTB labelled the sets. Lone NaCl, parted clusters and chains of other
lengths were in no training. Response to a field was not trained at all. Columns: charge of Na in NaCl at {last:.1f} Å
and of a sodium {pulled:.0f} Å from its place in Na9Cl8+, e; α_zz of the atomic charges per carbon, Å³.

| | NaCl | Na9Cl8+ | C{short}H2 | C{long}H2 |
|---|---|---|---|---|
{rows}

Plain equilibration levels the electronegativities of atoms however far apart, so charge stays on parted atoms and the
response of a chain grows with its length as a metal's. Charges that flow along bonds only (`charge_solver: flow`, what
`qeq` has) stop where bonds end.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.charge_physics --minutes {minutes:g}
"""


def page(curves: dict[str, Curves], minutes: float) -> str:
    """The table of both ends, with what it means."""
    rows = []
    for model, found in curves.items():
        ends = [found["pair"][-1], found["cluster"][-1], found["chain"][0], found["chain"][-1]]
        rows.append(f"| {model} | " + " | ".join("-" if v is None else f"{v:.3g}" for v in ends) + " |")
    last, pulled = 2.36 + PULLED[-1], PULLED[-1]
    short, long = CARBONS[0], CARBONS[-1]
    return PAGE.format(minutes=minutes, last=last, pulled=pulled, short=short, long=long, rows="\n".join(rows))


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
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="of training per run, default: %(default)s")
    options = parser.parse_args()
    sets = (SETS["nacl"], SETS["carbon_chain"])
    jobs = [Job(of, solver, options.minutes, 0, WORK) for solver in SOLVERS for of in sets]
    WORK.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: attend(job, WORK / "runs.json"), jobs))
    curves = {}
    for solver in SOLVERS:
        on_salt, on_chains = (job.folder / "run" for job in jobs if job.model is solver)
        curves[solver.name] = model_curves(on_salt, on_chains)
    curves[REFERENCE] = reference_curves()
    found = {"pulled": PULLED.tolist(), "carbons": list(CARBONS), "minutes": options.minutes, "curves": curves}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    target = Path(__file__).with_suffix(".md")
    target.write_text(page(curves, options.minutes), encoding="utf-8")
    draw(curves, target.with_suffix(".png"))
    print(f"wrote {target.name}")


if __name__ == "__main__":
    main()
