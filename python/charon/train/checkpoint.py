"""Checkpoints: all that a run needs to continue bit for bit, written so that a crash leaves the old one."""

import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from charon import __version__
from charon.errors import ModelFileError
from charon.metrics import overall
from charon.model import Potential, Statistics, build_potential
from charon.run_directory import RunDirectory
from charon.train.config import Config

FORMAT = 1
FORMAT_KEY = "charon_checkpoint"
BEFORE = {"state_channels": 0, "repulsion_reach": 1.0}
"""Of models of a time before these keys."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint: `training` is the state of the trainer, the rest rebuilds the potential."""

    config: Config
    elements: list[int]
    statistics: Statistics
    scales: dict[str, float]
    info: dict[str, Any]
    """Data fingerprint, charge and multiplicity range, counts: what an exported model says about itself."""
    training: dict[str, Any]

    def potential(self, averaged: bool = True) -> Potential:
        """The potential with averaged (EMA) or present weights, in the dtype of the training."""
        potential = fresh_potential(self.config, self.elements, self.statistics)
        potential.load_state_dict(self.training["model"])
        if averaged:
            potential.load_state_dict(self.training["ema"]["average"], strict=False)
        return potential.eval()


def fresh_potential(config: Config, elements: list[int], statistics: Statistics) -> Potential:
    """A potential with weights drawn by the seed of the training, in its dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, config.training.dtype))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.training.seed)
            return build_potential(config.model, elements, statistics)
    finally:
        torch.set_default_dtype(before)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Writes to a neighboring file, flushes it to disk and renames it over `path`."""
    content = {
        FORMAT_KEY: FORMAT,
        "charon": __version__,
        "torch": str(torch.__version__),
        "config": checkpoint.config.model_dump(mode="json"),
        "elements": checkpoint.elements,
        "statistics": asdict(checkpoint.statistics),
        "scales": checkpoint.scales,
        "info": checkpoint.info,
        "training": checkpoint.training,
    }
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a checkpoint. Raises ModelFileError for a file that is missing, truncated or something else."""
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ModelFileError(f"{path}: is no checkpoint, or truncated ({str(error).splitlines()[0]})") from None
    if not isinstance(content, dict) or FORMAT_KEY not in content:
        raise ModelFileError(f"{path}: is no checkpoint of charon; expected a file from RUN/checkpoints")
    if content[FORMAT_KEY] != FORMAT:
        raise ModelFileError(
            f"{path}: checkpoint of format {content[FORMAT_KEY]}, written by charon {content['charon']}; "
            f"this is charon {__version__}, which reads format {FORMAT}"
        )
    content["config"]["model"] = {**BEFORE, **content["config"]["model"]}
    content["statistics"]["reference_energies"] = tuple(content["statistics"]["reference_energies"])
    return Checkpoint(
        config=Config.model_validate(content["config"]),
        elements=content["elements"],
        statistics=Statistics(**content["statistics"]),
        scales=content["scales"],
        info=content["info"],
        training=content["training"],
    )


def checkpoint_path(run: str | Path, which: str = "best") -> Path:
    """The checkpoint `last` or `best` of a run; `best` falls back to `last` where nothing was validated.

    Raises ModelFileError if the directory is no run or has no checkpoint yet.
    """
    run = Path(run)
    if run.is_file():
        return run
    if not (run / "config.yaml").is_file():
        raise ModelFileError(f"{run}: is no run directory (it has no config.yaml)")
    candidates = [which, "last"] if which == "best" else [which]
    for name in candidates:
        path = run / "checkpoints" / f"{name}.pt"
        if path.is_file():
            return path
    raise ModelFileError(f"{run}: has no checkpoint '{which}'; the training stopped before its first one")


def load_run(path: str | Path, which: str = "best") -> tuple[Potential, Config, dict[str, Any]]:
    """The trained potential (averaged weights), its configuration and what is known of its data.

    `path` is a run directory or a checkpoint, `which` is `best` or `last`. Raises ModelFileError.
    """
    checkpoint = load_checkpoint(checkpoint_path(path, which))
    return checkpoint.potential(), checkpoint.config, {**checkpoint.info, "metrics": _metrics(Path(path))}


def _metrics(run: Path) -> dict[str, dict[str, str]]:
    """Errors of each set over all its systems, as text with units; empty before the training has ended."""
    directory = RunDirectory(run)
    if not directory.evaluation.is_file():
        return {}
    errors, _ = directory.read_evaluation()
    return {
        name: {p: f"MAE {row.mae:.4g}, RMSE {row.rmse:.4g} {row.unit}" for p, row in overall(rows).items()}
        for name, rows in errors.items()
    }
