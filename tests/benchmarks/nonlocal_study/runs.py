"""Trainings of equal steps on one thread, kept and continued; what the studies of this folder share."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..presets.run import ROOT

COMMON = ("training.ema_decay=0.99", "training.validate_every=20", "training.checkpoint_every=20")
Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A variant with a seed; the files and overrides of its study beside."""

    variant: str
    seed: int
    steps: int
    work: Path
    train: Path
    validation: Path
    overrides: Sequence[str]

    @property
    def key(self) -> Record:
        """What tells this run from others of the study."""
        return {"variant": self.variant, "seed": self.seed, "steps": self.steps}

    @property
    def folder(self) -> Path:
        words = self.variant.replace(", ", "-").replace(" ", "_")
        return self.work / f"{words}-seed{self.seed}-{self.steps}"

    def model(self) -> Path:
        """Trains, or goes on where a training ended, and exports; the exported file if it is there already."""
        model = self.folder.with_suffix(".pt")
        if model.is_file():
            return model
        charon = [sys.executable, "-m", "charon.cli"]
        begin = [*charon, "train", str(self._base()), *self._settings(), "--run-dir", str(self.folder)]
        started = (self.folder / "checkpoints" / "last.pt").is_file()
        train = [*charon, "resume", str(self.folder)] if started else begin
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        for words in (train, [*charon, "export", str(self.folder), "-o", str(model)]):
            with self.folder.with_suffix(".log").open("a") as log:
                subprocess.run(words, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)
        return model

    def _base(self) -> Path:
        base = self.work / "base.yaml"
        base.write_text(f"data: {{train: {self.train}}}\n", encoding="utf-8")
        return base

    def _settings(self) -> list[str]:
        own = [f"data.validation={self.validation}", f"training.seed={self.seed}", f"training.steps={self.steps}"]
        return [*own, *COMMON, *self.overrides]


def keep(results: Path, record: Record) -> None:
    """Puts a record into the file of a study in place of one of the same run."""
    known = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else []
    key = ("variant", "seed", "steps")
    known = [r for r in known if [r[k] for k in key] != [record[k] for k in key]]
    results.write_text(json.dumps([*known, record], indent=1) + "\n", encoding="utf-8")


def study(
    about: str | None,
    variants: Mapping[str, Sequence[str]],
    attend: Callable[[Run], None],
    files: Callable[[], tuple[Path, Path]],
    work: Path,
    common: Sequence[str],
    seeds: Sequence[int],
    steps: int,
) -> None:
    """The command line of a study: every variant and seed, some at a time; `seeds` and `steps` are defaults."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(variants), choices=list(variants), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(seeds))
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--parallel", type=int, default=2)
    options = parser.parse_args()
    paths = files()
    runs = [
        Run(variant, seed, options.steps, work, *paths, (*common, *variants[variant]))
        for variant in options.variants
        for seed in options.seeds
    ]
    with ThreadPoolExecutor(options.parallel) as pool:
        list(pool.map(attend, runs))
