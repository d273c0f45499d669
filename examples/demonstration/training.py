"""Two trainings at the same time, one core each, and one live display of both."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from charon.run_directory import RunDirectory
from charon.train.config import Config
from charon.train.config_file import load_config
from charon.train.progress import clock
from demonstration.processes import Process

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_LINES = 20.0


@dataclass(frozen=True)
class Training:
    """A configuration and the directory of its run.

    Args:
        name: what the display calls it.
        path: the YAML file.
        overrides: `key=value` as on the command line.
        run: the run directory.
    """

    name: str
    path: Path
    overrides: tuple[str, ...]
    run: RunDirectory

    @cached_property
    def config(self) -> Config:
        """The configuration with its overrides."""
        return load_config(self.path, self.overrides)

    @cached_property
    def inputs(self) -> list[str | Path]:
        """All that the trained weights depend on, apart from the installed libraries."""
        import charon

        package = Path(charon.__file__).parent
        config = self.config
        files = [*config.data.train, *_paths(config.data.validation), *_paths(config.data.test)]
        return [config.model_dump_json(), *files, package / "model", package / "train"]

    def start(self) -> Process:
        """Starts the training, or continues one that was interrupted."""
        self.run.path.parent.mkdir(parents=True, exist_ok=True)
        if self.run.checkpoint("last").is_file() and not self.run.evaluation.is_file():
            arguments = ["resume", self.run.path]
        else:
            shutil.rmtree(self.run.path, ignore_errors=True)
            arguments = ["train", self.path, *self.overrides, "--run-dir", self.run.path]
        command = [sys.executable, "-m", "charon.cli", *arguments]
        return Process(command, self.run.path.with_name(f"{self.name}.out"))


def _paths(value: float | tuple[Path, ...]) -> tuple[Path, ...]:
    return () if isinstance(value, float) else value


@dataclass(frozen=True)
class Look:
    """How far a training is: fraction in [0, 1], minutes gone and left, and its last row of metrics.csv."""

    state: str
    fraction: float
    minutes: float
    minutes_left: float | None
    row: dict[str, float]


def look(training: Training, running: bool) -> Look:
    """Reads how far a training is from the files of its run directory."""
    run = training.run
    rows = run.read_metrics()
    if not running:
        return Look("done", 1.0, rows[-1]["minutes"] if rows else 0.0, None, rows[-1] if rows else {})
    if not rows:
        return Look("reads the data", 0.0, 0.0, None, {})
    if run.evaluation.is_file() or any(run.predictions.glob("*.xyz")):
        return Look("evaluates", 1.0, rows[-1]["minutes"], None, rows[-1])
    since = (time.time() - run.metrics.stat().st_mtime) / 60
    minutes = rows[-1]["minutes"] + since
    fraction = min(0.999, progress(rows[-1], training.config) * minutes / rows[-1]["minutes"])
    return Look("trains", fraction, minutes, minutes * (1 / fraction - 1), rows[-1])


def progress(row: dict[str, float], config: Config) -> float:
    """Fraction of a training that is done at a row of metrics.csv: by epochs or by time, what ends first."""
    done = row["epoch"] / config.training.epochs
    if config.training.max_minutes is not None:
        done = max(done, row["minutes"] / config.training.max_minutes)
    return min(1.0, done)


def train_together(trainings: Sequence[Training], console: Console) -> None:
    """Runs all trainings at once and shows their progress until the last has ended.

    Raises CharonError if one of them fails; the others are stopped then.
    """
    processes = [training.start() for training in trainings]
    try:
        if console.is_terminal:
            _show_live(trainings, processes, console)
        else:
            _show_lines(trainings, processes, console)
    finally:
        for process in processes:
            process.stop()


def _look_at_all(trainings: Sequence[Training], processes: Sequence[Process]) -> tuple[list[Look], bool]:
    running = [process.running() for process in processes]
    return [look(*pair) for pair in zip(trainings, running, strict=True)], any(running)


def _show_live(trainings: Sequence[Training], processes: Sequence[Process], console: Console) -> None:
    with Live(console=console, refresh_per_second=4) as live:
        busy = True
        while busy:
            looks, busy = _look_at_all(trainings, processes)
            live.update(table(trainings, looks))
            time.sleep(SECONDS_BETWEEN_LOOKS if busy else 0.0)


def _show_lines(trainings: Sequence[Training], processes: Sequence[Process], console: Console) -> None:
    printed: dict[str, str] = {}
    last, busy = time.monotonic(), True
    while busy:
        looks, busy = _look_at_all(trainings, processes)
        if not busy or time.monotonic() - last > SECONDS_BETWEEN_LINES:
            for training, seen in zip(trainings, looks, strict=True):
                text = line(training.name, seen)
                if printed.get(training.name) != text:
                    console.print(text, highlight=False, soft_wrap=True)
                printed[training.name] = text
            last = time.monotonic()
        time.sleep(SECONDS_BETWEEN_LOOKS if busy else 0.0)


HEADINGS = (
    ("epoch", "", "epoch"),
    ("training", "loss", "train_loss"),
    ("validation", "loss", "validation_loss"),
    ("energy", "meV/atom", "energy per atom MAE [meV/atom]"),
    ("forces", "meV/Å", "forces MAE [meV/A]"),
)


def table(trainings: Sequence[Training], looks: Sequence[Look]) -> Table:
    """A row for each training: bar, time, losses and the errors (MAE) of its validation set."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("", "", "gone", ""):
        found.add_column(name, no_wrap=True)
    for name, unit, _ in HEADINGS:
        found.add_column(f"{name}\n[dim]{unit}[/dim]", justify="right")
    for training, seen in zip(trainings, looks, strict=True):
        bar = ProgressBar(total=1.0, completed=seen.fraction, width=24)
        found.add_row(training.name, bar, clock(seen.minutes), _left(seen), *_values(seen))
    return found


def line(name: str, seen: Look) -> str:
    """The same as plain text."""
    values = [
        f"{heading} {value}{f' {unit}' if unit and unit != 'loss' else ''}"
        for (heading, unit, _), value in zip(HEADINGS, _values(seen), strict=True)
        if value != "-"
    ]
    return ", ".join([f"{name}: {clock(seen.minutes)} gone, {_left(seen)}", *values])


def _left(seen: Look) -> str:
    return seen.state if seen.minutes_left is None else f"{clock(seen.minutes_left)} left"


def _values(seen: Look) -> list[str]:
    return [f"{seen.row[key]:.4g}" if key in seen.row else "-" for _, _, key in HEADINGS]
