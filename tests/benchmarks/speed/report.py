"""The figures of a run: a table on the screen and `results/speed.json`."""

import json
import platform
import re
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results" / "speed.json"
FIGURES = {
    "us_per_atom": "us per atom and step, 12,288 atoms of water, two cores, energy and forces in LAMMPS",
    "ratio_floor": "ours at 12,288 atoms / edge kernels alone, two cores",
    "ratio_painn_torchscript": "PaiNN 64x3, TorchScript / ours, 192 atoms, two cores",
    "ratio_mace": "MACE 64x0e / ours, 192 atoms, two cores",
    "ratio_train_twin": "plain torch operators / ours: gradient of a loss on forces, four boxes, one thread",
    "ratio_train_mace": "MACE 64x0e / ours: training step, five molecules of 15 atoms, one thread",
    "bytes_per_atom": "growth of peak memory from 12,288 to 98,304 atoms, one rank",
    "ratio_two_ranks": "one rank / two ranks, one thread each, 12,288 atoms",
    "flatness": "max/min - 1 of us per atom over 1,536, 12,288 and 98,304 atoms, one layout",
}


@dataclass
class Record:
    """Figures, everything beside them, and why a figure is missing."""

    figures: dict[str, float | None] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def missing(self, key: str, why: str) -> None:
        """A figure that this run cannot give."""
        self.figures[key], self.notes[key] = None, why

    def table(self) -> str:
        """One line per figure, then what is missing."""
        lines = [f"{'figure':<24} {'value':>10}  meaning"]
        for key, meaning in FIGURES.items():
            value = self.figures.get(key)
            lines.append(f"{key:<24} {'-' if value is None else f'{value:.4g}':>10}  {meaning}")
        lines += [f"\n{key}: {why}" for key, why in self.notes.items()]
        return "\n".join(lines)

    def times(self) -> str:
        """Absolute times, one line each."""
        lines = [f"{'us per atom':>12}  what"]
        lines += [f"{time:12.2f}  {what}" for what, time in self.details.get("us_per_atom", {}).items()]
        lines += [f"{share:12.1%}  {part}" for part, share in self.details.get("shares", {}).items()]
        return "\n".join(lines)

    def write(self) -> None:
        """Writes every figure, null where it is missing."""
        for key in FIGURES:
            if key not in self.figures:
                self.missing(key, "its measurement failed")
        RESULTS.parent.mkdir(exist_ok=True)
        content = {key: self.figures[key] for key in FIGURES}
        details = {"notes": self.notes, "machine": machine(), **self.details}
        RESULTS.write_text(json.dumps({**content, "details": details}, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """CPU, cores and versions."""
    info = Path("/proc/cpuinfo").read_text()
    names = re.findall(r"model name\s*:\s*(.+)", info)
    packages = {name: version(name) for name in ("charon-potential", "torch", "lammps", "mpich", "numpy")}
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(names),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **packages,
    }
