"""What a training says of itself: introduction, rows of metrics.csv, columns of the display."""

from collections.abc import Sequence
from typing import Any

from charon.metrics import overall
from charon.structure import Structure
from charon.train.checkpoint import Checkpoint
from charon.train.dataset import SETS, DataSets
from charon.train.loop import Trainer, Validation
from charon.train.loss import Loss, Scales
from charon.train.references import reference_lines
from charon.train.schedule import energy_weight


def metrics_row(trainer: Trainer, validation: Validation | None, train_loss: float) -> dict[str, Any]:
    """A row of metrics.csv; `train_loss` is the mean of the epochs since the row before."""
    at = trainer.at
    row: dict[str, Any] = {
        "epoch": at.epoch,
        "step": at.step,
        "minutes": at.minutes,
        "learning_rate": trainer.learning_rate.at(trainer.progress),
        "energy_weight": energy_weight(trainer.loss.config, trainer.progress),
        "gradient_norm": trainer.limit.mean,
        "skipped_steps": at.skipped,
        "train_loss": train_loss,
    }
    if validation is not None:
        row["validation_loss"] = validation.score
        for name, errors in overall(validation.rows).items():
            row[f"{name} MAE [{errors.unit}]"] = errors.mae
            row[f"{name} RMSE [{errors.unit}]"] = errors.rmse
    return row


def columns_shown(trainer: Trainer, validated: bool) -> list[tuple[str, str, str]]:
    """Columns of the display: the errors (MAE) of what the validation set has."""
    columns = [("epoch", "", "epoch"), ("rate", "", "learning_rate"), ("train", "loss", "train_loss")]
    if validated:
        columns.append(("valid.", "loss", "validation_loss"))
    labels = {label for structure in trainer.validation for label in structure.labels}
    shown = [
        ("energy", "energy per atom", "meV/atom"),
        ("forces", "forces", "meV/A"),
        ("stress", "stress", "meV/A^3"),
    ]
    if trainer.config.model.electronic != "none":
        shown += [("charges", "charges", "me"), ("spins", "spins", "m mu_B")]
    columns += [(label, unit, f"{name} MAE [{unit}]") for label, name, unit in shown if label in labels]
    return columns


def introduction(start: Checkpoint, sets: DataSets, rest: Sequence[Structure]) -> list[str]:
    """Lines said before the first step: sets, reference energies with warnings, weights of the loss.

    `rest`: the training set as the reference energies were fitted to it, see `without_empirical`.
    """
    lines = []
    description = sets.describe()
    for name in SETS:
        content = description[name]
        labels = ", ".join(content["labels"]) or "no labels"
        lines.append(f"{name:<10} {content['frames']:6d} frames, {content['atoms']:8d} atoms: {labels}")
    table, warnings = reference_lines(rest, start.elements, start.statistics)
    weights = {name: value for name, value in Loss(start.config.loss, Scales()).weights.items()}
    lines += ["", *table, *(f"WARNING: {warning}" for warning in warnings), ""]
    lines.append("loss weights: " + ", ".join(f"{name} {value:g}" for name, value in weights.items()))
    if start.config.model.electronic == "none":
        lines.append("blind: total charge and spin are withheld from the model")
    return lines
