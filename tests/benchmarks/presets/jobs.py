"""One run each: the command that trains, how it continues, and the figures that it leaves."""

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charon.metrics import ErrorRow, error_table, overall
from charon.model.config import PRESETS
from charon.run_directory import RunDirectory
from charon.structure import Structure

from ..accuracy.errors import KEYS
from ..speed.peers import PeerMissing
from .plan import Model, Peer, Preset
from .sets import SPLITS, Set, save_frames

HERE = Path(__file__).parent
VARIABLE = "CHARON_BENCH_SPOOKY_PYTHON"
INSTALL = f"""\
{VARIABLE} is not set, so SpookyNet was not run. To compare, give it an environment outside of the repository:
  python3 -m venv ENV && ENV/bin/pip install torch==2.13.0 && ENV/bin/pip install "xnns[gnn,ase]==0.22.0"
  export {VARIABLE}=ENV/bin/python"""
JUDGED = [key for key in KEYS if key != "energy_rmse_mev"]
SPINS = "spins_rmse_mmub"


@dataclass(frozen=True)
class Length:
    """Of a training: minutes of the clock, or steps, which may have any company on the machine. One is None."""

    minutes: float | None = None
    steps: int | None = None

    def words(self, between: str) -> str:
        return f"{self.minutes:g}{between}min" if self.steps is None else f"{self.steps}{between}steps"

    @property
    def override(self) -> str:
        """Of the configuration."""
        return f"training.max_minutes={self.minutes}" if self.steps is None else f"training.steps={self.steps}"

    @property
    def limit(self) -> float | None:
        """Seconds after which a run of so many minutes has lost its way."""
        return None if self.minutes is None else 60.0 * (3.0 * self.minutes + 30.0)


@dataclass(frozen=True)
class Job:
    """A model on a set: one seed, one length. `extra` are overrides beside those of the preset."""

    set: Set
    model: Model
    length: Length
    seed: int
    work: Path
    extra: tuple[str, ...] = ()

    @property
    def key(self) -> dict[str, Any]:
        """What tells this run from others."""
        run = {"set": self.set.name, "preset": self.model.name, "seed": self.seed}
        return {**run, "minutes": self.length.minutes, "equal_steps": self.length.steps}

    @property
    def title(self) -> str:
        return f"{self.set.name}, {self.model.name}, seed {self.seed}, {self.length.words(' ')}"

    @property
    def folder(self) -> Path:
        return self.work / self.set.name / f"{self.model.name}-seed{self.seed}-{self.length.words('')}"

    def command(self) -> list[str]:
        """Begins or continues the training. Raises SetMissing, PeerMissing."""
        files = self.set.paths(self.work / "sets")
        self.folder.mkdir(parents=True, exist_ok=True)
        if isinstance(self.model, Peer):
            if self.length.minutes is None:
                raise PeerMissing(f"{self.model.name} trains for a time, not for a number of steps")
            return peer_command(self, self.model, files)
        return preset_command(self, self.model, files)

    def figures(self) -> dict[str, Any]:
        """Errors on validation and test, and how far the training came."""
        return peer_figures(self) if isinstance(self.model, Peer) else preset_figures(self)


def errors_of(rows: Sequence[ErrorRow]) -> dict[str, float | None]:
    """RMSE of energy per atom, forces and charges, None where a model has no charges; of spins if labelled."""
    found = overall(rows)
    errors = {key: found[KEYS[key]].rmse if KEYS[key] in found else None for key in JUDGED}
    return errors | ({SPINS: found["spins"].rmse} if "spins" in found else {})


def preset_command(job: Job, preset: Preset, files: Mapping[str, Path]) -> list[str]:
    """`charon train`, or `charon resume` from the last checkpoint."""
    run = RunDirectory(job.folder / "run")
    charon = [sys.executable, "-m", "charon.cli"]
    if run.checkpoint("last").is_file():
        return [*charon, "resume", str(run.path)]
    shutil.rmtree(run.path, ignore_errors=True)
    overrides = [f"data.{split}={path}" for split, path in files.items()]
    overrides += [f"training.batch_size={job.set.batch_size}", f"training.validate_every={job.set.validate_every}"]
    overrides += [f"training.checkpoint_every={job.set.validate_every}", f"training.seed={job.seed}"]
    overrides.append(job.length.override)
    if job.set.spin is not None:
        overrides.append(f"data.spin={job.set.spin}")
    overrides += [*preset.overrides, *dispersion_overrides(job.set, preset)]
    words = [str(HERE / "presets.yaml"), *overrides, *job.extra]
    return [*charon, "train", *words, "--run-dir", str(run.path)]


def dispersion_overrides(of: Set, preset: Preset) -> list[str]:
    """The dispersion that the labels have, for presets with dispersion; D3 does not become D4, which needs charges."""
    own = PRESETS.get(preset.name.partition("-")[0], {}).get("dispersion")
    if own is None:
        return []
    if of.dispersion is None:
        return ["model.dispersion=null"]
    if (own["kind"], of.dispersion[0]) == ("d3", "d4"):
        return []
    kind, functional = of.dispersion
    return [f"model.dispersion.kind={kind}", f"model.dispersion.functional={functional}"]


def preset_figures(job: Job) -> dict[str, Any]:
    """From evaluation.json and the last line of metrics.csv."""
    run = RunDirectory(job.folder / "run")
    errors, about = run.read_evaluation()
    last = run.read_metrics()[-1]
    return {
        **{split: errors_of(errors[split]) for split in SPLITS if split in errors},
        "steps": int(last["step"]),
        "epochs": last["epoch"],
        "trained_minutes": last["minutes"],
        "best_step": about["checkpoint"]["step"],
        "parameters": about["parameters"],
    }


def peer_command(job: Job, peer: Peer, files: Mapping[str, Path]) -> list[str]:
    """`spooky_peer.py` in its own environment, on the same frames."""
    python = os.environ.get(VARIABLE)
    if not python:
        raise PeerMissing(INSTALL)
    frames = {}
    for split, path in files.items():
        frames[split] = str(job.folder / f"{split}.npz")
        save_frames(job.set.structures(path), Path(frames[split]))
    recipe = {name: getattr(peer, name) for name in ("learning_rate", "features", "modules")}
    batch_size = min(peer.batch_size, job.set.batch_size)
    description = {"frames": frames, "folder": str(job.folder), "minutes": job.length.minutes, "seed": job.seed}
    path = job.folder / "job.json"
    path.write_text(json.dumps({**description, **recipe, "batch_size": batch_size}), encoding="utf-8")
    return [python, str(HERE / "spooky_peer.py"), str(path)]


def peer_figures(job: Job) -> dict[str, Any]:
    """Errors of the peer's predictions, by the same code as those of Charon."""
    outcome = json.loads((job.folder / "outcome.json").read_text(encoding="utf-8"))
    files = job.set.paths(job.work / "sets")
    errors = {}
    for split in ("validation", "test"):
        structures = job.set.structures(files[split])
        predictions = _by_frame(torch.load(job.folder / f"predictions_{split}.pt"), structures)
        errors[split] = errors_of(error_table(structures, predictions))
    return {**errors, **outcome}


def _by_frame(arrays: Mapping[str, torch.Tensor], structures: Sequence[Structure]) -> list[dict[str, np.ndarray]]:
    """Arrays over all atoms, frame by frame."""
    ends = np.cumsum([s.n_atoms for s in structures])[:-1]
    forces, charges = (np.split(arrays[name].numpy(), ends) for name in ("forces", "charges"))
    energies = arrays["energy"].numpy()
    return [
        {"energy": np.asarray(energy), "forces": force, "charges": charge}
        for energy, force, charge in zip(energies, forces, charges, strict=True)
    ]
