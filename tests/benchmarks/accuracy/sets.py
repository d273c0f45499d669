"""The declarative table of the accuracy bench: which model is judged on which file."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from ..frames import DATA

TABLE = Path(__file__).with_name("sets.yaml")
MODELS = Path(__file__).parents[1] / "models"


@dataclass(frozen=True)
class Row:
    """One model on one file; charge (e) and multiplicity are for files that do not say them."""

    set: str
    preset: str
    file: str
    model: str
    charge: int | None = None
    spin: int | None = None

    @property
    def model_path(self) -> Path:
        return MODELS / self.model

    def command(self) -> str:
        """The `charon eval` that prints the same errors, from the root of the repository."""
        words = ["charon", "eval", f"tests/benchmarks/models/{self.model}"]
        state = [
            f"--{name}={value}" for name, value in (("charge", self.charge), ("spin", self.spin)) if value is not None
        ]
        return " ".join([shlex.join(words), f"${DATA}/{self.file}", *state])


def table() -> list[Row]:
    """The rows of `sets.yaml`."""
    return [Row(**row) for row in yaml.safe_load(TABLE.read_text(encoding="utf-8"))]
