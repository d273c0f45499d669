"""Au2 on MgO(001): does aluminium deep in the oxide decide whether the dimer stands or lies, and does a model know?

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.nonlocal_study.wetting --presets local,qeq,learned,full --steps 4000

Takes the runs of `presets/run.py` on `au_mgo` (GFN1-xTB), begins or continues those that are missing, and asks for
E(lying) - E(standing) of the relaxed slabs in `n2p2/`, labelled anew by GFN1-xTB, and for the charges of gold on the
test frames. Then LAMMPS minimises slabs of four times the area, on two ranks, from both places of the dimer. Figures go
to results/wetting.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

from charon import Calculator
from charon.data.engine import TbliteEngine
from charon.export import export_run

from ..accuracy.sets import DATA
from ..presets.jobs import Job
from ..presets.plan import MODELS
from ..presets.run import ROOT, attend
from ..presets.sets import SETS

RESULTS = Path(__file__).parents[1] / "results" / "wetting.json"
TRAININGS = RESULTS.with_name("wetting_trainings.json")
WORK = ROOT / "runs" / "wetting"
BIN = Path(sys.executable).parent
ELEMENTS = ("O", "Mg", "Al", "Au")
SLABS = {"standing": "1", "lying": "3"}
INPUT = """
units metal
atom_style charge
read_data {data}
pair_style charon {model}{state}
pair_coeff * * {elements}
neighbor 1.0 bin
thermo 20
min_style fire
minimize 0 0.02 {steps} 2000
write_dump all custom {end} id x y z modify sort id
"""


def slab(place: str, doping: str) -> Atoms:
    """A relaxed slab of `n2p2/`, without labels."""
    found = ase.io.read(Path(os.environ[DATA]) / "n2p2" / f"aumgo_opt_{SLABS[place]}-{doping}.xyz.xz")
    return Atoms(found.numbers, found.positions, cell=found.cell, pbc=True, info={"charge": 0, "spin": 1})


def reference() -> dict[str, float]:
    """E(lying) - E(standing) by GFN1-xTB at 1000 K, eV."""
    engine = TbliteEngine("GFN1-xTB", electronic_temperature=1000.0)

    def energy(place: str, doping: str) -> float:
        return float(engine.single_point(slab(place, doping), 0, 1)["energy"])

    return {doping: energy("lying", doping) - energy("standing", doping) for doping in ("doped", "undoped")}


def gold(atoms: Atoms) -> list[int]:
    """The two atoms of the dimer."""
    return [i for i, symbol in enumerate(atoms.symbols) if symbol == "Au"]


def predicted(model: Path) -> dict[str, Any]:
    """The same by a model, and RMSE of gold's charges with their means with and without aluminium (e)."""
    calculator = Calculator(model)

    def energy(place: str, doping: str) -> float:
        atoms = slab(place, doping)
        atoms.calc = calculator
        return float(atoms.get_potential_energy())

    found: dict[str, Any] = {d: energy("lying", d) - energy("standing", d) for d in ("doped", "undoped")}
    charges: dict[str, list[np.ndarray]] = {"doped": [], "undoped": []}
    for frame in ase.io.read(SETS["au_mgo"].paths(WORK)["test"], ":"):
        atoms = frame.copy()
        atoms.calc = calculator
        own = gold(atoms)
        charges[frame.info["system"]].append(np.stack([atoms.get_charges()[own], frame.get_charges()[own]]))
    everything = np.concatenate([np.stack(rows) for rows in charges.values()])  # [n_frames, 2, 2]
    found["gold_rmse"] = float(np.sqrt(np.mean((everything[:, 0] - everything[:, 1]) ** 2)))
    found["gold"] = {name: np.stack(rows).mean(axis=(0, 2)).tolist() for name, rows in charges.items()}
    return found


def relax(model: Path, place: str, doping: str, steps: int, state: str) -> dict[str, float]:
    """Minimises four slabs side by side in LAMMPS: energy per dimer, and how the dimers lie (0 standing, 90 lying)."""
    folder = WORK / f"{model.stem}-{place}-{doping}"
    folder.mkdir(parents=True, exist_ok=True)
    atoms = slab(place, doping).repeat((2, 2, 1))
    write_lammps_data(folder / "slab.data", atoms, specorder=list(ELEMENTS), atom_style="charge", masses=True)
    words = {"data": "slab.data", "model": model.resolve(), "state": state, "elements": " ".join(ELEMENTS)}
    (folder / "in.slab").write_text(INPUT.format(**words, steps=steps, end="end.dump"), encoding="utf-8")
    done = subprocess.run(
        [BIN / "mpiexec", "-n", "2", BIN / "lmp", "-in", "in.slab", "-log", "none"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    energies = re.search(r"Energy initial, next-to-last, final =\s+(\S+)\s+(\S+)\s+(\S+)", done.stdout)
    end = ase.io.read(folder / "end.dump", format="lammps-dump-text")
    assert energies is not None
    own = np.array(gold(atoms)).reshape(4, 2)
    bonds = [end.get_distance(a, b, mic=True, vector=True) for a, b in own]
    tilt = [np.degrees(np.arccos(min(1.0, abs(v[2]) / np.linalg.norm(v)))) for v in bonds]
    return {"energy": float(energies.group(3)) / 4, "tilt": float(np.mean(tilt))}


def study(job: Job, steps: int) -> dict[str, Any]:
    """A model's figures."""
    model = WORK / f"{job.model.name}-{job.steps}.pt"
    WORK.mkdir(parents=True, exist_ok=True)
    export_run(job.folder / "run", model)
    found = {"preset": job.model.name, "steps": job.steps, **predicted(model)}
    state = "" if job.model.name == "local" else " charge 0 spin 1"
    relaxed = {f"{p} {d}": relax(model, p, d, steps, state) for d in ("doped", "undoped") for p in SLABS}
    for doping in ("doped", "undoped"):
        change = relaxed[f"lying {doping}"]["energy"] - relaxed[f"standing {doping}"]["energy"]
        found[f"relaxed {doping}"] = change
    return {**found, "slabs": relaxed}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="local,qeq,learned,full", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=4000, help="of training per run, default: %(default)s")
    parser.add_argument("--relax", type=int, default=200, help="steps of minimisation, default: %(default)s")
    options = parser.parse_args()
    models = [MODELS[name] for name in options.presets.split(",")]
    jobs = [Job(SETS["au_mgo"], model, 60.0, 0, ROOT / "runs" / "presets", steps=options.steps) for model in models]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: attend(job, TRAININGS), jobs))
    found: dict[str, Any] = {"GFN1-xTB": reference(), "models": []}
    for job in jobs:
        found["models"].append(study(job, options.relax))
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(found["models"][-1], flush=True)


if __name__ == "__main__":
    main()
