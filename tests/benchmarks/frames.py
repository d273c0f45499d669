"""Frames of a file by ASE."""

from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms


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
