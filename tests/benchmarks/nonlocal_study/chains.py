"""Polyynes shorter and longer than those of training: do errors stay?

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.presets.run --sets carbon_chain --steps 1000 --seeds 0 1 2
    python -m tests.benchmarks.nonlocal_study.chains --steps 1000

Takes the runs on C10H2 and C10H3+ and asks for C_nH2 and C_nH3+ of 6 to 20 carbons, sampled at 300 K and labelled by
GFN2-xTB as the set is. One length says nothing of the energy of one more carbon, so energies are compared about their
mean over the frames of a composition. Frames go to runs/chains, figures to results/chains.json.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import ase.io
import ase.units
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import BFGS

from charon.data.engine import TbliteEngine
from charon.model import Potential

from ...molecules import polyyne
from ..frames import read_frames
from ..presets.run import ROOT
from .trained import Trained, options, predict

RESULTS = Path(__file__).parents[1] / "results" / "chains.json"
WORK = ROOT / "runs" / "chains"
LENGTHS = (6, 8, 10, 12, 14, 16, 20)
FRAMES, APART = 20, 20
"""Frames per composition, steps of 0.5 fs between them."""


class Labels(Calculator):
    """GFN2-xTB for ASE, charge and multiplicity from `info`."""

    implemented_properties = ["energy", "forces", "charges"]  # noqa: RUF012 (as ASE declares it)

    def __init__(self) -> None:
        super().__init__()
        self.engine = TbliteEngine("GFN2-xTB")

    def calculate(self, atoms: Atoms | None = None, properties: Any = (), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        assert atoms is not None
        labels = self.engine.single_point(atoms, atoms.info["charge"], atoms.info["spin"])
        self.results = {name: labels[name] for name in self.implemented_properties}
        self.results["energy"] = float(labels["energy"])


def start(carbons: int, charge: int) -> Atoms:
    """C_nH2, or C_nH3+ with the third hydrogen at one end."""
    chain = polyyne(carbons)
    if charge == 0:
        return chain
    last = chain.positions[carbons - 1]
    places = [*chain.positions[:-1], last + [0.93, 0.0, 0.55], last + [-0.93, 0.0, 0.55]]
    return Atoms(f"C{carbons}H3", places, info={"charge": 1, "spin": 1})


def sampled(carbons: int, charge: int) -> list[Atoms]:
    """Labelled frames at 300 K; read again if they stand."""
    path = WORK / f"C{carbons}-{charge}.xyz"
    if path.is_file():
        return read_frames(path)
    random = np.random.default_rng(10 * carbons + charge)
    atoms = start(carbons, charge)
    atoms.calc = Labels()
    BFGS(atoms, logfile=None).run(fmax=0.1, steps=100)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300, rng=random)
    dynamics = Langevin(atoms, 0.5 * ase.units.fs, temperature_K=300, friction=0.02 / ase.units.fs, rng=random)
    dynamics.run(10 * APART)
    frames = []
    for _ in range(FRAMES):
        dynamics.run(APART)
        frame = Atoms(atoms.numbers, atoms.positions, info=dict(atoms.info))
        frame.calc = SinglePointCalculator(frame, **atoms.calc.results)
        frames.append(frame)
    WORK.mkdir(parents=True, exist_ok=True)
    ase.io.write(path, frames, format="extxyz")
    return frames


def errors(potential: Potential, frames: list[Atoms]) -> dict[str, float]:
    """RMSE: energy about its mean (meV/atom), forces (meV/A), charges (me)."""
    found = [predict(potential, frame) for frame in frames]
    energy = np.array([float(p.energy[0]) - f.get_potential_energy() for p, f in zip(found, frames, strict=True)])
    forces = np.concatenate([p.forces.numpy() - f.get_forces() for p, f in zip(found, frames, strict=True)])
    charges = np.concatenate([p.charges.numpy() - f.get_charges() for p, f in zip(found, frames, strict=True)])
    return {
        "energy": 1e3 * float(energy.std()) / len(frames[0]),
        "forces": 1e3 * float(np.sqrt(np.mean(forces**2))),
        "charges": 1e3 * float(np.sqrt(np.mean(charges**2))),
    }


def main() -> None:
    """Command line."""
    chosen = options(__doc__, "local,nse,learned,full")
    trained = Trained("carbon_chain", chosen.steps, tuple(chosen.seeds), chosen.runs)
    found: dict[str, Any] = {**trained.about, "presets": {}}
    for preset in chosen.presets.split(","):
        potentials = trained.potentials(preset)
        rows: dict[str, Any] = {}
        for carbons, charge in product(LENGTHS, (0, 1)):
            name, frames = f"C{carbons}H{2 + charge}" + "+" * charge, sampled(carbons, charge)
            by_seed = [errors(potential, frames) for potential in potentials]
            rows[name] = {key: [e[key] for e in by_seed] for key in by_seed[0]}
            print(f"{preset}, {name}: {rows[name]}", flush=True)
        found["presets"][preset] = rows
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
