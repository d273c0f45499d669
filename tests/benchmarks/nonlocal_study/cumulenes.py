"""Cumulenes C_nH4, whose energy follows the dihedral angle of ends up to 14 A apart: can a model know?

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.nonlocal_study.cumulenes                     all variants, three seeds
    python -m tests.benchmarks.nonlocal_study.cumulenes --variants learned --seeds 0 --steps 3000

Trains on the lengths 3-10, 13 and 14 of `cumulene/` and asks for the dihedral scan of C12H4, a length that training
never saw, and for the sign of E(88 degrees) - E(2 degrees) of ideal chains of 4 to 20 carbons, which alternates. Equal
steps, one thread, two trainings at a time. Two frames near 180 degrees (n = 9 of train, n = 13 of val) are left out:
the reference method jumps there by 0.4-0.5 eV. The runs go to runs/cumulenes, figures to results/cumulenes.json; a run
that has ended is not repeated.
"""

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from charon import Calculator

from ...molecules import cumulene
from ..frames import data_file, read_frames
from ..presets.run import ROOT
from .runs import Run, keep, study

RESULTS = Path(__file__).parents[1] / "results" / "cumulenes.json"
WORK = ROOT / "runs" / "cumulenes"
VARIANTS = {
    "local": ("model.preset=local", "model.dispersion=null"),
    "default": (),
    "nse": ("model.preset=nse",),
    "learned": ("model.preset=learned",),
    "full": ("model.preset=full",),
    "attention": ("model.preset=learned", "model.nonlocal=attention"),
    "full-attention": ("model.preset=full", "model.nonlocal=[propagator,attention]"),
    "spooky attention": ("model.preset=learned", "model.nonlocal=spooky"),
    "learned, 10 steps": ("model.preset=learned", "model.propagator_steps=10"),
    "learned, 4 channels": ("model.preset=learned", "model.propagator_channels=4"),
    "learned, tensors only": ("model.preset=learned", "model.propagator_ranks=[2]"),
}
TRAINING = ("model.cutoff=3.5", "training.batch_size=10")
LEFT_OUT = {("train", 9), ("val", 13)}
"""Split and length whose frame beyond 175 degrees is left out."""
LENGTHS = range(4, 21)


def split(name: str) -> Path:
    """A split of the set with total charge and spin, as a file of the work folder."""
    path = WORK / f"{name}.xyz"
    if not path.is_file():
        frames = read_frames(data_file(f"cumulene/{name}.xyz.xz"))
        kept = [a for a in frames if (name, a.info["nC"]) not in LEFT_OUT or a.info["phi"] < 175.0]
        for atoms in kept:
            atoms.info.update(charge=0, spin=1)
        WORK.mkdir(parents=True, exist_ok=True)
        ase.io.write(path.with_suffix(".partial"), kept, format="extxyz")
        path.with_suffix(".partial").replace(path)
    return path


def energies(calculator: Calculator, frames: list[Atoms]) -> np.ndarray:
    """Predicted energies, eV."""
    found = []
    for frame in frames:
        atoms = Atoms(frame.numbers, frame.positions, info={"charge": 0, "spin": 1})
        atoms.calc = calculator
        found.append(atoms.get_potential_energy())
    return np.array(found)


def figures(model: Path) -> dict[str, Any]:
    """Validation RMSE, RMSE of the scan about its mean and its barrier (meV), and the differences by length (meV)."""
    calculator = Calculator(model)
    held_out = read_frames(split("val"))
    scan = read_frames(data_file("cumulene/angle_scan_n12.xyz.xz"))
    errors = energies(calculator, held_out) - [a.get_potential_energy() for a in held_out]
    reference = np.array([a.get_potential_energy() for a in scan])
    predicted = energies(calculator, scan)
    difference = (predicted - predicted.mean()) - (reference - reference.mean())
    turned = {n: 1e3 * float(np.diff(energies(calculator, [cumulene(n, 2.0), cumulene(n, 88.0)]))[0]) for n in LENGTHS}
    return {
        "validation_mev": 1e3 * float(np.sqrt(np.mean(errors**2))),
        "scan_mev": 1e3 * float(np.sqrt(np.mean(difference**2))),
        "barrier_mev": 1e3 * float(predicted[-1] - predicted[0]),
        "scan": [1e3 * float(e - predicted[0]) for e in predicted],
        "reference": [1e3 * float(e - reference[0]) for e in reference],
        "angles": [float(a.info["phi"]) for a in scan],
        "turned_mev": turned,
        "wrong_signs": [n for n, change in turned.items() if (change > 0) != (n % 2 == 0)],
    }


def attend(run: Run) -> None:
    """Trains, judges and records one run."""
    found = figures(run.model())
    print(
        f"{run.variant}, seed {run.seed}, {run.steps} steps: val {found['validation_mev']:.1f}, "
        f"scan {found['scan_mev']:.1f}, barrier {found['barrier_mev']:.0f} meV, wrong signs {found['wrong_signs']}",
        flush=True,
    )
    keep(RESULTS, {**run.key, **found})


if __name__ == "__main__":
    study(__doc__, VARIANTS, attend, lambda: (split("train"), split("val")), WORK, TRAINING, (0, 1, 2), 3000)
