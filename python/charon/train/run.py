"""A training from the configuration to the report: what `charon train` and `charon resume` do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from charon.batch import make_graphs
from charon.data import labels_present
from charon.errors import DataError
from charon.evaluate import plain_or_terminal
from charon.model import statistics
from charon.run_directory import RunDirectory
from charon.train.checkpoint import Checkpoint, fresh_potential, load_checkpoint, save_checkpoint
from charon.train.config import Config
from charon.train.config_file import load_config, save_config
from charon.train.dataset import SETS, DataSets, read_sets, save_split
from charon.train.finish import finish
from charon.train.loop import Hooks, Trainer, TrainingError, Validation
from charon.train.loss import Loss, Scales, label_scales, resolve_weights
from charon.train.progress import Display
from charon.train.references import without_empirical
from charon.train.words import columns_shown, introduction, metrics_row


@dataclass(frozen=True)
class Outcome:
    """The run directory, and whether the training was interrupted before its end."""

    run_directory: Path
    interrupted: bool


def train_from_file(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    run_directory: str | Path | None = None,
    blind: bool = False,
    console: Console | None = None,
) -> Outcome:
    """`charon train`: trains what a YAML file describes, see `load_config` and `train`."""
    name = Path(path).stem + ("-blind" if blind else "")
    return train(load_config(path, overrides, blind), name=name, run_directory=run_directory, console=console)


def train(
    config: Config,
    *,
    name: str = "run",
    run_directory: str | Path | None = None,
    console: Console | None = None,
) -> Outcome:
    """Trains, evaluates and reports; everything is left in the run directory.

    Raises ConfigError, DataError and TrainingError, all of them CharonError.
    """
    console = console or plain_or_terminal()
    torch.set_num_threads(config.training.threads)
    sets = read_sets(config.data, config.training.seed)
    elements = sets.elements()
    loss_config = resolve_weights(config.loss, sets.train, config.model.electronic != "none")
    config = config.model_copy(update={"loss": loss_config})
    rest = without_empirical(sets.train, elements, config.model)
    reference = statistics(rest, elements, config.model.cutoff)
    scales = label_scales(rest, elements, reference.reference_energies)
    run = RunDirectory.create(run_directory, name)
    save_config(config, run.config)
    save_split(sets, config.data, run.split)
    start = Checkpoint(config, elements, reference, scales.as_dict(), _info(sets, elements), {})
    for line in introduction(start, sets, rest):
        _say(console, run, line)
    return _continue(run, start, sets, console)


def resume(path: str | Path, *, console: Console | None = None) -> Outcome:
    """`charon resume`: continues a run from checkpoints/last.pt, bit for bit on the same machine.

    Raises ModelFileError for a directory that is no run, DataError if the data are not what they were.
    """
    console = console or plain_or_terminal()
    run = RunDirectory.existing(path)
    checkpoint = load_checkpoint(run.checkpoint("last"))
    torch.set_num_threads(checkpoint.config.training.threads)
    sets = read_sets(checkpoint.config.data, checkpoint.config.training.seed)
    if sets.fingerprints() != checkpoint.info["fingerprints"]:
        raise DataError(_changed(sets, checkpoint, run))
    run.forget_metrics_after(checkpoint.training["position"]["step"])
    position = checkpoint.training["position"]
    _say(
        console,
        run,
        f"continues after step {position['step']} of {position['planned']}, epoch {position['epoch']}",
    )
    return _continue(run, checkpoint, sets, console)


def _continue(run: RunDirectory, checkpoint: Checkpoint, sets: DataSets, console: Console) -> Outcome:
    config, elements = checkpoint.config, checkpoint.elements
    graphs = [make_graphs(s, elements, config.model.cutoff) for s in (sets.train, sets.validation)]
    make_graphs(sets.test, elements, config.model.cutoff)
    potential = fresh_potential(config, elements, checkpoint.statistics)
    trainer = Trainer(potential, config, Loss(config.loss, Scales(**checkpoint.scales)), *graphs)
    if checkpoint.training:
        trainer.load_state_dict(checkpoint.training)
    with Display(columns_shown(trainer, bool(sets.validation)), run.log, console) as display:
        try:
            done = trainer.run(_hooks(run, checkpoint, display))
        except TrainingError as error:
            display.write_log(str(error))
            raise
    if not done:
        _say(console, run, f"interrupted; continue with: charon resume {run.path}")
        return Outcome(run.path, interrupted=True)
    finish(run, sets, console)
    return Outcome(run.path, interrupted=False)


def _hooks(run: RunDirectory, start: Checkpoint, display: Display) -> Hooks:
    def save(trainer: Trainer, which: str) -> None:
        state = trainer.state_dict()
        save_checkpoint(
            Checkpoint(start.config, start.elements, start.statistics, start.scales, start.info, state),
            run.checkpoint(which),
        )

    def step(trainer: Trainer, loss: float) -> None:
        at = trainer.at
        display.step(at.step, at.planned, at.minutes, trainer.minutes_left(), loss)

    def epoch(trainer: Trainer, validation: Validation | None, train_loss: float, last: bool) -> None:
        row = metrics_row(trainer, validation, train_loss)
        run.append_metrics(row)
        best = validation is not None and trainer.at.best_epoch == trainer.at.epoch
        display.validated({**row, "best": best}, trainer.minutes_left(), last)

    return Hooks(step, epoch, save)


def _info(sets: DataSets, elements: Sequence[int]) -> dict[str, Any]:
    charges = [s.total_charge for s in sets.train]
    spins = [s.spin_multiplicity for s in sets.train]
    return {
        "data_fingerprint": sets.fingerprint(),
        "fingerprints": sets.fingerprints(),
        "charge_range": [min(charges), max(charges)],
        "spin_range": [min(spins), max(spins)],
        "frames": {name: len(getattr(sets, name)) for name in SETS},
        "labels": labels_present(sets.train),
        "elements": list(elements),
    }


def _changed(sets: DataSets, checkpoint: Checkpoint, run: RunDirectory) -> str:
    before, now = checkpoint.info["fingerprints"], sets.fingerprints()
    frames = checkpoint.info["frames"]
    changed = [f"{s} ({frames[s]} frames then, {len(getattr(sets, s))} now)" for s in SETS if before[s] != now[s]]
    return (
        f"{run.path}: the data have changed since this run began: {', '.join(changed)}; it cannot go on. "
        f"Restore the files named in {run.split}, or begin a new run with `charon train`"
    )


def _say(console: Console, run: RunDirectory, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
    with run.log.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
