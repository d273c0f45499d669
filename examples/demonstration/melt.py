"""Molten NaCl in LAMMPS from a model trained on 64 ions: how long it runs, and what is compared with ASE."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from charon import Calculator
from charon.structure import Structure
from charon.train.progress import clock
from demonstration.simulation import (
    loop_seconds,
    read_dump,
    read_thermo,
    run_lammps,
    step_seconds,
    write_data,
)

SYSTEM, TEMPERATURE = "NaCl 1300K 1.65", 1300
REPLICAS = 4
TRIAL_STEPS = 8
LEAST_STEPS, MOST_STEPS = 150, 1000
"""Steps at constant temperature, and as many at constant energy."""
FRAME_SPACING = 10


@dataclass(frozen=True)
class Plan:
    """Length of the run: steps of each half, and the time of a step that they were chosen by (s)."""

    steps: int
    step_seconds: float


def plan_steps(seconds_per_step: float, budget: float) -> int:
    """Steps of each half that fit into `budget` (s), a multiple of the frame spacing, at least 150."""
    steps = int(budget / (2 * seconds_per_step)) // FRAME_SPACING * FRAME_SPACING
    return min(MOST_STEPS, max(LEAST_STEPS, steps))


def starting_frame(structures: list[Structure]) -> Structure:
    """The last structure of the condition that is simulated."""
    return [structure for structure in structures if structure.system == SYSTEM][-1]


def simulate(model: Path, start: Structure, folder: Path, budget: float, console: Console) -> Plan:
    """Runs 4096 ions on two ranks, first a few steps to measure the speed, then NVT and NVE in `budget` s."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "start.data"
    write_data(data, start.to_atoms())
    variables = {
        "model": model.resolve(),
        "data": data.resolve(),
        "temperature": TEMPERATURE,
        "replicas": REPLICAS,
        "every": FRAME_SPACING,
    }
    with console.status("a few steps, to measure the speed"):
        trial = run_lammps("salt.in", folder / "trial", {**variables, "nvt": TRIAL_STEPS, "nve": 0})
    seconds = step_seconds(read_thermo(trial)[0])
    steps = plan_steps(seconds, budget)
    n_ions = start.n_atoms * REPLICAS**3
    speed = 1e6 * seconds / n_ions
    console.print(
        f"{n_ions} ions, {speed:.0f} µs per ion and step: {steps} steps of 2 fs in NVT and {steps} in NVE "
        f"take about {clock(2 * steps * seconds / 60)} minutes",
        highlight=False,
    )
    with _bar(console) as bar:
        task = bar.add_task("molten NaCl, two ranks", total=2 * steps)
        run_lammps(
            "salt.in",
            folder,
            {**variables, "nvt": steps, "nve": steps},
            follow=lambda step: bar.update(task, completed=step),
        )
        bar.update(task, completed=2 * steps)
    return Plan(steps, seconds)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
    )


def measured_speed(folder: Path) -> tuple[float, float]:
    """Seconds of both halves together, and microseconds per ion and step (wall time on two ranks)."""
    log = folder / "log.lammps"
    seconds = sum(loop_seconds(log))
    steps = sum(len(thermo["Step"]) - 1 for thermo in read_thermo(log))
    n_ions = len(read_dump(folder / "last.dump")[0])
    return seconds, 1e6 * seconds / (steps * n_ions)


@dataclass(frozen=True)
class Agreement:
    """The last configuration evaluated in two ways: energies in eV, largest difference of forces in eV/A."""

    what: str
    dtype: str
    energy: float
    energy_difference: float
    force_difference: float


@dataclass(frozen=True)
class Evaluated:
    """Energy (eV) and forces [n_atoms, 3] (eV/A) of the last configuration."""

    energy: float
    forces: np.ndarray

    def against(self, other: "Evaluated", what: str, dtype: str) -> Agreement:
        """The difference to another evaluation."""
        difference = float(np.abs(self.forces - other.forces).max())
        return Agreement(what, dtype, other.energy, self.energy - other.energy, difference)


def compare(model: Path, double: Path, folder: Path) -> list[Agreement]:
    """The last configuration by LAMMPS on two ranks and one rank and by ASE, as run and in float64.

    Args:
        model: the exported file that was run.
        double: the same weights exported in float64.
        folder: where `simulate` ran.
    """
    last = read_dump(folder / "last.dump")[0]
    thermo = read_thermo(folder / "log.lammps")[-1]
    found = []
    for path, two_ranks in (
        (model, Evaluated(float(thermo["PotEng"][-1]), last.get_forces())),
        (double, single_point(double, folder, ranks=2)),
    ):
        calculator = Calculator(path, charge=0, spin=1)
        dtype = str(calculator.model.metadata["dtype"])
        ase = by_ase(calculator, last)
        one_rank = single_point(path, folder, ranks=1)
        found.append(two_ranks.against(one_rank, "LAMMPS, 2 ranks against 1 rank", dtype))
        found.append(two_ranks.against(ase, "LAMMPS, 2 ranks against ASE", dtype))
    return found


def single_point(model: Path, folder: Path, ranks: int) -> Evaluated:
    """The last configuration by LAMMPS."""
    place = folder / f"{model.stem}-{ranks}"
    variables = {"model": model.resolve(), "data": (folder / "last.data").resolve()}
    log = run_lammps("single_point.in", place, variables, ranks=ranks)
    forces = read_dump(place / "forces.dump")[0].get_forces()
    return Evaluated(float(read_thermo(log)[0]["PotEng"][0]), forces)


def by_ase(calculator: Calculator, atoms: Atoms) -> Evaluated:
    """A configuration by the ASE calculator."""
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True, calculator=calculator)
    return Evaluated(copy.get_potential_energy(), copy.get_forces())


def save_agreements(path: Path, agreements: list[Agreement]) -> None:
    """Writes them as JSON."""
    path.write_text(json.dumps([asdict(agreement) for agreement in agreements], indent=1) + "\n")


def load_agreements(path: Path) -> list[Agreement]:
    """What `save_agreements` wrote."""
    return [Agreement(**entry) for entry in json.loads(path.read_text())]
