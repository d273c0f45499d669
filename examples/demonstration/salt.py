"""What the molten salt says: pair distributions, pressure, charges, drift, beside the labelled dynamics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units

from charon.data import read_structures
from charon.structure import Structure
from charon.train.config import DataConfig
from demonstration.analysis import (
    PAIRS,
    Distribution,
    Drift,
    block_mean,
    energy_drift,
    first_peak,
    mean_distribution,
    pressure,
)
from demonstration.melt import FRAME_SPACING, SYSTEM, TEMPERATURE
from demonstration.simulation import Thermo, read_dump, read_thermo

BLOCK_LABELLED, BLOCK_SIMULATED = 15, 3
"""Frames in a block of the error estimates: 0.3 ps of the labelled dynamics, 60 fs of 4096 ions."""
REACH = {"Na-Na": 0.7, "Na-Cl": 0.25, "Cl-Cl": 0.7}
"""How far from its top a peak is fitted by a parabola, A."""
Distributions = dict[str, Distribution]


@dataclass(frozen=True)
class Salt:
    """Results of the simulation and the same from the labelled structures.

    Args:
        labelled, nvt, nve: pair distributions by pair, as `Na-Cl`.
        runs: thermodynamic output of NVT and NVE.
        n_ions: in the simulation.
        frames: labelled structures at this condition.
        labelled_pressure, model_pressure: mean and standard error, GPa; the model's of both second halves.
        labelled_charge, model_charge: mean charge of Na, e.
        drift: of the total energy in NVE.
    """

    labelled: Distributions
    nvt: Distributions
    nve: Distributions
    runs: list[Thermo]
    n_ions: int
    frames: int
    labelled_pressure: tuple[float, float]
    model_pressure: tuple[float, float]
    labelled_charge: float
    model_charge: float
    drift: Drift

    def peaks(self) -> dict[str, list[tuple[float, float]]]:
        """(position A, height) of the first peak of each pair: labelled, in NVT and in NVE."""
        parts = (self.labelled, self.nvt, self.nve)
        return {pair: [first_peak(part[pair], REACH[pair]) for part in parts] for pair in self.labelled}


def labelled_trajectories(config: DataConfig) -> list[list[Structure]]:
    """The structures of each file at the simulated condition: each file is a trajectory of its own."""
    files = [config.train, config.validation, config.test]
    sets = [read_structures(paths) for paths in files if not isinstance(paths, float) and paths]
    return [[s for s in structures if s.system == SYSTEM] for structures in sets]


def evaluate_salt(config: DataConfig, folder: Path) -> Salt:
    """Reads the labelled structures and the files of the simulation in `folder`."""
    labelled = labelled_trajectories(config)
    r_max = 0.499 * min(np.linalg.norm(labelled[0][0].cell, axis=1))
    nvt, nve = read_thermo(folder / "log.lammps")
    frames = read_dump(folder / "melt.dump")
    n_ions = len(frames[0])
    parts = second_halves(frames, steps=len(nve["Step"]) - 1)
    return Salt(
        labelled=distributions([[s.to_atoms() for s in part] for part in labelled], r_max, BLOCK_LABELLED),
        nvt=distributions([parts[0]], r_max, BLOCK_SIMULATED),
        nve=distributions([parts[1]], r_max, BLOCK_SIMULATED),
        runs=[nvt, nve],
        n_ions=n_ions,
        frames=sum(len(part) for part in labelled),
        labelled_pressure=labelled_pressure(labelled),
        model_pressure=simulated_pressure([nvt, nve]),
        labelled_charge=mean_charge([(s.numbers, s.labels["charges"]) for part in labelled for s in part]),
        model_charge=mean_charge([(a.numbers, a.get_initial_charges()) for part in parts for a in part]),
        drift=energy_drift(nve["Time"], nve["TotEng"], n_ions),
    )


def second_halves(frames: list[Atoms], steps: int) -> tuple[list[Atoms], list[Atoms]]:
    """The frames in the later half of NVT and of NVE, each of `steps`; the first frame is the start."""
    each = steps // FRAME_SPACING
    return frames[each // 2 + 1 : each + 1], frames[each + each // 2 + 1 :]


def distributions(trajectories: list[list[Atoms]], r_max: float, block: int) -> Distributions:
    """The pair distributions of all pairs, by name."""
    return {f"{a}-{b}": mean_distribution(trajectories, (a, b), r_max, block) for a, b in PAIRS}


def labelled_pressure(trajectories: list[list[Structure]]) -> tuple[float, float]:
    """Mean and standard error of the labelled pressure, GPa, kinetic part included."""
    series = [
        np.array([pressure(s.labels["stress"], s.cell, s.n_atoms, TEMPERATURE) for s in structures])
        for structures in trajectories
    ]
    mean, error = block_mean(series, BLOCK_LABELLED)
    return float(mean), float(error)


def simulated_pressure(runs: list[Thermo]) -> tuple[float, float]:
    """Mean and standard error of the pressure over the second half of each run, GPa."""
    halves = [run["Press"][len(run["Press"]) // 2 :] * units.bar / units.GPa for run in runs]
    mean, error = block_mean(halves, block=len(halves[0]) // 3)
    return float(mean), float(error)


def mean_charge(frames: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean charge of sodium over frames of (atomic numbers, charges), e."""
    return float(np.mean([charges[numbers == 11].mean() for numbers, charges in frames]))
