"""Writes a model file, loads it again and compares it with the model that it came from."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ase.data import chemical_symbols

from charon import __version__
from charon.batch import collate, make_graph
from charon.errors import ModelFileError
from charon.export.golden import TOLERANCE, golden_batch, golden_sample, relative_error
from charon.export.load import FORMAT, OP_SCHEMA, LoadedModel, load_model
from charon.export.module import OUTPUTS, script
from charon.export.samples import verification_samples
from charon.model import Potential, evaluate

if TYPE_CHECKING:
    from charon.train.config import Config

SOLVED = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Allowed relative difference of models with a charge solver: file and model differentiate what has not quite converged
in two ways, by multipliers and by adjoint equations."""


def metadata_of(
    potential: Potential, dtype: torch.dtype, info: dict[str, Any], config: dict[str, Any]
) -> dict[str, Any]:
    """What the file says of itself; `info` holds `charge_range`, `spin_range`, `data_fingerprint`, `metrics`."""
    return {
        "format": FORMAT,
        "op_schema": OP_SCHEMA,
        "charon": __version__,
        "torch": str(torch.__version__),
        "elements": [chemical_symbols[z] for z in potential.elements],
        "reference_energies": potential.reference_energies.tolist(),
        "cutoff": potential.cutoff,
        "dtype": str(dtype).removeprefix("torch."),
        "exchange_width": potential.exchange_width(),
        "electronic": potential.config.electronic,
        "charge_range": [int(q) for q in info.get("charge_range", (0, 0))],
        "spin_range": [int(m) for m in info.get("spin_range", (1, 1))],
        "units": {"length": "A", "energy": "eV", "charge": "e"},
        "outputs": list(OUTPUTS),
        "config": config,
        "data_fingerprint": str(info.get("data_fingerprint", "")),
        "metrics": info.get("metrics", {}),
    }


def export_model(
    potential: Potential,
    path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    info: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> LoadedModel:
    """Writes `potential` to `path` as TorchScript and verifies the file.

    `dtype` is float32 or float64, the potential's own by default; `potential` itself does not change. Energy, forces
    and stress of the file are compared with the potential's on structures of several sizes. Raises ModelFileError if
    they differ; the file is then removed.
    """
    path = Path(path)
    dtype = dtype or potential.core.embedding.weight.dtype
    potential = copy.deepcopy(potential).to(dtype).eval()
    module = script(potential)
    metadata = metadata_of(potential, dtype, info or {}, config or {})
    golden = golden_sample(module, golden_batch(potential.elements, potential.cutoff, dtype))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    torch.jit.save(module, str(partial), _extra_files={"metadata.json": json.dumps(metadata), "golden.json": golden})
    try:
        errors = _verify(load_model(partial), potential)
    except ModelFileError:
        partial.unlink()
        raise
    partial.replace(path)
    if say is not None:
        compared = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
        say(f"{path}: loaded again and compared with the trained model (largest relative differences): {compared}")
    return load_model(path)


def export_run(run: str | Path, path: str | Path, dtype: str | None = None) -> LoadedModel:
    """Exports the best weights of a run directory or checkpoint; `dtype` is "float32", "float64" or the training's.

    Raises ModelFileError if there is no run, or the written file differs from the trained model.
    """
    from charon.train import load_run

    potential, config, info = load_run(run)
    chosen = getattr(torch, dtype) if dtype else None
    return export_model(potential, path, dtype=chosen, info=info, config=_portable(config), say=print)


def _portable(config: "Config") -> dict[str, Any]:
    """A configuration as data, with the names of the files of the sets instead of their places on this machine."""
    content = config.model_dump(mode="json")
    for name in ("train", "validation", "test"):
        if isinstance(content["data"][name], list):
            content["data"][name] = [Path(file).name for file in content["data"][name]]
    return content


def _verify(loaded: LoadedModel, potential: Potential) -> dict[str, float]:
    """Largest relative difference of energy, forces and stress; raises ModelFileError if one is too large."""
    worst = {"energy": 0.0, "forces": 0.0, "stress": 0.0}
    allowed = TOLERANCE[loaded.dtype]
    if potential.config.charge_solver != "none":
        allowed = max(allowed, SOLVED[loaded.dtype])
    charge_range = loaded.metadata["charge_range"]
    for structure in verification_samples(potential.elements, (charge_range[0], charge_range[1])):
        batch = collate([make_graph(structure, potential.elements, potential.cutoff)], loaded.dtype)
        found, expected = loaded.evaluate(batch), evaluate(potential, batch)
        free_atoms = potential.reference_energies[batch.types].sum()
        found.energy, expected.energy = found.energy - free_atoms, expected.energy - free_atoms
        for name in worst:
            error = relative_error(getattr(found, name), getattr(expected, name))
            if not error <= allowed:
                raise ModelFileError(
                    f"the exported file differs from the trained model: {name} of the {structure.source} by "
                    f"{error:.1e} (relative), allowed {allowed:.0e}; nothing was written"
                )
            worst[name] = max(worst[name], error)
    return worst
