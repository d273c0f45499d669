"""Molten NaCl, 64 ions, GFN1-xTB: the table of trajectories and how each is run.

A rigid-ion melt of the same temperature and density gives the start (LAMMPS, Tosi-Fumi parameters);
a short equilibration with GFN1-xTB follows, then the production. The pressure of GFN1-xTB vanishes
near 1.65 g/cm3 at 1300 K (experiment: near 1.45), so the densities are chosen around that.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from sampling.trajectory import sample, tight_binding

METHOD = "GFN1-xTB"
STEP = 5.0  # fs
SPACING = 4  # steps between frames
# The dynamics needs no tight convergence: the labels are computed afresh.
DYNAMICS_ACCURACY = 300.0


@dataclass(frozen=True)
class Trajectory:
    """One run: temperature in K, density in g/cm3, equilibration in steps."""

    split: str
    temperature: int
    density: float
    seed: int
    equilibration: int
    frames: int

    @property
    def name(self) -> str:
        return f"salt-{self.split}-{self.temperature}K-{self.density:.2f}"


TRAJECTORIES = [
    # the condition of the demonstration
    Trajectory("train", 1300, 1.65, 1100, 100, 90),
    Trajectory("validation", 1300, 1.65, 2100, 50, 15),
    Trajectory("test", 1300, 1.65, 3100, 50, 20),
    # colder, hotter and denser
    Trajectory("train", 1100, 1.75, 1200, 40, 22),
    Trajectory("validation", 1100, 1.75, 2200, 24, 5),
    Trajectory("test", 1100, 1.75, 3200, 24, 7),
    Trajectory("train", 1500, 1.55, 1300, 40, 22),
    Trajectory("validation", 1500, 1.55, 2300, 24, 5),
    Trajectory("test", 1500, 1.55, 3300, 24, 7),
    Trajectory("train", 1300, 1.85, 1400, 40, 22),
    Trajectory("validation", 1300, 1.85, 2400, 24, 5),
    Trajectory("test", 1300, 1.85, 3400, 24, 7),
    # short contacts, so that a long run never meets a distance that training has not seen
    Trajectory("train", 2500, 1.80, 1500, 24, 16),
    Trajectory("train", 2000, 2.05, 1600, 24, 8),
]

MELT = """
units metal
atom_style charge
lattice custom {spacing} a1 1 0 0 a2 0 1 0 a3 0 0 1 &
  basis 0 0 0 basis .5 .5 0 basis .5 0 .5 basis 0 .5 .5 &
  basis .5 0 0 basis 0 .5 0 basis 0 0 .5 basis .5 .5 .5
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box basis 5 2 basis 6 2 basis 7 2 basis 8 2
mass 1 {mass_na}
mass 2 {mass_cl}
set type 1 charge 1
set type 2 charge -1
pair_style born/coul/long 5.0
pair_coeff 1 1 0.2637 0.317 2.340 1.05 -0.499
pair_coeff 1 2 0.2110 0.317 2.755 6.99 -8.676
pair_coeff 2 2 0.1582 0.317 3.170 72.40 -145.427
kspace_style ewald 1e-4
timestep 0.002
velocity all create 3000 {seed}
fix thermostat all nvt temp 3000 3000 0.1
run 5000
fix thermostat all nvt temp {temperature} {temperature} 0.1
run 10000
dump final all custom 1 melt.dump id type x y z
dump_modify final sort id
run 0
"""


def melt(temperature: float, density: float, seed: int) -> Atoms:
    """64 ions of a Tosi-Fumi melt (Tosi and Fumi, J. Phys. Chem. Solids 25, 45 (1964))."""
    masses = {"mass_na": atomic_masses[11], "mass_cl": atomic_masses[17]}
    volume = 32 * sum(masses.values()) / (0.602214076 * density)
    length = volume ** (1 / 3)
    lammps = Path(sys.executable).with_name("lmp")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "melt.in"
        script.write_text(MELT.format(spacing=length / 2, seed=seed, temperature=temperature, **masses))
        command = [lammps, "-in", script.name, "-log", "none", "-screen", "none"]
        subprocess.run(command, cwd=folder, check=True)
        rows = np.loadtxt(Path(folder) / "melt.dump", skiprows=9)[-64:]  # [64, id type x y z]
    numbers = np.where(rows[:, 1] == 1, 11, 17)
    return Atoms(numbers, rows[:, 2:5], cell=[length] * 3, pbc=True)


def run(trajectory: Trajectory, folder: Path) -> Path:
    """Run one trajectory unless its file is complete; return the file of bare geometries."""
    path = folder / f"{trajectory.name}.xyz"
    if path.exists() and len(ase.io.read(path, ":")) == trajectory.frames:
        return path
    temperature = trajectory.temperature
    atoms = melt(temperature, trajectory.density, trajectory.seed)
    atoms.info = {
        "system": f"NaCl {temperature}K {trajectory.density:.2f}",
        "charge": 0,
        "spin": 1,
        "temperature": temperature,
        "trajectory": trajectory.name,
    }
    atoms.calc = tight_binding(METHOD, accuracy=DYNAMICS_ACCURACY)
    sample(
        atoms,
        path,
        temperature=temperature,
        step=STEP,
        equilibration=trajectory.equilibration,
        frames=trajectory.frames,
        spacing=SPACING,
        seed=trajectory.seed,
    )
    return path
