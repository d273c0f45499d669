"""Extended XYZ, frame by frame, so that a bad frame has an index and a line and the others survive it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io.extxyz import read_extxyz

from charon.errors import DataError

OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
PARSER_ERRORS = (OSError, ValueError, KeyError, IndexError, TypeError, AssertionError, AttributeError)


@dataclass(frozen=True)
class FrameText:
    """Text of one frame: its number of atoms, comment and atoms."""

    index: int
    line: int
    lines: list[str]


def is_extended_xyz(path: Path) -> bool:
    """Whether the name says extended XYZ, compressed or not."""
    return Path(path.stem if path.suffix in OPENERS else path.name).suffix in (".xyz", ".extxyz")


def read_text(path: Path) -> str:
    """Text of a plain or compressed file.

    Raises:
        DataError: the file is cut off, damaged or no text.
    """
    try:
        with OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8") as file:
            return file.read()
    except (EOFError, OSError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}. Is the file complete?") from None


def split_frames(path: Path, text: str) -> Iterator[FrameText]:
    """Frames of an extended XYZ file; a frame ends where a line with a single integer begins the next.

    Raises:
        DataError: the file does not begin with a number of atoms.
    """
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    if start == len(lines):
        raise DataError(f"{path}: the file holds no frames.")
    if not _is_count(lines[start]):
        raise DataError(
            f"{path}, line {start + 1}: expected the number of atoms of the first frame, found "
            f"{lines[start][:60]!r}. Is this an extended XYZ file?"
        )
    index = 0
    while start < len(lines):
        end = start + 2  # the comment may be an integer
        while end < len(lines) and not _is_count(lines[end]):
            end += 1
        frame = lines[start:end]
        while len(frame) > 2 and not frame[-1].strip():
            frame.pop()
        yield FrameText(index, start + 1, frame)
        index, start = index + 1, end


def parse_frame(frame: FrameText, path: Path) -> Atoms:
    """Atoms of one frame.

    Raises:
        DataError: naming file, frame and line.
    """
    where = f"{path}, frame {frame.index} (line {frame.line})"
    expected = int(frame.lines[0])
    found = sum(not line.lstrip().startswith("VEC") for line in frame.lines[2:])
    if expected == 0:
        raise DataError(f"{where}: the frame has no atoms. Remove it.")
    if found != expected:
        raise DataError(f"{where}: the frame announces {expected} atoms, {found} lines of atoms follow.")
    try:
        atoms = next(read_extxyz(io.StringIO("\n".join(frame.lines) + "\n"), index=0))
    except PARSER_ERRORS as error:
        raise DataError(f"{where}: the frame cannot be read: {type(error).__name__}: {error}.") from None
    return atoms


def _is_count(line: str) -> bool:
    return line.strip().isdecimal()
