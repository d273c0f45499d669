"""Runs the real `lmp` under the real `mpiexec` and reads what it left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

BIN = Path(sys.executable).parent
BAR = 1.6021765e6
"""1 eV/A^3 in bar, the value that LAMMPS uses."""

THERMO = "pe pxx pyy pzz pxy pxz pyz vol"
PER_ATOM = "id type x y z fx fy fz q c_energy f_state[1] f_state[2]"


@dataclass
class Outcome:
    """What a run of LAMMPS left behind."""

    returncode: int
    text: str
    thermo: dict[str, np.ndarray] = field(default_factory=dict)  # name -> [n_outputs]
    atoms: dict[str, np.ndarray] = field(default_factory=dict)  # column -> [n_atoms], last dump, by id

    @property
    def forces(self) -> np.ndarray:
        return np.stack([self.atoms["fx"], self.atoms["fy"], self.atoms["fz"]], axis=1)

    def virial(self, frame: int = -1) -> np.ndarray:
        """xx yy zz xy xz yz in eV; atoms must be at rest."""
        pressure = np.array([self.thermo[name][frame] for name in ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")])
        return pressure * self.thermo["Volume"][frame] / BAR


@dataclass
class Lammps:
    """Runs input scripts in one folder."""

    folder: Path

    def data(self, atoms: Atoms, elements: list[str], name: str = "atoms.data") -> str:
        """Writes atoms in a lower triangular cell; type k is elements[k]. Returns the file's name."""
        cell = np.asarray(atoms.cell)
        lines = ["atoms of a test", "", f"{len(atoms)} atoms", f"{len(elements)} atom types", ""]
        for axis, low in enumerate("xyz"):
            lines.append(f"0 {float(cell[axis, axis])!r} {low}lo {low}hi")
        lines.append(f"{float(cell[1, 0])!r} {float(cell[2, 0])!r} {float(cell[2, 1])!r} xy xz yz")
        lines += ["", "Masses", ""]
        lines += [f"{k} {float(atomic_masses[atomic_numbers[e]])!r}" for k, e in enumerate(elements, 1)]
        lines += ["", "Atoms # charge", ""]
        for k, atom in enumerate(atoms, 1):
            x, y, z = map(float, atom.position)
            lines.append(f"{k} {elements.index(atom.symbol) + 1} 0.0 {x!r} {y!r} {z!r}")
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return name

    def run(self, script: str, ranks: int = 1, timeout: float = 120.0) -> Outcome:
        """Runs a script, which may fail; `dump.txt` and the last thermo table are read."""
        (self.folder / "in.test").write_text(script)
        # ranks may outnumber cores: one that waits must let others compute
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "true"}
        command = [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", "in.test", "-log", "none"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            timeout=timeout,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        dump = self.folder / "dump.txt"
        outcome = Outcome(done.returncode, done.stdout, read_thermo(done.stdout))
        if done.returncode == 0 and dump.exists():
            outcome.atoms = read_dump(dump.read_text())
        return outcome

    def succeed(self, script: str, ranks: int = 1) -> Outcome:
        outcome = self.run(script, ranks)
        assert outcome.returncode == 0, outcome.text[-3000:]
        return outcome

    def fail(self, script: str, ranks: int = 1) -> str:
        """Text of a run that must end with LAMMPS' own error, in joined lines.

        On a busy machine an abort may end `mpiexec` before it has passed on the last lines, hence a second time.
        """
        for _ in range(2):
            outcome = self.run(script, ranks)
            assert outcome.returncode != 0, outcome.text[-3000:]
            if "ERROR" in outcome.text:
                break
        assert "ERROR" in outcome.text, outcome.text[-3000:]
        return " ".join(outcome.text.split())


def read_thermo(text: str) -> dict[str, np.ndarray]:
    """All rows of all tables that share the last table's columns."""
    names: list[str] = []
    rows: list[list[float]] = []
    reading = False
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            names, reading = words, True
        elif line.startswith("Loop time"):
            reading = False
        elif reading and len(words) == len(names) and words[0].isdigit():
            rows.append([float(word) for word in words])
    table = np.array([row for row in rows if len(row) == len(names)])  # [n_outputs, n_columns]
    return {name: table[:, column] for column, name in enumerate(names)} if len(table) else {}


def read_dump(text: str) -> dict[str, np.ndarray]:
    """Columns of the last snapshot, in the order of the atoms' ids."""
    snapshot = text.rsplit("ITEM: ATOMS ", 1)[1].splitlines()
    names = snapshot[0].split()
    table = np.array([line.split() for line in snapshot[1:]], dtype=float).reshape(-1, len(names))
    table = table[np.argsort(table[:, names.index("id")])]
    return dict(zip(names, table.T, strict=True))


def script(
    data: str,
    model: Path | str,
    elements: str,
    *,
    state: str = "charge 0 spin 1",
    boundary: str = "p p p",
    units: str = "metal",
    before: str = "",
    pair: str = "",
    after: str = "run 0",
) -> str:
    """An input that writes thermo and per-atom quantities with all digits."""
    pair = pair or f"pair_style charon {model} {state}\npair_coeff * * {elements}"
    return f"""
units {units}
boundary {boundary}
atom_style charge
newton on
{before}
read_data {data}
{pair}
neighbor 1.0 bin
fix move all nve
fix state all pair 1 charon charge 0 spin 0
compute energy all pe/atom
thermo_style custom step {THERMO} etotal
thermo_modify format float %.17g
dump 1 all custom 1 dump.txt {PER_ATOM}
dump_modify 1 format float %.17g
{after}
"""
