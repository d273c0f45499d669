"""Dimers of charged, polar and apolar fragments, trained 5 to 12 A apart and asked 12 to 15 A apart.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.nonlocal_study.lode [--variants nse full --seeds 0 --steps 1000]

Six dimers in one training, eight of the ten frames of each; the other two, the farthest but one and one in the middle,
choose the weights. Cutoff 4 A, batches of 12, two trainings at a time. Labels are energies and forces: charges of ions
have to be found from them. The fragments do not turn: only the distance changes. Runs go to runs/lode, figures to
results/lode.json.
"""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from charon import Calculator

from ..frames import data_file, read_frames
from ..presets.run import ROOT
from .runs import Run, keep, study

RESULTS = Path(__file__).parents[1] / "results" / "lode.json"
WORK = ROOT / "runs" / "lode"
DIMERS = (0, 2, 3, 4, 5, 6)
HELD_OUT = (4, 8)
"""Frames of each dimer that choose the weights."""
VARIANTS = {
    "local": ("model.preset=local",),
    "default": (),
    "nse": ("model.preset=nse",),
    "nse-free": ("model.preset=nse", "model.charge_form=free"),
    "qeq": ("model.preset=qeq",),
    "learned": ("model.preset=learned",),
    "full": ("model.preset=full",),
    "full-free": ("model.preset=full", "model.charge_form=free"),
    "attention": ("model.preset=learned", "model.nonlocal=attention"),
    "full-attention": ("model.preset=full", "model.nonlocal=[propagator,attention]"),
    "spooky": ("model.preset=spooky", "model.nonlocal=spooky"),
}
TRAINING = ("model.cutoff=4.0", "training.batch_size=12", "loss.charges=0", "loss.dipole=0")


def frames(split: str, dimer: int) -> list[Atoms]:
    """Frames of a dimer, near to far."""
    return read_frames(data_file(f"lode/{split}-id{dimer}.xyz.xz"))


def files() -> tuple[Path, Path]:
    """Training and validation frames of all dimers, as files of the work folder."""
    WORK.mkdir(parents=True, exist_ok=True)
    for name, wanted in (("train", False), ("val", True)):
        chosen = [a for d in DIMERS for i, a in enumerate(frames("train", d)) if (i in HELD_OUT) == wanted]
        ase.io.write(WORK / f"{name}.xyz", chosen, format="extxyz")
    return WORK / "train.xyz", WORK / "val.xyz"


def errors(calculator: Calculator, dimer: int) -> dict[str, float]:
    """RMSE on far frames, energy (meV) and forces (meV/A), change of the energy over them, and the true ones.

    The energy's error about its mean is that of its shape: a dimer's energies far apart have a common part.
    """
    energies, forces = [], []
    for frame in frames("test", dimer):
        atoms = frame.copy()
        atoms.calc = calculator
        energies.append((atoms.get_potential_energy(), frame.get_potential_energy()))
        forces.append(atoms.get_forces() - frame.get_forces())
    predicted, true = 1e3 * np.array(energies).T
    return {
        "energy": float(np.sqrt(np.mean((predicted - true) ** 2))),
        "forces": 1e3 * float(np.sqrt(np.mean(np.square(forces)))),
        "shape": float(np.std(predicted - true)),
        "true_forces": 1e3 * float(np.sqrt(np.mean([frame.get_forces() ** 2 for frame in frames("test", dimer)]))),
        "change": float(predicted[-1] - predicted[0]),
        "true_change": float(true[-1] - true[0]),
    }


def attend(run: Run) -> None:
    """Trains, judges and records one run."""
    calculator = Calculator(run.model())
    names = {d: frames("test", d)[0].info["dimer"] for d in DIMERS}
    found: dict[str, Any] = {names[d]: errors(calculator, d) for d in DIMERS}
    text = ", ".join(
        f"{name} {e['change']:.0f} ({e['true_change']:.0f})/{e['forces']:.1f}" for name, e in found.items()
    )
    print(f"{run.variant}, seed {run.seed}: change, meV, and forces, meV/A: {text}", flush=True)
    keep(RESULTS, {**run.key, "dimers": found})


if __name__ == "__main__":
    study(__doc__, VARIANTS, attend, files, WORK, TRAINING, (0,), 1000)
