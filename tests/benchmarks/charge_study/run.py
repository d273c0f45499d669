"""Charges that flow along bonds next to plain equilibration, where the two part: dissociation and long chains.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.charge_study.run [--minutes 3]
    python -m tests.benchmarks.charge_study.report

Trains `qeq` with both charge solvers on Na8Cl8+ and Na9Cl8+, with 300 clusters that lose a sodium, and on C10H2 and
C10H3+; then pulls NaCl apart, pulls a sodium ion out of a Na9Cl8+ of the test set, and lets a polyyne grow. GFN2-xTB,
which labelled the sets, is asked for the same. The runs go to runs/charge_physics, figures to
results/charge_physics.json; `report.py` makes charge_physics.md and .png of them.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import Bohr, Hartree

from charon.batch import collate, make_graph
from charon.data.engine import NotConverged, TbliteEngine
from charon.model import Potential
from charon.model.response import polarizability
from charon.structure import Structure
from charon.train.checkpoint import load_run
from charon.units import COULOMB

from ...molecules import polyyne
from ..presets.jobs import Job, Length
from ..presets.plan import Preset
from ..presets.run import ROOT, attend
from ..presets.sets import SETS, Set

RESULTS = Path(__file__).parents[1] / "results" / "charge_physics.json"
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
N_PULLED = 300
FIELD = 1e-3
"""V/A, for the reference's polarizability."""

Curves = dict[str, list[float | None]]


def pair(distance: float) -> Atoms:
    """NaCl, its bond longer by `distance` than 2.36 A."""
    return Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.36 + distance]], info={"charge": 0, "spin": 1})


@cache
def salt() -> Atoms:
    """The first Na9Cl8+ of the test set."""
    frames = ase.io.iread(SETS["nacl"].paths(WORK / "sets")["test"], ":")
    return next(a for a in frames if a.symbols.count("Na") == 9)


def cluster(distance: float, atoms: Atoms | None = None) -> Atoms:
    """A Na9Cl8+ whose outermost sodium, atom 0, is moved outwards."""
    atoms = atoms or salt()
    sodium = [i for i, symbol in enumerate(atoms.symbols) if symbol == "Na"]
    middle = atoms.positions.mean(axis=0)
    first = max(sodium, key=lambda i: float(np.linalg.norm(atoms.positions[i] - middle)))
    order = [first, *(i for i in range(len(atoms)) if i != first)]
    moved = Atoms(atoms.numbers[order], atoms.positions[order], info={"charge": 1, "spin": 1})
    outwards = moved.positions[0] - middle
    moved.positions[0] += distance * outwards / np.linalg.norm(outwards)
    return moved


def salt_set() -> Set:
    """The salt clusters with labelled clusters that lose a sodium among the training frames."""
    files = SETS["nacl"].paths(WORK / "sets")
    target = WORK / "salt_train.xyz"
    if not target.is_file():
        frames = ase.io.read(files["train"], ":")
        random, engine = np.random.default_rng(0), TbliteEngine(REFERENCE)
        whole = [a for a in frames if a.symbols.count("Na") == 9]
        for index in random.choice(len(whole), N_PULLED, replace=False):
            atoms = cluster(float(random.uniform(0.5, 12.0)), whole[index])
            try:
                labels = engine.single_point(atoms, 1, 1)
            except NotConverged:
                continue
            atoms.calc = SinglePointCalculator(atoms, **{k: labels[k] for k in ("energy", "forces", "charges")})
            frames.append(atoms)
        ase.io.write(target, frames, format="extxyz")
    names = tuple(str(path) for path in (target, files["validation"], files["test"]))
    return replace(SETS["nacl"], name="salt", files=names)


def batch_for(potential: Potential, atoms: Atoms) -> Any:
    """A batch of one structure, float64."""
    structure = Structure.from_atoms(atoms, source="charge_physics")
    return collate([make_graph(structure, potential.elements, potential.cutoff)], torch.float64)


def model_curves(on_salt: Path, on_chains: Path) -> Curves:
    """Charge of the sodium atom in both scans, e, and polarizability per carbon along the chain, A^3."""
    clusters, chains = (load_run(path)[0].double() for path in (on_salt, on_chains))

    def charge(atoms: Atoms) -> float:
        with torch.no_grad():
            return float(clusters(*batch_for(clusters, atoms).inputs())[1][0, 0])

    along = [float(polarizability(chains, batch_for(chains, polyyne(n)))[2, 2]) / n for n in CARBONS]
    return {
        "pair": [charge(pair(d)) for d in PULLED],
        "cluster": [charge(cluster(d)) for d in PULLED],
        "chain": [COULOMB * a for a in along],  # e A^2/V to A^3
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
        "chain": [reference_answer(polyyne(n)) / n for n in CARBONS],
    }


def reference_answer(atoms: Atoms) -> float:
    """Polarizability of the atomic charges along z, A^3."""
    from tblite.interface import Calculator
    from tblite.library import ffi  # `add` wants a pointer for a field

    moments = []
    for field in (FIELD, -FIELD):
        calculator = Calculator(REFERENCE, atoms.numbers, atoms.positions / Bohr)
        calculator.set("verbosity", 0)
        calculator.add("electric-field", ffi.new("double[3]", [0.0, 0.0, field * Bohr / Hartree]))  # atomic units
        moments.append(float(calculator.singlepoint()["charges"] @ atoms.positions[:, 2]))
    return abs(moments[0] - moments[1]) / (2.0 * FIELD) * COULOMB


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="of training per run, default: %(default)s")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    sets = (salt_set(), SETS["carbon_chain"])
    jobs = [Job(of, solver, Length(options.minutes), 0, WORK) for solver in SOLVERS for of in sets]
    with ThreadPoolExecutor(2) as pool:
        records = list(pool.map(lambda job: attend(job, WORK / "runs.json"), jobs))
    curves = {}
    for solver in SOLVERS:
        on_salt, on_chains = (job.folder / "run" for job in jobs if job.model is solver)
        curves[solver.name] = model_curves(on_salt, on_chains)
    curves[REFERENCE] = reference_curves()
    shares = [r["cpu_minutes"] / r["wall_minutes"] for r in records if r is not None]
    found = {
        "core_shares": shares,
        "pulled": PULLED.tolist(),
        "carbons": list(CARBONS),
        "minutes": options.minutes,
        "curves": curves,
    }
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
