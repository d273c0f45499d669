"""Structures from files: extended XYZ, input.data of n2p2 and RuNNer, npz, and whatever ASE reads."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import ase.io
from ase import Atoms
from ase.io.formats import UnknownFileTypeError

from charon.data import n2p2, npz
from charon.data.xyz import PARSER_ERRORS, FrameText, is_extended_xyz, parse_frame, read_text, split_frames
from charon.errors import ConfigError, DataError
from charon.labels import check_keys
from charon.state import DefaultSpin, check_all_or_none, parity_problem, read_state
from charon.structure import Structure
from charon.units import UnitSystem

Paths = str | Path | Iterable[str | Path]
Units = UnitSystem | Mapping[str, str] | None


class Frame(NamedTuple):
    """Atoms of one frame as the file has them, where they come from ("file.xyz, frame 12"), and their units."""

    source: str
    atoms: Atoms
    units: UnitSystem

    def in_angstrom(self) -> Atoms:
        """The geometry and `info` without labels, lengths in A."""
        bare = Atoms(self.atoms.numbers, self.atoms.positions, cell=self.atoms.cell, pbc=self.atoms.pbc)
        length = self.units.factor("length")
        bare.set_cell(bare.cell * length)
        bare.positions *= length
        bare.info = dict(self.atoms.info)
        return bare


def read_structures(
    paths: Paths,
    *,
    units: Units = None,
    keys: Mapping[str, str] | None = None,
    default_charge: int | None = None,
    default_spin: DefaultSpin = None,
    on_error: Literal["raise", "skip"] = "raise",
) -> list[Structure]:
    """Read one set of structures, with their states and labels, in eV, A and e.

    Args:
        paths: one file or several; .xyz, .extxyz and input.data, also .xz, .gz and .bz2 of them, .npz, or any
            format of ASE.
        units: units of the files, as {"energy": "Hartree", "length": "Bohr"}; what is not given is in eV, A, e,
            and in Hartree and Bohr in input.data.
        keys: {label: key} for labels under other names, as {"energy": "E_dft"}; also for charge and spin.
        default_charge, default_spin: total charge and multiplicity 2S+1 of a set whose frames carry none;
            "lowest" is the lowest multiplicity that fits the electrons of each frame.
        on_error: "raise" stops at the first bad frame; "skip" leaves it out and warns.

    Raises:
        DataError: a file or frame that cannot be read, or labels that are not what they must be.
        StateError: a state that is missing, contradictory, impossible, or given for some frames only.
        ConfigError: unknown units, labels in `keys`, or `on_error`.
    """
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error must be 'raise' or 'skip', found {on_error!r}.")
    keys = check_keys(keys)
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    dropped: list[DataError] | None = [] if on_error == "skip" else None
    frames = [frame for path in files for frame in read_frames(path, dropped, units)]
    frames = checked_states(frames, keys, dropped)
    structures = []
    for frame in frames:
        try:
            structure = Structure.from_atoms(
                frame.atoms,
                source=frame.source,
                keys=keys,
                units=frame.units,
                default_charge=default_charge,
                default_spin=default_spin,
            )
        except DataError as error:
            drop(error, dropped)
        else:
            structures.append(structure)
    report_dropped(dropped or [], len(structures))
    warn_odd_cells(structures)
    return structures


def read_frames(path: Path, dropped: list[DataError] | None = None, units: Units = None) -> Iterator[Frame]:
    """The frames of a file.

    Args:
        path: the file.
        dropped: collects the errors of frames that cannot be read; None raises them.
        units: units of the file, where they are not those of the format.

    Raises:
        DataError: naming the file and the frame.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file (looked in {Path.cwd()}).")
    if is_extended_xyz(path):
        frames = read_text_frames(path, split_frames, parse_frame, dropped)
    elif n2p2.is_input_data(path):
        found = list(read_text_frames(path, n2p2.split_structures, n2p2.parse_structure, dropped))
        n2p2.without_unused_columns([atoms for _, atoms in found], path)
        frames = iter(found)
    elif npz.is_npz(path):
        frames = npz.read_npz(path, units_of(path, units))
    else:
        frames = read_with_ase(path, dropped)
    system = units_of(path, units)
    for source, atoms in frames:
        yield Frame(source, atoms, system)


def units_of(path: Path, units: Units = None) -> UnitSystem:
    """Units in which a file is read: those given, else those of its format."""
    return UnitSystem.from_mapping(units, n2p2.UNITS if n2p2.is_input_data(path) else None)


def read_text_frames(
    path: Path,
    split: Callable[[Path, str], Iterator[FrameText]],
    parse: Callable[[FrameText, Path], Atoms],
    dropped: list[DataError] | None,
) -> Iterator[tuple[str, Atoms]]:
    """Source and Atoms of the frames of a text that can be split without being understood."""
    for frame in split(path, read_text(path)):
        try:
            atoms = parse(frame, path)
        except DataError as error:
            drop(error, dropped)
        else:
            yield f"{path}, frame {frame.index}", atoms


def read_with_ase(path: Path, dropped: list[DataError] | None) -> Iterator[tuple[str, Atoms]]:
    """Frames of a format that only ASE knows; what follows an unreadable frame cannot be found."""
    n_read = 0
    try:
        for atoms in ase.io.iread(path, index=":"):
            yield f"{path}, frame {n_read}", atoms
            n_read += 1
    except UnknownFileTypeError:
        raise DataError(f"{path}: ASE does not know this format. Convert it to extended XYZ.") from None
    except PARSER_ERRORS as error:
        reason = f"{type(error).__name__}: {error}"
        drop(DataError(f"{path}: ASE gave {n_read} frames, then could not read on ({reason})."), dropped)


def checked_states(frames: list[Frame], keys: Mapping[str, str], dropped: list[DataError] | None) -> list[Frame]:
    """The frames, after the check that all or none of them carry a charge, and a multiplicity."""
    kept, states = [], []
    for frame in frames:
        try:
            state = read_state(frame.atoms.info, frame.source, keys.get("charge"), keys.get("spin"))
        except DataError as error:
            drop(error, dropped)
        else:
            kept.append(frame)
            states.append((frame.source, *state))
    check_all_or_none(states)
    return kept


def drop(error: DataError, dropped: list[DataError] | None) -> None:
    """Keep the error of a frame that is left out, or raise it."""
    if dropped is None:
        raise error
    dropped.append(error)


def report_dropped(dropped: list[DataError], n_kept: int) -> None:
    """Warn which frames were left out.

    Raises:
        DataError: none is left.
    """
    if not dropped:
        return
    listed = "\n  ".join(str(error) for error in dropped)
    if n_kept == 0:
        raise DataError(f"None of {len(dropped)} frames can be used:\n  {listed}")
    warnings.warn(f"{len(dropped)} frames are left out, {n_kept} are kept:\n  {listed}", stacklevel=3)


def warn_odd_cells(structures: Iterable[Structure]) -> None:
    """Warn of periodic systems whose electrons and multiplicity do not match (an error for molecules)."""
    problems = [
        f"{s.source}: {problem}"
        for s in structures
        if (problem := parity_problem(s.numbers, s.total_charge, s.spin_multiplicity))
    ]
    if problems:
        warnings.warn(
            f"{len(problems)} periodic structures have an unusual charge and multiplicity; the first: {problems[0]}.",
            stacklevel=3,
        )
