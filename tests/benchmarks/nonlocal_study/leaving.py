"""How much of the carbenes' energy error is one hydrogen that leaves.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.presets.run --sets carbenes --presets nse,learned,full,spooky --steps 1000 --seeds 0 1 2
    python -m tests.benchmarks.nonlocal_study.leaving --steps 1000

The trajectory of CClNH2- falls apart, and its test frames are the end of it: Cl at 2.5 A and a hydrogen atom that is
farther from all others than in any frame of training. Takes the finished runs and gives the errors on these frames and
on all others. Figures go to results/leaving.json.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from charon.model import Potential

from ..frames import read_frames
from ..presets.sets import SETS
from .trained import Trained, options, predict_all

RESULTS = Path(__file__).parents[1] / "results" / "leaving.json"
TOGETHER = 64
"""Frames of a batch."""
Figures = dict[str, float]


def gap(atoms: Atoms) -> float:
    """Distance of the most lonely atom from its nearest neighbor, A."""
    distances = atoms.get_all_distances() + np.where(np.eye(len(atoms)), np.inf, 0.0)
    return float(distances.min(axis=1).max())


def rms(values: np.ndarray) -> float:
    """In thousandths."""
    return 1e3 * float(np.sqrt(np.mean(np.square(values))))


def errors(potential: Potential, frames: list[Atoms]) -> tuple[np.ndarray, np.ndarray]:
    """Of the energy per atom by frame, eV, and of the forces, eV/A."""
    energies, forces = [], []
    for start in range(0, len(frames), TOGETHER):
        chosen = frames[start : start + TOGETHER]
        found = predict_all(potential, chosen)
        true, atoms = np.array([a.get_potential_energy() for a in chosen]), np.array([len(a) for a in chosen])
        energies.append((found.energy.numpy() - true) / atoms)
        forces.append((found.forces.numpy() - np.concatenate([a.get_forces() for a in chosen])).ravel())
    return np.concatenate(energies), np.concatenate(forces)


def judge(potential: Potential, left: list[Atoms], others: list[Atoms]) -> Figures:
    """Errors of energy, meV/atom, and forces, meV/A, of both parts, and of the energy of the whole."""
    (gone, gone_forces), (rest, rest_forces) = errors(potential, left), errors(potential, others)
    return {
        "all": rms(np.concatenate([gone, rest])),
        "others": rms(rest),
        "others_forces": rms(rest_forces),
        "left": rms(gone),
        "left_forces": rms(gone_forces),
    }


def main() -> None:
    """Command line."""
    chosen = options(__doc__, "nse,learned,full,spooky")
    trained = Trained("carbenes", chosen.steps, tuple(chosen.seeds), chosen.runs)
    files = SETS["carbenes"].paths(chosen.runs / "sets")
    widest = max(map(gap, read_frames(files["train"])))
    test = read_frames(files["test"])
    left, others = [a for a in test if gap(a) > widest], [a for a in test if gap(a) <= widest]
    about = {"frames": len(left), "of": len(test), "systems": sorted({a.info["system"] for a in left})}
    found: dict[str, Any] = {**trained.about, **about, "widest": widest, "presets": {}}
    for preset in chosen.presets.split(","):
        found["presets"][preset] = [judge(p, left, others) for p in trained.potentials(preset)]
        print(preset, found["presets"][preset], flush=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
