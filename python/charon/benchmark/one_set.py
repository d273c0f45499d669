"""One set of a benchmark: a folder with its files, a run directory, and what the test says."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from charon.benchmark.archive import split
from charon.benchmark.published import QUANTITIES, Errors, ReferenceSet
from charon.data import fingerprint, write_structures
from charon.errors import ConfigError
from charon.metrics import overall
from charon.run_directory import RunDirectory
from charon.structure import Structure
from charon.train import resume, train_from_file

VALIDATION = 0.05
MOST_EPOCHS = 2000
"""So many that the minutes end the training."""


@dataclass(frozen=True)
class Options:
    """What decides a training beside the data."""

    minutes: float
    preset: str | None
    seed: int
    overrides: tuple[str, ...] = ()

    def words(self) -> list[str]:
        """The overrides of the configuration."""
        return [*([f"model.preset={self.preset}"] if self.preset else []), *self.overrides]


def train_set(
    known: ReferenceSet, structures: Sequence[Structure], options: Options, folder: Path, console: Console
) -> bool:
    """Trains, or goes on where an earlier call stopped; False if it was interrupted.

    The folder gets train.xyz.gz and test.xyz.gz, the configuration <set>.yaml, the run directory run/ and
    benchmark.json, which says what it was made with.

    Raises:
        ConfigError: the folder belongs to other options or data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDirectory(folder / "run")
    made_with = {**asdict(options), "overrides": list(options.overrides), "data": fingerprint(structures)}
    note = folder / "benchmark.json"
    if run.evaluation.is_file() or run.checkpoint("last").is_file():
        check_same(note, made_with)
        return run.evaluation.is_file() or not resume(run.path, console=console).interrupted
    note.write_text(json.dumps(made_with, indent=1) + "\n", encoding="utf-8")
    if run.path.exists():
        shutil.rmtree(run.path)
    for name, part in zip(("train", "test"), split(structures, options.seed), strict=True):
        write_structures(folder / f"{name}.xyz.gz", part)
    config = folder / f"{known.name}.yaml"
    config.write_text(yaml.safe_dump(configuration(known, options), sort_keys=False), encoding="utf-8")
    return not train_from_file(config, options.words(), run_directory=run.path, console=console).interrupted


def check_same(note: Path, made_with: dict[str, Any]) -> None:
    """Compare with the note of what a training was begun with.

    Raises:
        ConfigError: naming what differs.
    """
    before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    changes = [f"{key} {before.get(key)!r}, now {now!r}" for key, now in made_with.items() if before.get(key) != now]
    if changes:
        raise ConfigError(
            f"{note.parent}: was begun with something else: {', '.join(changes)}. Give it again, or another --output."
        )


def configuration(known: ReferenceSet, options: Options) -> dict[str, Any]:
    """The configuration of a set, before overrides."""
    return {
        "data": {"train": "train.xyz.gz", "validation": VALIDATION, "test": "test.xyz.gz"},
        "model": {"size": "medium"},
        "training": {
            "seed": options.seed,
            "epochs": MOST_EPOCHS,
            "max_minutes": options.minutes,
            "batch_size": known.batch_size,
        },
    }


def errors_on_test(folder: Path) -> Errors:
    """RMSE of a finished run on its test set, in the order of `QUANTITIES`; None for what it does not predict."""
    rows = overall(RunDirectory(folder / "run").read_evaluation()[0]["test"])
    energy, forces, charges = (rows[name].rmse if name in rows else None for name, _, _ in QUANTITIES)
    return energy, forces, charges
