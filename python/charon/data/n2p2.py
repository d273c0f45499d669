"""The `input.data` of n2p2 and RuNNer, structure by structure, so that a bad one has an index and a line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers

from charon.data.xyz import OPENERS, FrameText
from charon.errors import DataError

UNITS = {"energy": "Hartree", "length": "Bohr"}
"""Of the format: https://theochemgoettingen.gitlab.io/RuNNer/1.3/getting_started/units/"""

KEYWORDS = ("comment", "lattice", "atom", "energy", "charge")
DEFAULT_COLUMNS = ("position(3)", "element", "charge", "energy", "force(3)")
COLUMN_NAMES = {"charges": "charge", "forces": "force", "positions": "position"}

Row = tuple[int, list[str]]
Span = tuple[int, int]


def is_input_data(path: Path) -> bool:
    """Whether the name ends in `input.data`, compressed or not, or in `.data` and the text starts with `begin`."""
    name = path.stem if path.suffix in OPENERS else path.name
    if not name.endswith(".data"):
        return False
    return name.endswith("input.data") or _first_word(path) == "begin"


def split_structures(path: Path, text: str) -> Iterator[FrameText]:
    """Structures of an `input.data` file, each from one `begin` to the line before the next.

    Raises:
        DataError: the file does not begin with `begin`.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.split(maxsplit=1)[:1] == ["begin"]]
    before = next((number for number, line in enumerate(lines[: starts[0] if starts else None]) if _words(line)), None)
    if before is not None:
        raise DataError(
            f"{path}, line {before + 1}: expected 'begin', which opens a structure, found {lines[before][:60]!r}. "
            "Is this an input.data file of n2p2 or RuNNer?"
        )
    if not starts:
        raise DataError(f"{path}: the file holds no structures (no line 'begin').")
    for index, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        yield FrameText(index, start + 1, lines[start:end])


def parse_structure(frame: FrameText, path: Path) -> Atoms:
    """Atoms of one structure in the units of the file, its labels as results of a calculator.

    Between `begin` and `end` stand lines `comment`, `lattice x y z` (three, or none of an open system), `atom x y z
    element charge energy fx fy fz`, `energy` and `charge` (the total charge). The energy of an atom is not used. As in
    RuNNer 2, `begin` may name other columns: `begin position(3) element charge forces(3)`.

    Raises:
        DataError: naming file, frame and line, what was expected and what was found.

    Source: https://compphysvienna.github.io/n2p2/topics/cfg_file.html, https://runner-suite.gitlab.io/runner2
    """
    where = f"{path}, frame {frame.index}"
    columns = _columns(frame, where)
    rows = _rows(frame, where)
    if not rows["atom"]:
        raise DataError(f"{where} (line {frame.line}): the structure has no atoms. Remove it.")
    symbols, table = _table(rows["atom"], columns, where)
    atoms = Atoms(symbols, positions=table["position"])
    if rows["lattice"]:
        _expect_lines(rows["lattice"], 3, "lattice", where)
        atoms.set_cell([_numbers(row, 3, "lattice", where) for row in rows["lattice"]])
        atoms.pbc = True
    single = {name: _single(rows[name], name, where) for name in ("energy", "charge") if rows[name]}
    labels = {"charges": table.get("charge"), "forces": table.get("force"), "energy": single.get("energy")}
    atoms.calc = SinglePointCalculator(atoms, **{name: value for name, value in labels.items() if value is not None})
    if "charge" in single:
        atoms.info["charge"] = single["charge"]
    if rows["comment"]:
        atoms.info["comment"] = " ".join(" ".join(words) for _, words in rows["comment"])
    return atoms


def without_unused_columns(frames: Sequence[Atoms], path: Path) -> None:
    """Take away the charges or the forces of a file where they are zero in all structures, and warn.

    The format has columns for them, whether or not they are known.
    """
    for label in ("charges", "forces"):
        values = [atoms.calc.results[label] for atoms in frames if label in atoms.calc.results]
        if values and not any(array.any() for array in values):
            warnings.warn(
                f"{path}: the {label} of all atoms are 0: read as not known, not as labels.",
                stacklevel=3,
            )
            for atoms in frames:
                atoms.calc.results.pop(label, None)


def _first_word(path: Path) -> str:
    with OPENERS.get(path.suffix, open)(path, "rt", encoding="utf-8", errors="replace") as file:
        return next((words[0] for line in file if (words := _words(line))), "")


def _words(line: str) -> list[str]:
    """Words of a line; none of a remark."""
    words = line.split()
    return [] if words and words[0][0] in "#!" else words


def _columns(frame: FrameText, where: str) -> dict[str, Span]:
    """First and last column (exclusive) of each name, after the word `atom`."""
    named = frame.lines[0].split()[1:] or list(DEFAULT_COLUMNS)
    columns, start = {}, 0
    for word in named:
        match = re.fullmatch(r"([\w\-]+)(?:\((\d+)\))?", word)
        name, width = (match[1], int(match[2] or 1)) if match else (word, 1)
        columns[COLUMN_NAMES.get(name, name)] = (start, start + width)
        start += width
    force = columns.get("force", (0, 3))
    if columns.get("position") != (0, 3) or columns.get("element") != (3, 4) or force[1] - force[0] != 3:
        raise DataError(
            f"{where} (line {frame.line}): expected 'begin' alone or with columns as in "
            f"'begin {' '.join(DEFAULT_COLUMNS)}', found {frame.lines[0].strip()!r}."
        )
    return columns


def _rows(frame: FrameText, where: str) -> dict[str, list[Row]]:
    """Line number and words of the lines of each keyword."""
    rows: dict[str, list[Row]] = {keyword: [] for keyword in KEYWORDS}
    ended = 0
    for number, line in enumerate(frame.lines[1:], frame.line + 1):
        words = _words(line)
        if not words:
            continue
        if ended:
            raise DataError(
                f"{where}, line {number}: expected 'begin' after 'end' (line {ended}), found {line[:60]!r}."
            )
        if words[0] == "end":
            ended = number
        elif words[0] in rows:
            rows[words[0]].append((number, words[1:]))
        else:
            raise DataError(
                f"{where}, line {number}: unknown keyword {words[0]!r}. Expected one of {', '.join(KEYWORDS)}, end."
            )
    if not ended:
        raise DataError(f"{where} (line {frame.line}): the structure has no 'end'. Is the file complete?")
    return rows


def _table(rows: Sequence[Row], columns: dict[str, Span], where: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """Symbols of the atoms, and the values of each other column, [n_atoms] or [n_atoms, width]."""
    width = max(end for _, end in columns.values())
    for number, words in rows:
        if len(words) != width:
            raise DataError(
                f"{where}, line {number}: expected {width} columns after 'atom' ({' '.join(columns)}), "
                f"found {len(words)}. Is the line complete?"
            )
        if words[3] not in atomic_numbers or words[3] == "X":
            raise DataError(f"{where}, line {number}: {words[3]!r} is no element. Expected a symbol, as C or Na.")
    numbers = [words[:3] + words[4:] for _, words in rows]
    try:
        values = np.array(numbers, dtype=np.float64)  # [n_atoms, width - 1], without the symbols
    except ValueError:
        lines = zip(rows, numbers, strict=True)
        values = np.array([_numbers((row[0], words), width - 1, "atom", where) for row, words in lines])
    table = {"position": values[:, :3]}
    for name, (start, end) in columns.items():
        if start > 3:
            table[name] = values[:, start - 1] if end == start + 1 else values[:, start - 1 : end - 1]
    return [words[3] for _, words in rows], table


def _single(rows: Sequence[Row], keyword: str, where: str) -> float:
    _expect_lines(rows, 1, keyword, where)
    return _numbers(rows[0], 1, keyword, where)[0]


def _expect_lines(rows: Sequence[Row], count: int, keyword: str, where: str) -> None:
    if len(rows) != count:
        found = ", ".join(str(number) for number, _ in rows)
        raise DataError(f"{where}: expected {count} lines {keyword!r}, found {len(rows)} (line {found}).")


def _numbers(row: Row, count: int, keyword: str, where: str) -> list[float]:
    number, words = row
    if len(words) != count:
        raise DataError(f"{where}, line {number}: expected {count} numbers after {keyword!r}, found {len(words)}.")
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise DataError(f"{where}, line {number}: expected numbers after {keyword!r}: {error}.") from None
