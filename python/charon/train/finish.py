"""After the last step: errors of every set with the averaged weights, predictions, plots, report."""

from typing import Any

import torch
from ase.data import chemical_symbols
from rich.console import Console

from charon import __version__
from charon.evaluate import Predictor, predict, write_predictions
from charon.metrics import ErrorRow, error_table, worst_frames
from charon.model import Potential
from charon.report import write_run_report
from charon.run_directory import RunDirectory
from charon.tables import table_of_errors, table_of_outliers, table_of_sets
from charon.train.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from charon.train.dataset import SETS, DataSets, spread

TRAIN_FRAMES_EVALUATED = 500


def finish(run: RunDirectory, sets: DataSets, console: Console) -> None:
    """Evaluates the best checkpoint and writes evaluation.json, predictions, plots and report.html."""
    checkpoint = load_checkpoint(checkpoint_path(run.path))
    potential = checkpoint.potential()
    predictor = Predictor.of_potential(potential)
    errors: dict[str, list[ErrorRow]] = {}
    for name in [name for name in SETS if getattr(sets, name)]:
        structures = getattr(sets, name)
        if name == "train":
            structures = [structures[i] for i in spread(structures, TRAIN_FRAMES_EVALUATED)]
        with console.status(f"evaluates the {name} set"):
            predictions = predict(predictor, structures)
        errors[name] = error_table(structures, predictions)
        write_predictions(run.predictions / f"{name}.xyz", structures, predictions)
        outliers = worst_frames(structures, predictions, count=3)
    console.print(table_of_sets(errors))
    console.print(table_of_errors(errors[name], title=f"{name} set"))
    console.print(table_of_outliers(outliers))
    run.save_evaluation(errors, _about(checkpoint, potential))
    with console.status("draws the report"):
        write_run_report(run.path)
    for line in run.overview():
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _about(checkpoint: Checkpoint, potential: Potential) -> dict[str, Any]:
    """What the report says about a run beside its errors."""
    position = checkpoint.training["position"]
    symbols = [chemical_symbols[z] for z in checkpoint.elements]
    return {
        "reference_energies": dict(zip(symbols, checkpoint.statistics.reference_energies, strict=True)),
        "parameters": sum(parameter.numel() for parameter in potential.parameters()),
        "checkpoint": {key: position[key] for key in ("epoch", "step", "minutes")},
        "scales": checkpoint.scales,
        "data": checkpoint.info,
        "versions": {"charon": __version__, "torch": str(torch.__version__)},
    }
