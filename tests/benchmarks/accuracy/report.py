"""The table of the accuracy bench and its file."""

import json
from pathlib import Path

from .errors import KEYS, Figures

RESULTS = Path(__file__).parents[1] / "results" / "accuracy.json"


class Record:
    """Figures by set and preset, as they are found."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Figures]] = {}

    def add(self, set_name: str, preset: str, figures: Figures) -> None:
        self.found.setdefault(set_name, {})[preset] = figures

    def table(self) -> str:
        """One line per set and preset."""
        lines = [f"{'set':22s} {'preset':10s} {'frames':>6s} {'meV/atom':>9s} {'meV':>9s} {'meV/A':>9s} {'me':>9s}"]
        for name, presets in self.found.items():
            for preset, figures in presets.items():
                values = " ".join(_cell(figures[key]) for key in KEYS)
                lines.append(f"{name:22s} {preset:10s} {figures['frames']:6d} {values}")
        return "\n".join(lines)

    def write(self, path: Path = RESULTS) -> None:
        """Writes what was found, over an earlier file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.found, indent=2) + "\n", encoding="utf-8")


def _cell(value: float | int | str | None) -> str:
    return f"{'-':>9s}" if value is None else f"{value:9.3f}"
