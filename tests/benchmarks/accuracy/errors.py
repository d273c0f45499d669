"""Errors of one row, by what `charon eval` uses, as figures of `results/accuracy.json`."""

import io
from pathlib import Path

from rich.console import Console

from charon.evaluate import evaluate_file
from charon.metrics import overall

from .sets import Row

KEYS = {
    "energy_rmse_mev_per_atom": "energy per atom",
    "energy_rmse_mev": "energy",
    "forces_rmse_mev_per_angstrom": "forces",
    "charges_rmse_me": "charges",
}

Figures = dict[str, float | int | str | None]


def errors_of(row: Row, data: Path) -> Figures:
    """RMSE of energies, forces and charges; None where the set or the model has no such label."""
    quiet = Console(file=io.StringIO(), width=120)
    rows = overall(evaluate_file(row.model_path, data / row.file, charge=row.charge, spin=row.spin, console=quiet))
    figures: Figures = {key: rows[name].rmse if name in rows else None for key, name in KEYS.items()}
    return {**figures, "model": row.model, "frames": rows["forces"].frames}
