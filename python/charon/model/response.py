"""Responses of charges: Born effective charges and the polarizability of a charge solver, by differentiation."""

import torch
from ase.geometry import find_mic
from torch import Tensor

from charon.batch import Batch
from charon.errors import CharonError
from charon.model.evaluate import forces_from_edges
from charon.model.moments import relative_positions
from charon.model.potential import Potential


def _single(batch: Batch, what: str) -> None:
    if batch.n_systems != 1:
        raise CharonError(f"{what}: expected a batch of one system, found {batch.n_systems}; collate one graph")


def born_charges(potential: Potential, batch: Batch) -> Tensor:
    """Born effective charges dP_a/du_ib of one system, molecule or crystal: [n_atoms, 3 (a), 3 (b)], e.

    `Z_iab = q_i delta_ab + sum_j (r_j - r_i)_a dq_j/du_ib + sum_j dmu_ja/du_ib`, with atomic dipoles mu. As charge is
    conserved, it does not matter from where r_j is measured; measured from the moved atom, by the nearest image, the
    sum is the current of the charges that follow the atom, and so holds in a crystal, as long as charges answer within
    half the cell. Raises CharonError for a batch of several systems. Costs one backward pass per atom.
    """
    _single(batch, "born_charges")
    edge_vector = batch.edge_vector.detach().requires_grad_(True)
    positions = batch.positions.detach().requires_grad_(True)
    inputs = (batch.types, batch.edge_index, edge_vector, positions, *batch.inputs()[4:])
    _, charge_spin, dipoles, _ = potential(*inputs)

    def derivative(value: Tensor) -> Tensor:
        """d(value)/du of each atom: [n_atoms, 3]."""
        if not value.requires_grad:
            return torch.zeros_like(positions)
        edge, direct = torch.autograd.grad(value, (edge_vector, positions), retain_graph=True, allow_unused=True)
        zeros = torch.zeros_like(positions)
        from_edges = zeros if edge is None else -forces_from_edges(edge, batch.edge_index, zeros.size(0))
        return from_edges + (zeros if direct is None else direct)

    charges, place = charge_spin[:, 0], positions.detach()
    born = charges.detach()[:, None, None] * torch.eye(3, dtype=place.dtype)  # [n_atoms, 3, 3]
    for j in range(place.size(0)):
        offset = find_mic((place[j] - place).numpy(), batch.cell[0].numpy(), batch.pbc[0].numpy())[0]  # [n_atoms, 3]
        born = born + torch.as_tensor(offset, dtype=place.dtype)[:, :, None] * derivative(charges[j])[:, None, :]
    for axis in range(3):
        born[:, axis] += derivative(dipoles[:, axis].sum())
    return born


def polarizability(potential: Potential, batch: Batch) -> Tensor:
    """Polarizability dmu_a/dE_b of the charges of one molecule: [3, 3], e A^2/V, with the atoms at rest.

    Charge solvers answer to an outer field; charges that are functions of the environment only do not, and atomic
    dipoles neither. Raises CharonError for several systems, a periodic one, or a model without a charge solver.
    """
    _single(batch, "polarizability")
    if bool(batch.pbc.any()) or potential.config.charge_solver == "none":
        found = "a periodic system" if bool(batch.pbc.any()) else "charge_solver 'none'"
        raise CharonError(f"polarizability: expected a molecule and a model with a charge solver, found {found}")
    field = torch.zeros(3, dtype=batch.positions.dtype, requires_grad=True)
    before, potential.external_field = potential.external_field, field
    try:
        charges = potential(*batch.inputs())[1][:, 0]
    finally:
        potential.external_field = before
    relative = relative_positions(batch.positions, batch.batch, 1)
    rows = [torch.autograd.grad((charges * relative[:, a]).sum(), field, retain_graph=True)[0] for a in range(3)]
    return torch.stack(rows)
