"""Reads an exported file, checks its version and runs its golden sample."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_numbers

from charon import __version__
from charon.batch import Batch
from charon.errors import ModelFileError
from charon.export.golden import check_golden_sample
from charon.export.module import run
from charon.model import Prediction
from charon.model.evaluate import prediction

FORMAT = 1
OP_SCHEMA = 2
"""Newest operators that a file may call: 1 message and update, 2 also `charon::layer`. Files of all before load."""
_FILES = ("metadata.json", "golden.json")


@dataclass
class LoadedModel:
    """An exported model: evaluates batches like the potential that it came from."""

    module: torch.jit.ScriptModule
    metadata: dict[str, Any]

    @property
    def elements(self) -> list[int]:
        """Atomic numbers in the order of the model's types."""
        return [atomic_numbers[symbol] for symbol in self.metadata["elements"]]

    @property
    def cutoff(self) -> float:
        """Reach of one message, A."""
        return float(self.metadata["cutoff"])

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the model."""
        return getattr(torch, self.metadata["dtype"])

    def evaluate(self, batch: Batch) -> Prediction:
        """Energy, forces, stress, charges, spins and dipole of a batch in the model's dtype."""
        energies, charges, spins, edge, position, strain, dipoles, *later = run(self.module, batch.inputs())
        # files of the first op schema have no derivative by the state
        state = later[0] if later else torch.full((batch.n_systems, 2), torch.nan, dtype=self.dtype)
        leftover = torch.zeros((batch.n_systems, 2), dtype=self.dtype)
        outputs = [energies, torch.stack([charges, spins], dim=1), dipoles, leftover]
        return prediction(batch, outputs, [edge, position, strain, state])


def load_model(path: str | Path) -> LoadedModel:
    """Loads an exported file.

    Raises ModelFileError if the file is absent, truncated, no model of charon, of another format or of newer operators,
    or if its golden sample gives other numbers here.
    """
    path = str(path)
    _check_archive(path)
    texts = _texts(path)
    if texts["metadata.json"]:
        _check_versions(path, json.loads(texts["metadata.json"]))
    try:
        module = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise ModelFileError(f"{path}: torch cannot load it as TorchScript: {str(error).splitlines()[0]}") from None
    if not all(texts.values()):
        raise ModelFileError(f"{path}: is TorchScript, but no model of charon (it carries no metadata.json)")
    metadata = json.loads(texts["metadata.json"])
    model = LoadedModel(module, metadata)
    check_golden_sample(module, texts["golden.json"], model.dtype, path)
    return model


def _check_archive(path: str) -> None:
    """Raises ModelFileError for a file that is absent, no whole archive, or a checkpoint."""
    if not Path(path).is_file():
        raise ModelFileError(f"{path}: no such file")
    with open(path, "rb") as file:
        begins_as_archive = file.read(2) == b"PK"
    if not zipfile.is_zipfile(path):
        what = "is truncated: its end is missing" if begins_as_archive else "is no model file"
        raise ModelFileError(f"{path}: {what}; expected what `charon export RUN -o model.pt` writes")
    with zipfile.ZipFile(path) as archive:
        names = [name.rpartition("/")[2] for name in archive.namelist()]
    if "data.pkl" in names and "constants.pkl" not in names:
        raise ModelFileError(
            f"{path}: holds weights, as the checkpoints of a training do, and no model that runs by itself; "
            "export the training's directory first: charon export RUN -o model.pt"
        )


def _texts(path: str) -> dict[str, str]:
    """The texts beside the module, empty where one is absent; read without torch."""
    with zipfile.ZipFile(path) as archive:
        names = {name.partition("/extra/")[2]: name for name in archive.namelist()}
        return {text: archive.read(names[text]).decode() if text in names else "" for text in _FILES}


def _check_versions(path: str, metadata: dict[str, Any]) -> None:
    """Raises ModelFileError for a file of another format, or of operators that are newer than those here."""
    for key, oldest, newest in (("format", FORMAT, FORMAT), ("op_schema", 1, OP_SCHEMA)):
        found = metadata.get(key)
        if not isinstance(found, int) or not oldest <= found <= newest:
            known = f"{key} {newest}" if oldest == newest else f"{key} {oldest} to {newest}"
            raise ModelFileError(
                f"{path}: {key} {found!r}, written by charon {metadata.get('charon')}; this charon ({__version__}) "
                f"reads {known}. Load it with the version that wrote it, or export the model again with this one."
            )
