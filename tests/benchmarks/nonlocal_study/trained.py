"""The runs of `presets/run.py` by set and preset, as potentials to ask."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from ase import Atoms

from charon.batch import collate, make_graph
from charon.model import Potential, Prediction, evaluate
from charon.structure import Structure
from charon.train.checkpoint import load_run

from ..presets.jobs import Job
from ..presets.plan import MODELS
from ..presets.run import ROOT
from ..presets.sets import SETS


@dataclass(frozen=True)
class Trained:
    """Finished runs of one set and one length."""

    set: str
    minutes: float
    seed: int
    runs: Path

    def potential(self, preset: str) -> Potential:
        """In double precision. Ends the program with the command that trains it if there is no such run."""
        job = Job(SETS[self.set], MODELS[preset], self.minutes, self.seed, self.runs)
        if not (job.folder / "record.json").is_file():
            words = f"--sets {self.set} --presets {preset} --minutes {self.minutes:g} --seeds {self.seed}"
            raise SystemExit(f"{job.title} has not ended; python -m tests.benchmarks.presets.run {words}")
        return load_run(job.folder / "run")[0].double()

    @property
    def about(self) -> dict[str, object]:
        """For the file of results."""
        return {"set": self.set, "minutes": self.minutes, "seed": self.seed}


def predict(potential: Potential, atoms: Atoms) -> Prediction:
    """Of one structure that carries its charge and multiplicity."""
    structure = Structure.from_atoms(atoms, source="study")
    graph = make_graph(structure, potential.elements, potential.cutoff)
    return evaluate(potential, collate([graph], torch.float64))


def options(about: str | None, presets: str) -> argparse.Namespace:
    """The command line of a study of finished runs."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default=presets, help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=2.0, help="of the runs, default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "presets", help="folder of the runs")
    return parser.parse_args()
