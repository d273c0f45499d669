"""What both data sets share: Langevin dynamics with tight binding, saved frame by frame."""

from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from tblite.ase import TBLite

EQUILIBRATION_FRICTION = 0.02 / units.fs
FRICTION = 0.005 / units.fs


def tight_binding(method: str, charge: int = 0, spin: int = 1, accuracy: float = 1.0) -> TBLite:
    """The calculator of the dynamics; open shells are spin-polarized as they are in the labels."""
    return TBLite(
        method=method,
        charge=charge,
        multiplicity=spin,
        accuracy=accuracy,
        spin_polarization=1.0 if spin > 1 else None,
        verbosity=0,
    )


def langevin(atoms: Atoms, temperature: float, step: float, friction: float, seed: int) -> Langevin:
    """Langevin dynamics at `temperature` (K) with steps of `step` (fs)."""
    generator = np.random.default_rng(seed)
    return Langevin(atoms, step * units.fs, temperature_K=temperature, friction=friction, rng=generator, fixcm=False)


def heat(atoms: Atoms, temperature: float, seed: int) -> None:
    """Draw the velocities of `temperature` (K)."""
    MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=np.random.default_rng(seed))


def sample(
    atoms: Atoms,
    path: Path,
    *,
    temperature: float,
    step: float,
    equilibration: int,
    frames: int,
    spacing: int,
    seed: int,
    intact: Callable[[Atoms], bool] = lambda atoms: True,
) -> int:
    """Equilibrate, then append every `spacing`-th geometry to `path`; return how many there are.

    Stops at the first geometry that is not `intact`.
    """
    path.unlink(missing_ok=True)
    heat(atoms, temperature, seed)
    langevin(atoms, temperature, step, EQUILIBRATION_FRICTION, seed + 1).run(equilibration)
    dynamics = langevin(atoms, temperature, step, FRICTION, seed + 2)
    for frame in range(frames):
        dynamics.run(spacing)
        if not intact(atoms):
            return frame
        ase.io.write(path, geometry(atoms), append=True)
    return frames


def geometry(atoms: Atoms) -> Atoms:
    """The atoms without velocities and labels: wrapped in their cell, or centered when open."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info=dict(atoms.info))
    if bare.pbc.all():
        bare.wrap()
    else:
        bare.positions -= bare.get_center_of_mass()
    return bare
