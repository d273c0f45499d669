"""Charged systems of every boundary, and one evaluation of their electrostatics, for the tests of it."""

from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk

from charon.batch import Batch, collate, make_graph
from charon.model.electrostatics import Coulomb, ElectrostaticsConfig
from charon.structure import Structure

CUTOFF = 5.0


@dataclass
class Found:
    """Electrostatics of a batch: eV, V, A, eV per unit strain."""

    energy: np.ndarray  # [n_systems]
    potential: np.ndarray  # [n_atoms]
    field: np.ndarray  # [n_atoms, 3]
    forces: np.ndarray  # [n_atoms, 3]
    strain: np.ndarray  # [n_systems, 3, 3], dE/dstrain


def ions(pbc: tuple[bool, bool, bool] = (True, True, True), charge: float = 0.0, seed: int = 3) -> Atoms:
    """Ten ions of three elements in a triclinic cell, with charges that sum to `charge`."""
    random = np.random.default_rng(seed)
    atoms = bulk("NaCl", "rocksalt", a=5.2, cubic=True)
    atoms += Atoms("BrH", positions=[[1.3, 1.3, 1.3], [3.9, 1.3, 3.9]])
    shear = np.array([[1.0, 0.05, 0.0], [0.08, 0.97, 0.0], [-0.05, 0.04, 1.06]])
    atoms.set_cell(atoms.cell.array @ shear, scale_atoms=True)
    atoms.rattle(0.12, seed=seed)
    atoms.pbc = pbc
    charges = random.normal(size=len(atoms))
    atoms.arrays["q"] = charges - charges.mean() + charge / len(atoms)
    atoms.info.update(charge=0, spin=1)
    return atoms


def crystal(atoms: Atoms, charges: dict[str, float]) -> Atoms:
    """A crystal with the charge of each element."""
    atoms.arrays["q"] = np.array([charges[symbol] for symbol in atoms.symbols])
    atoms.info.update(charge=0, spin=1)
    return atoms


def deformed(atoms: Atoms, strain: np.ndarray) -> Atoms:
    """A copy with positions and cell deformed alike."""
    changed = atoms.copy()
    deformation = np.eye(3) + strain
    changed.positions = atoms.positions @ deformation
    changed.cell = atoms.cell.array @ deformation
    return changed


def moved(atoms: Atoms, change: np.ndarray) -> Atoms:
    """A copy with other positions."""
    changed = atoms.copy()
    changed.positions = atoms.positions + change
    return changed


def problem(
    systems: Atoms | list[Atoms], dtype: torch.dtype, cutoff: float, elements: list[int] | None, options: dict
) -> tuple[Coulomb, Batch, torch.Tensor]:
    """Systems side by side with the charges `arrays["q"]`, and the electrostatics of their elements."""
    systems = [systems] if isinstance(systems, Atoms) else systems
    elements = elements or sorted({int(z) for atoms in systems for z in atoms.numbers})
    graphs = [make_graph(Structure.from_atoms(atoms, source="test"), elements, cutoff) for atoms in systems]
    charges = torch.tensor(np.concatenate([atoms.arrays["q"] for atoms in systems]), dtype=dtype)
    return Coulomb(elements, cutoff, ElectrostaticsConfig(**options)).to(dtype), collate(graphs, dtype), charges


def evaluate(
    systems: Atoms | list[Atoms],
    dtype: torch.dtype = torch.float64,
    cutoff: float = CUTOFF,
    elements: list[int] | None = None,
    **options: object,
) -> Found:
    """The electrostatics of systems side by side."""
    return evaluated(*problem(systems, dtype, cutoff, elements, options))


def potential(atoms: Atoms, **options: object) -> np.ndarray:
    """Potential at the atoms of one system [n_atoms], without derivatives."""
    coulomb, batch, charges = problem(atoms, torch.float64, CUTOFF, None, options)
    with torch.no_grad():
        return coulomb.potential(charges, coulomb.prepare(*batch.inputs()[:6], batch.batch)).numpy()


def energy(atoms: Atoms, **options: object) -> float:
    """Energy of one system, without derivatives."""
    return float(0.5 * atoms.arrays["q"] @ potential(atoms, **options))


def evaluated(coulomb: Coulomb, batch: Batch, charges: torch.Tensor) -> Found:
    """Energies and their derivatives, by edges, positions and cell as `Derivatives` takes them."""
    edges, positions, cell = (t.clone().requires_grad_() for t in (batch.edge_vector, batch.positions, batch.cell))
    prepared = coulomb.prepare(batch.types, batch.edge_index, edges, positions, cell, batch.pbc, batch.batch)
    potential = coulomb.potential(charges, prepared)
    energies = 0.5 * charges * potential
    wanted = [edges, positions, cell]
    of_edges, of_positions, of_cell = torch.autograd.grad(energies.sum(), wanted, materialize_grads=True)
    center, neighbor = batch.edge_index
    forces = (-of_positions).index_add(0, center, of_edges).index_add(0, neighbor, -of_edges)
    zeros = torch.zeros_like(cell)
    strain = zeros.index_add(0, batch.batch[center], edges.unsqueeze(2) * of_edges.unsqueeze(1))
    strain = strain.index_add(0, batch.batch, positions.unsqueeze(2) * of_positions.unsqueeze(1))
    strain = strain + cell.transpose(1, 2) @ of_cell
    found = (
        energies.new_zeros(batch.n_systems).index_add(0, batch.batch, energies),
        potential,
        coulomb.field(charges, prepared),
        forces,
        0.5 * (strain + strain.transpose(1, 2)),
    )
    return Found(*(tensor.detach().double().numpy() for tensor in found))
