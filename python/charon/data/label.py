"""`charon label`: structures in, the same structures with reference energies and forces out."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from charon.data.engine import NotConverged, TbliteEngine
from charon.data.read import read_frames
from charon.data.resume import LabelLog
from charon.data.write import check_target
from charon.errors import ConfigError, StateError
from charon.state import CHARGE_KEYS, SPIN_KEYS, DefaultSpin, check_state, complete_state, read_state

DECIMALS = 6  # of forces, charges and spins: beyond the convergence of any engine, and it compresses


@dataclass(frozen=True)
class LabelSummary:
    """What a run of `label_file` did: frames read, labelled, and left out with their reasons."""

    target: Path
    frames: int
    labelled: int
    left_out: dict[int, str]

    def __str__(self) -> str:
        lines = [f"{self.target}: {self.labelled} of {self.frames} frames labelled"]
        lines += [f"  frame {index} left out: {reason}" for index, reason in sorted(self.left_out.items())]
        return "\n".join(lines)


def label_file(
    source: str | Path,
    target: str | Path,
    *,
    engine: str = "tblite",
    method: str = "GFN2-xTB",
    charge: int | None = None,
    spin: DefaultSpin = None,
    electronic_temperature: float = 300.0,
    spin_polarization: bool | None = None,
    max_iterations: int = 250,
    overwrite: bool = False,
    progress: bool = True,
) -> LabelSummary:
    """Label every frame of a file and write extended XYZ (also .xyz.gz, .xyz.xz).

    Energy (eV), forces (eV/A), stress (eV/A^3, ASE's sign) of periodic frames, dipole (e*A, about the
    center of geometry) of molecules and charges (e) are written as results of ASE; `spins`
    (unpaired electrons per atom) as an array; `charge` and `spin` (multiplicity) in `info`.
    Finished frames are kept in `<target>.partial`: after an interruption the same call goes on from
    there. Frames that do not converge are left out and reported.

    Args:
        source: any file that ASE reads, with one frame or many.
        target: the extended XYZ to write.
        engine: the program; "tblite".
        method: "GFN1-xTB" or "GFN2-xTB".
        charge: total charge in e, for frames that do not say it.
        spin: multiplicity 2S+1, or "lowest", for frames that do not say it.
        electronic_temperature: K.
        spin_polarization: None polarizes all frames as soon as one has an open shell, so that a
            file is at one level of theory; True and False force it.
        max_iterations: of the self-consistent field.
        overwrite: replace an existing target.
        progress: show frames, frames per second and the time left.

    Raises:
        DataError: a source that cannot be read, a target that exists, a `.partial` of other input.
        StateError: charge or spin missing, contradictory or impossible; before any work is done.
        ConfigError: an unknown engine or method.
    """
    source, target = Path(source), Path(target)
    check_target(target, overwrite)
    named_frames = list(read_frames(source))
    states = [frame_state(frame.atoms, charge, spin, frame.source) for frame in named_frames]
    frames = [frame.in_angstrom() for frame in named_frames]
    if spin_polarization is None:
        spin_polarization = any(multiplicity > 1 for _, multiplicity in states)
    worker = make_engine(engine, method, electronic_temperature, spin_polarization, max_iterations)
    job = {"input": fingerprint(frames, states), "engine": vars(worker)}
    target.parent.mkdir(parents=True, exist_ok=True)
    with LabelLog(target.with_name(target.name + ".partial"), job) as log:
        todo = [index for index in range(len(frames)) if index not in log]
        for index in _show(todo, len(frames), source.name) if progress else todo:
            log.add(index, _label(worker, frames[index], states[index]))
        summary = _write(target, frames, states, log.results)
        log.remove()
    if progress:
        print(summary)
    return summary


def make_engine(
    engine: str, method: str, electronic_temperature: float, spin_polarized: bool, max_iterations: int
) -> TbliteEngine:
    """The engine of that name.

    Raises:
        ConfigError: an engine that does not exist.
    """
    if engine != "tblite":
        raise ConfigError(f"engine: expected tblite, found {engine!r}")
    return TbliteEngine(method, electronic_temperature, spin_polarized, max_iterations)


def frame_state(atoms: Atoms, charge: int | None, spin: DefaultSpin, source: str) -> tuple[int, int]:
    """Total charge and multiplicity of a frame: its own, or the given ones where it has none.

    Raises:
        StateError: missing, impossible, or the frame and the argument disagree.
    """
    own = read_state(atoms.info, source)
    for name, found, given in zip(("charge", "spin"), own, (charge, spin), strict=True):
        if found is not None and given not in (None, "lowest", found):
            raise StateError(
                f"{source}: the frame says {name}={found}, the call says {name}={given}; "
                "correct the frame, or leave the argument out"
            )
    total_charge, multiplicity = complete_state(*own, source, charge, spin, atoms.numbers)
    check_state(atoms.numbers, total_charge, multiplicity, atoms.pbc, source)
    return total_charge, multiplicity


def fingerprint(frames: list[Atoms], states: list[tuple[int, int]]) -> str:
    """A digest of everything that the labels depend on, apart from the engine."""
    digest = hashlib.sha256()
    for atoms, state in zip(frames, states, strict=True):
        for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(repr(state).encode())
    return digest.hexdigest()


def _label(worker: TbliteEngine, atoms: Atoms, state: tuple[int, int]) -> dict[str, Any]:
    try:
        labels = worker.single_point(atoms, *state)
    except NotConverged as error:
        return {"failed": str(error)}
    per_atom = labels.keys() & {"forces", "charges", "spins"}
    return {**labels, **{key: np.round(labels[key], DECIMALS) for key in per_atom}}


def _write(
    target: Path, frames: list[Atoms], states: list[tuple[int, int]], results: dict[int, dict[str, Any]]
) -> LabelSummary:
    """Write the labelled frames in order; the target appears complete, or not at all without any."""
    failed = {index: result["failed"] for index, result in results.items() if "failed" in result}
    labelled = [
        labelled_atoms(atoms, *states[index], results[index])
        for index, atoms in enumerate(frames)
        if index not in failed
    ]
    summary = LabelSummary(target, len(frames), len(labelled), failed)
    if not labelled:
        return summary
    unfinished = target.with_name("unfinished-" + target.name)  # keeps the ending, which ASE goes by
    ase.io.write(unfinished, labelled, format="extxyz")
    unfinished.replace(target)
    return summary


def labelled_atoms(atoms: Atoms, charge: int, multiplicity: int, labels: dict[str, Any]) -> Atoms:
    """A structure with its labels where extended XYZ keeps them.

    Args:
        atoms: its geometry and `info` are kept, its own results and velocities are not.
        charge: total charge in e.
        multiplicity: 2S+1.
        labels: as `TbliteEngine.single_point` returns them.
    """
    kept = {key: value for key, value in atoms.info.items() if key not in CHARGE_KEYS + SPIN_KEYS}
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    bare.info = {**kept, "charge": charge, "spin": multiplicity}
    results: dict[str, Any] = {key: np.asarray(value) for key, value in labels.items() if key != "spins"}
    results["energy"] = float(labels["energy"])
    if "stress" in results:
        results["stress"] = full_3x3_to_voigt_6_stress(results["stress"])
    if "spins" in labels:
        bare.arrays["spins"] = np.asarray(labels["spins"])
    bare.calc = SinglePointCalculator(bare, **results)
    return bare


def _show(todo: list[int], total: int, name: str) -> Iterator[int]:
    """Iterate over frames with a live line: frames done, frames per second, time left."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("frames"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
    ]
    with Progress(*columns) as bar:
        task = bar.add_task(f"labelling {name}", total=total, completed=total - len(todo), rate="")
        start = time.perf_counter()
        for done, index in enumerate(todo, 1):
            yield index
            rate = done / (time.perf_counter() - start)
            bar.update(task, advance=1, rate=f"{rate:.1f}/s")
