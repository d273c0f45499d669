"""The run directory: where each file is, what it is, and the table metrics.csv."""

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from charon.errors import ConfigError, ModelFileError
from charon.metrics import ErrorRow

FILES = {
    "config.yaml": "the configuration, defaults and overrides written out",
    "split.json": "files, counts and the source of every frame of each set",
    "log.txt": "what was printed",
    "metrics.csv": "one row per validation",
    "checkpoints/best.pt": "weights of the lowest validation loss: what eval and export use",
    "checkpoints/last.pt": "where `charon resume` continues",
    "evaluation.json": "errors of each set, per property and per system",
    "predictions/": "reference and prediction of each frame, extended XYZ",
    "plots/": "learning curves, parity, errors",
    "report.html": "all of it on one page",
}


class RunDirectory:
    """Paths of a run and the reading and writing of its small files."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.split = self.path / "split.json"
        self.log = self.path / "log.txt"
        self.metrics = self.path / "metrics.csv"
        self.evaluation = self.path / "evaluation.json"
        self.report = self.path / "report.html"
        self.checkpoints = self.path / "checkpoints"
        self.predictions = self.path / "predictions"
        self.plots = self.path / "plots"

    @classmethod
    def create(cls, path: str | Path | None, name: str) -> "RunDirectory":
        """A new directory: `path`, or runs/<name>-<number> with the first free number.

        Raises ConfigError if `path` holds something already.
        """
        if path is None:
            taken = [int(tail) for p in Path("runs").glob(f"{name}-*") if (tail := p.name[len(name) + 1 :]).isdigit()]
            path = Path("runs") / f"{name}-{max(taken, default=0) + 1}"
        run = cls(path)
        if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
            raise ConfigError(
                f"{run.path}: exists already and is not empty; choose another --run-dir, or continue it with "
                f"`charon resume {run.path}`"
            )
        for folder in (run.path, run.checkpoints, run.predictions, run.plots):
            folder.mkdir(parents=True, exist_ok=True)
        return run

    @classmethod
    def existing(cls, path: str | Path) -> "RunDirectory":
        """A run that was begun before. Raises ModelFileError if the directory is none."""
        run = cls(path)
        if not run.config.is_file():
            raise ModelFileError(f"{path}: is no run directory (it has no config.yaml)")
        return run

    def checkpoint(self, which: str) -> Path:
        """Path of the checkpoint `best` or `last`."""
        return self.checkpoints / f"{which}.pt"

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Adds a row to metrics.csv; the first row makes the heading."""
        new = not self.metrics.is_file()
        with self.metrics.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow({key: f"{value:.8g}" if isinstance(value, float) else value for key, value in row.items()})

    def read_metrics(self) -> list[dict[str, float]]:
        """Rows of metrics.csv; empty before the first validation."""
        if not self.metrics.is_file():
            return []
        with self.metrics.open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]

    def forget_metrics_after(self, step: int) -> None:
        """Drops rows that lie beyond a checkpoint, so that a continued run has each epoch once."""
        if not self.metrics.is_file():
            return
        with self.metrics.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
        column = lines[0].index("step")
        kept = [lines[0], *(line for line in lines[1:] if int(line[column]) <= step)]
        with self.metrics.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(kept)

    def save_evaluation(self, rows: dict[str, list[ErrorRow]], extra: dict[str, Any]) -> None:
        """Writes evaluation.json: errors by set, and what the report says about the run."""
        content = {"errors": {name: [asdict(row) for row in table] for name, table in rows.items()}, **extra}
        self.evaluation.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def read_evaluation(self) -> tuple[dict[str, list[ErrorRow]], dict[str, Any]]:
        """What `save_evaluation` wrote. Raises ModelFileError before the training has ended."""
        if not self.evaluation.is_file():
            raise ModelFileError(
                f"{self.path}: the training has not ended (no evaluation.json); continue it with "
                f"`charon resume {self.path}`"
            )
        content = json.loads(self.evaluation.read_text(encoding="utf-8"))
        errors = content.pop("errors")
        return {name: [ErrorRow(**row) for row in table] for name, table in errors.items()}, content

    def overview(self) -> list[str]:
        """A line on what each existing file is."""
        existing = [name for name in FILES if (self.path / name).exists()]
        return [f"{self.path}/", *(f"  {name:<20} {FILES[name]}" for name in existing)]
