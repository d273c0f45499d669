"""Predictions for labelled structures, their errors, and a file that leads from an outlier to its frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console

from charon.batch import Batch, collate, make_graphs
from charon.data import read_structures
from charon.errors import DataError
from charon.metrics import ErrorRow, error_table, worst_frames
from charon.model import Potential, Prediction, evaluate
from charon.state import DefaultSpin
from charon.structure import Structure
from charon.tables import table_of_errors, table_of_outliers

Arrays = dict[str, np.ndarray]
PREFIX = "pred_"


@dataclass(frozen=True)
class Predictor:
    """A model that can be evaluated, trained just now, read from a run or from an exported file."""

    evaluate: Callable[[Batch], Prediction]
    elements: Sequence[int]
    cutoff: float
    dtype: torch.dtype
    electronic: bool = True
    """Whether charges and spins are predicted."""

    @classmethod
    def of_potential(cls, potential: Potential) -> "Predictor":
        """Of a potential, in the dtype of its weights."""
        dtype = next(potential.parameters()).dtype
        electronic = potential.config.electronic != "none"
        return cls(lambda batch: evaluate(potential, batch), potential.elements, potential.cutoff, dtype, electronic)


def plain_or_terminal() -> Console:
    """A console for tables: as wide as the terminal, or 120 columns where there is none."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def load_predictor(path: str | Path) -> Predictor:
    """A run directory, a checkpoint, or a file written by `charon export`. Raises ModelFileError."""
    path = Path(path)
    if path.is_dir() or path.parent.name == "checkpoints":
        from charon.train.checkpoint import load_run

        return Predictor.of_potential(load_run(path)[0])
    from charon.export import load_model

    model = load_model(path)
    electronic = model.metadata["electronic"] != "none"
    return Predictor(model.evaluate, model.elements, model.cutoff, model.dtype, electronic)


def predict(
    predictor: Predictor,
    structures: Sequence[Structure],
    batch_size: int = 16,
    progress: Callable[[int], None] | None = None,
) -> list[Arrays]:
    """Predicted labels of each structure; `progress` is called with the number of structures done.

    Raises DataError for a structure with an element that the model does not know.
    """
    found: list[Arrays] = []
    for start in range(0, len(structures), batch_size):
        part = structures[start : start + batch_size]
        batch = collate(make_graphs(part, list(predictor.elements), predictor.cutoff), predictor.dtype)
        found += split_prediction(predictor.evaluate(batch), batch, predictor.electronic)
        if progress is not None:
            progress(len(found))
    return found


def split_prediction(prediction: Prediction, batch: Batch, electronic: bool = True) -> list[Arrays]:
    """The labels of each system of a batch as arrays; stress of periodic cells, dipole of molecules only."""
    atoms = batch.n_atoms.tolist()
    energy = prediction.energy.detach().numpy()
    per_atom = {"forces": prediction.forces}
    if electronic:
        per_atom |= {"charges": prediction.charges, "spins": prediction.spins}
    parts = {name: np.split(value.detach().numpy(), np.cumsum(atoms)[:-1]) for name, value in per_atom.items()}
    stress, dipole = prediction.stress.detach().numpy(), prediction.dipole.detach().numpy()
    found: list[Arrays] = []
    for i, pbc in enumerate(batch.pbc.numpy()):
        arrays = {"energy": energy[i], **{name: value[i] for name, value in parts.items()}}
        if pbc.all():
            arrays["stress"] = stress[i]
        if not pbc.any():
            arrays["dipole"] = dipole[i]
        found.append(arrays)
    return found


def write_predictions(path: str | Path, structures: Sequence[Structure], predictions: Sequence[Arrays]) -> None:
    """Extended XYZ with reference labels, `pred_<label>`, and `source`: the file and frame of origin."""
    frames: list[Atoms] = []
    for structure, prediction in zip(structures, predictions, strict=True):
        atoms = structure.to_atoms()
        atoms.info["source"] = structure.source
        for label, value in prediction.items():
            array = np.asarray(value, dtype=np.float64)
            if label in ("forces", "charges", "spins"):
                atoms.set_array(PREFIX + label, array)
            else:
                atoms.info[PREFIX + label] = float(array) if array.ndim == 0 else array
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")


def read_predictions(path: str | Path) -> tuple[list[Structure], list[Arrays]]:
    """What `write_predictions` wrote."""
    structures: list[Structure] = []
    predictions: list[Arrays] = []
    for index, atoms in enumerate(ase.io.read(path, index=":", format="extxyz")):
        source = str(atoms.info.get("source", f"{path}, frame {index}"))
        everything: dict[str, Any] = {**atoms.info, **atoms.arrays}
        arrays = {key: np.asarray(value) for key, value in everything.items() if key.startswith(PREFIX)}
        predictions.append({key.removeprefix(PREFIX): value for key, value in arrays.items()})
        structures.append(Structure.from_atoms(atoms, source=source))
    return structures, predictions


def evaluate_file(
    model: str | Path,
    data: str | Path,
    *,
    output: str | Path | None = None,
    batch_size: int = 16,
    charge: int | None = None,
    spin: DefaultSpin = None,
    console: Console | None = None,
) -> list[ErrorRow]:
    """`charon eval`: prints errors per property and system and the worst frames, writes the predictions."""
    console = console or plain_or_terminal()
    predictor = load_predictor(model)
    structures = read_structures(data, default_charge=charge, default_spin=spin)
    if not any(structure.labels for structure in structures):
        raise DataError(f"{data}: no frame has a label to compare with; expected energy, forces, stress, charges ...")
    with console.status(f"{len(structures)} structures"):
        predictions = predict(predictor, structures, batch_size)
    rows = error_table(structures, predictions)
    console.print(table_of_errors(rows, title=f"{model} on {data}"))
    console.print(table_of_outliers(worst_frames(structures, predictions)))
    if output is not None:
        write_predictions(output, structures, predictions)
        console.print(f"reference and prediction of each frame: {output}", soft_wrap=True)
    return rows
