"""Files of benchmarks, and their frames by ASE."""

import os
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

DATA = "CHARON_BENCH_DATA"
"""Environment variable with the folder of the sets that are not shipped."""


class SetMissing(SystemExit):
    """The files of a set are not there: ends a program by its message where it is not caught."""


def data_file(name: str) -> Path:
    """A file below $CHARON_BENCH_DATA. Raises SetMissing."""
    root = os.environ.get(DATA)
    if root is None:
        raise SetMissing(f"{DATA} is not set; set it to the folder with {name}")
    path = Path(root).resolve() / name
    if not path.is_file():
        raise SetMissing(f"there is no file {path}; {DATA} is {root}")
    return path


def read_frames(path: Path) -> list[Atoms]:
    """All of them."""
    found = ase.io.read(path, ":")
    assert isinstance(found, list)
    return found


def read_frame(path: Path, **options: Any) -> Atoms:
    """The last; `options` are those of `ase.io.read`."""
    found = ase.io.read(path, **options)
    assert isinstance(found, Atoms)
    return found
