"""One evaluation for training, ASE and reports: energy, forces, stress, charges, spins and dipole."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from charon.batch import Batch
from charon.model.derivatives import Derivatives
from charon.model.moments import dipole, quadrupole, relative_positions


@dataclass
class Prediction:
    """Outputs of a model for a batch; eV, A, e."""

    energies: Tensor  # [n_atoms] float64
    energy: Tensor  # [n_systems] float64
    forces: Tensor  # [n_atoms, 3]
    stress: Tensor  # [n_systems, 3, 3], zeros unless the cell is periodic in three directions
    charges: Tensor  # [n_atoms]
    spins: Tensor  # [n_atoms]
    dipole: Tensor  # [n_systems, 3], about the center of geometry
    quadrupole: Tensor  # [n_systems, 3, 3], traceless, about the center of geometry
    state_gradient: Tensor  # [n_systems, 2], dE/d(total charge, unpaired electrons), eV
    leftover: Tensor  # [n_systems, 2], squared leftover of charge and of spin, summed over the layers

    def to(self, device: torch.device | str) -> "Prediction":
        """The same prediction on another device."""
        return Prediction(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def forces_from_edges(edge_gradient: Tensor, edge_index: Tensor, n_atoms: int) -> Tensor:
    """Forces `[n_atoms, 3]` from dE/dedge_vector `[n_edges, 3]`; edges run from center to neighbor."""
    forces = torch.zeros((n_atoms, 3), dtype=edge_gradient.dtype, device=edge_gradient.device)
    forces = forces.index_add(0, edge_index[0], edge_gradient)
    return forces.index_add(0, edge_index[1], -edge_gradient)


def stress_from_strain(strain_gradient: Tensor, cell: Tensor, pbc: Tensor) -> Tensor:
    """Stress `[n_systems, 3, 3]`, eV/A^3, from dE/dstrain; zero where the cell is not periodic in 3 directions."""
    volume = torch.linalg.det(cell).abs()  # [n_systems]
    periodic = pbc.all(dim=1) & (volume > 0)
    inverse = torch.where(periodic, 1.0 / volume.clamp(min=1e-12), torch.zeros_like(volume))
    symmetric = 0.5 * (strain_gradient + strain_gradient.transpose(1, 2))
    return symmetric * inverse[:, None, None]


def evaluate(potential: nn.Module, batch: Batch, create_graph: bool = False) -> Prediction:
    """Energy and its derivatives for a batch of systems.

    `create_graph` keeps the graph, so that a loss on forces and stress can be differentiated.
    """
    outputs, gradients = Derivatives(potential)(*batch.inputs(), create_graph)
    if not create_graph:
        outputs, gradients = [t.detach() for t in outputs], [t.detach() for t in gradients]
    return prediction(batch, outputs, gradients)


def prediction(batch: Batch, outputs: list[Tensor], gradients: list[Tensor]) -> Prediction:
    """Properties of systems and atoms from the outputs and gradients of `Derivatives`."""
    energies, charge_spin, dipoles, leftover = outputs
    edge_gradient, position_gradient, strain_gradient, state_gradient = gradients
    n_systems = batch.cell.size(0)
    charges = charge_spin[:, 0]
    relative = relative_positions(batch.positions, batch.batch, n_systems)  # [n_atoms, 3]
    return Prediction(
        energies=energies,
        energy=energies.new_zeros(n_systems).index_add(0, batch.batch, energies),
        forces=forces_from_edges(edge_gradient, batch.edge_index, energies.size(0)) - position_gradient,
        stress=stress_from_strain(strain_gradient, batch.cell, batch.pbc),
        charges=charges,
        spins=charge_spin[:, 1],
        dipole=dipole(charges, dipoles, relative, batch.batch, n_systems),
        quadrupole=quadrupole(charges, dipoles, relative, batch.batch, n_systems),
        state_gradient=state_gradient,
        leftover=leftover,
    )
