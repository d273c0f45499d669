"""The runs of `presets/run.py` by set and preset, as potentials to ask."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from ase import Atoms

from charon.batch import collate, make_graphs
from charon.model import Potential, Prediction, evaluate
from charon.structure import Structure
from charon.train.checkpoint import load_run

from ..presets.jobs import Job, Length
from ..presets.plan import MODELS
from ..presets.run import ROOT
from ..presets.sets import SETS


@dataclass(frozen=True)
class Trained:
    """Finished runs of one set and one number of steps."""

    set: str
    steps: int
    seeds: tuple[int, ...]
    runs: Path

    def potentials(self, preset: str) -> list[Potential]:
        """One per seed, in double precision. Ends the program with the command that trains what is missing."""
        jobs = [Job(SETS[self.set], MODELS[preset], Length(steps=self.steps), seed, self.runs) for seed in self.seeds]
        for job in jobs:
            if not (job.folder / "record.json").is_file():
                words = f"--sets {self.set} --presets {preset} --steps {self.steps} --seeds {job.seed}"
                raise SystemExit(f"{job.title} has not ended; python -m tests.benchmarks.presets.run {words}")
        return [load_run(job.folder / "run")[0].double() for job in jobs]

    @property
    def about(self) -> dict[str, object]:
        """For the file of results."""
        return {"set": self.set, "steps": self.steps, "seeds": self.seeds}


def predict(potential: Potential, atoms: Atoms) -> Prediction:
    """Of one structure that carries its charge and multiplicity."""
    return predict_all(potential, [atoms])


def predict_all(potential: Potential, frames: Sequence[Atoms]) -> Prediction:
    """Of several in one batch."""
    structures = [Structure.from_atoms(atoms, source="study") for atoms in frames]
    return evaluate(potential, collate(make_graphs(structures, potential.elements, potential.cutoff), torch.float64))


def options(about: str | None, presets: str) -> argparse.Namespace:
    """The command line of a study of finished runs."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default=presets, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=1000, help="of the runs, default: %(default)s")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "presets", help="folder of the runs")
    return parser.parse_args()
