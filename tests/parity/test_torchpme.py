"""Energies, forces and stresses of point charges against torch-pme (Loche et al., J. Chem. Phys. 162 (2025) 142501)."""

import numpy as np
import pytest
import torch
import torchpme
from ase import Atoms
from ase.build import bulk

from charon.batch import Batch, collate, make_graph
from charon.model.electrostatics import Coulomb, ElectrostaticsConfig
from charon.structure import Structure
from charon.units import COULOMB

ELEMENTS, CUTOFF = [11, 17], 5.0


def salt(charge: float) -> tuple[Batch, torch.Tensor]:
    """Disordered sodium chloride in a sheared cell, and charges of its ions."""
    atoms: Atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat((2, 1, 1))
    atoms.set_cell(atoms.cell.array @ np.array([[1.0, 0.05, 0], [0.1, 0.98, 0], [-0.04, 0.05, 1.03]]), scale_atoms=True)
    atoms.rattle(0.2, seed=5)
    atoms.info.update(charge=0, spin=1)
    charges = np.where(atoms.numbers == 11, 1.0, -1.0) + np.random.default_rng(1).normal(0, 0.2, len(atoms))
    graph = make_graph(Structure.from_atoms(atoms, source="salt"), ELEMENTS, CUTOFF)
    return collate([graph]), torch.tensor(charges - charges.mean() + charge / len(atoms))


def ours(batch: Batch, charges: torch.Tensor, positions: torch.Tensor, cell: torch.Tensor, edges: torch.Tensor):
    coulomb = Coulomb(ELEMENTS, CUTOFF, ElectrostaticsConfig(widths=0.0, method="ewald")).double()
    prepared = coulomb.prepare(batch.types, batch.edge_index, edges, positions, cell[None], batch.pbc, batch.batch)
    return 0.5 * charges @ coulomb.potential(charges, prepared)


def theirs(batch: Batch, charges: torch.Tensor, positions: torch.Tensor, cell: torch.Tensor, edges: torch.Tensor):
    potential = torchpme.CoulombPotential(smearing=0.8, prefactor=COULOMB)
    ewald = torchpme.EwaldCalculator(potential, lr_wavelength=0.5, full_neighbor_list=True).to(torch.float64)
    found = ewald(charges[:, None], cell, positions, batch.edge_index.t(), edges.norm(dim=1))
    return charges @ found[:, 0]


@pytest.mark.parametrize("charge", [0.0, 2.0])
def test_energy_forces_and_strain_equal_torchpme(charge):
    batch, charges = salt(charge)
    found = []
    for function in (ours, theirs):
        deformation = torch.eye(3, dtype=torch.float64, requires_grad=True)
        moved = batch.positions.clone().requires_grad_()
        shift = batch.edge_vector - batch.positions[batch.edge_index[1]] + batch.positions[batch.edge_index[0]]
        positions, cell = moved @ deformation, batch.cell[0] @ deformation
        edges = positions[batch.edge_index[1]] - positions[batch.edge_index[0]] + shift @ deformation
        energy = function(batch, charges, positions, cell, edges)
        forces, strain = torch.autograd.grad(energy, [moved, deformation])
        found.append((energy.detach(), forces, 0.5 * (strain + strain.t())))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-6, atol=0)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[0][2], found[1][2], rtol=0, atol=1e-4)
