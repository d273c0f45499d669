"""Au2 on MgO(001): does aluminium deep in the oxide decide whether the dimer stands or lies, and does a model know?

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.nonlocal_study.wetting --set aumgo4g --presets local,qeq,learned,full --steps 3000
    python -m tests.benchmarks.nonlocal_study.wetting --set au_mgo --presets local,qeq,learned,full --steps 1500

Takes the runs of `presets/run.py` on slabs of PBE (`aumgo4g`, 12 frames to train on) or GFN1-xTB (`au_mgo`, 101),
begins or continues those that are missing, and asks for E(lying) - E(standing) of the four relaxed slabs in `n2p2/`,
which no training saw, and for the charges of gold there. Then LAMMPS minimises slabs of four times the area, on two
ranks, from both places of the dimer. Figures go to results/wetting.json.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

from charon import Calculator
from charon.data.engine import TbliteEngine
from charon.export import export_run

from ..frames import data_file, read_frame
from ..presets.jobs import Job, Length
from ..presets.plan import MODELS
from ..presets.run import ROOT, attend
from ..presets.sets import SETS

RESULTS = Path(__file__).parents[1] / "results" / "wetting.json"
TRAININGS = RESULTS.with_name("wetting_trainings.json")
WORK = ROOT / "runs" / "wetting"
BIN = Path(sys.executable).parent
ELEMENTS = ("O", "Mg", "Al", "Au")
SLABS = {"standing": "1", "lying": "3"}
DOPINGS = ("doped", "undoped")
Figures = dict[str, Any]
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
write_dump all custom {end} id element x y z modify sort id element {elements}
"""


def slab(place: str, doping: str) -> Atoms:
    """A relaxed slab of `n2p2/` with its labels (PBE, Hirshfeld charges)."""
    found = read_frame(data_file(f"n2p2/aumgo_opt_{SLABS[place]}-{doping}.xyz.xz"))
    found.info.update(charge=0, spin=1)
    return found


def gold(atoms: Atoms) -> list[int]:
    """The two atoms of the dimer."""
    return [i for i, symbol in enumerate(atoms.symbols) if symbol == "Au"]


def differences(labels: Callable[[Atoms], tuple[float, np.ndarray | None]]) -> Figures:
    """E(lying) - E(standing), eV, and mean charge of gold, e, from energy and charges of each slab."""
    found: Figures = {"gold": {}}
    for doping in DOPINGS:
        energies = {}
        for place in SLABS:
            atoms = slab(place, doping)
            energies[place], charges = labels(atoms)
            if charges is not None:
                found["gold"][f"{place} {doping}"] = float(charges[gold(atoms)].mean())
        found[doping] = energies["lying"] - energies["standing"]
    return found


def reference(name: str) -> Figures:
    """By the method of the set: PBE as in the files, or GFN1-xTB at 1000 K, read again if it stands."""
    if name == "aumgo4g":
        return differences(lambda atoms: (atoms.get_potential_energy(), atoms.get_charges()))
    path = WORK / "gfn1.json"
    if not path.is_file():
        engine = TbliteEngine("GFN1-xTB", electronic_temperature=1000.0)

        def labels(atoms: Atoms) -> tuple[float, np.ndarray]:
            found = engine.single_point(atoms, 0, 1)
            return float(found["energy"]), found["charges"]

        WORK.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(differences(labels)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def predicted(model: Path) -> Figures:
    """The same by a model; no charges from one that has none."""
    calculator = Calculator(model)

    def labels(atoms: Atoms) -> tuple[float, np.ndarray | None]:
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, info=atoms.info)
        bare.calc = calculator
        energy = bare.get_potential_energy()
        return energy, calculator.results.get("charges")

    return differences(labels)


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
    assert energies is not None
    end = read_frame(folder / "end.dump", format="lammps-dump-text")
    own = np.array(gold(atoms)).reshape(4, 2)
    bonds = [end.get_distance(a, b, mic=True, vector=True) for a, b in own]
    tilt = [np.degrees(np.arccos(min(1.0, abs(v[2]) / np.linalg.norm(v)))) for v in bonds]
    length = [float(np.linalg.norm(v)) for v in bonds]
    return {"energy": float(energies.group(3)) / 4, "tilt": float(np.mean(tilt)), "bond": float(np.mean(length))}


def study(job: Job, steps: int) -> Figures:
    """A model's figures."""
    model = WORK / f"{job.set.name}-{job.model.name}-{job.length.steps}-{job.seed}.pt"
    WORK.mkdir(parents=True, exist_ok=True)
    export_run(job.folder / "run", model)
    found = {"preset": job.model.name, "seed": job.seed, "steps": job.length.steps, **predicted(model)}
    state = "" if job.model.name == "local" else " charge 0 spin 1"
    relaxed = {f"{p} {d}": relax(model, p, d, steps, state) for d in DOPINGS for p in SLABS}
    for doping in DOPINGS:
        change = relaxed[f"lying {doping}"]["energy"] - relaxed[f"standing {doping}"]["energy"]
        found[f"relaxed {doping}"] = change
    return {**found, "slabs": relaxed}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="aumgo4g", choices=("aumgo4g", "au_mgo"), help="default: %(default)s")
    parser.add_argument("--presets", default="local,qeq,learned,full", help="default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    parser.add_argument("--steps", type=int, default=3000, help="of training per run, default: %(default)s")
    parser.add_argument("--relax", type=int, default=200, help="steps of minimisation, default: %(default)s")
    options = parser.parse_args()
    models = [MODELS[name] for name in options.presets.split(",")]
    work, length = ROOT / "runs" / "presets", Length(steps=options.steps)
    jobs = [Job(SETS[options.set], model, length, seed, work) for model in models for seed in options.seeds]
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda job: attend(job, TRAININGS), jobs))
    for job in (job for job, record in zip(jobs, ended, strict=True) if record is not None and "error" not in record):
        print(keep(job, study(job, options.relax)), flush=True)


def place_of(figures: Figures) -> tuple[int, int, int]:
    """Of a model in the table."""
    return list(MODELS).index(figures["preset"]), figures["steps"], figures["seed"]


def keep(job: Job, figures: Figures) -> Figures:
    """Puts a model's figures into the file, in place of those of the same preset, seed and steps, and returns them."""
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    entry = known.setdefault(job.set.name, {"models": []})
    entry["reference"] = reference(job.set.name)
    entry["models"] = [m for m in entry["models"] if place_of(m) != place_of(figures)] + [figures]
    entry["models"].sort(key=place_of)
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    main()
