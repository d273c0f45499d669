"""Electrostatics of one system over several domains is that of one domain."""

import numpy as np
import pytest
import torch
from ase import Atoms

from charon.model.electrostatics import gather_open, gathered_rows
from charon.ops import halo_reverse
from charon.ops.emulation import Domain, run_domains

from .electrostatics import CUTOFF, ions, problem

BULK = (True, True, True)
CASES = {
    "open": ((False, False, False), {}),
    "ewald": (BULK, {"method": "ewald"}),
    "points": (BULK, {"method": "ewald", "widths": 0.0}),
    "mesh": (BULK, {"method": "mesh"}),
    "slab": ((True, True, False), {"method": "ewald"}),
}
SHARES = {1: [10], 2: [4, 6], 3: [3, 0, 7]}


def share(domain: Domain, atoms: Atoms, options: dict) -> tuple[torch.Tensor, ...]:
    """Energy, potential, field, forces and strain derivative of this domain's atoms."""
    coulomb, batch, charges = problem(atoms, torch.float64, CUTOFF, None, options)
    sizes = SHARES[domain.size]
    first = sum(sizes[: domain.rank])
    own = torch.arange(first, first + sizes[domain.rank])
    home = torch.tensor([[rank, k] for rank, size in enumerate(sizes) for k in range(size)])
    mine = torch.isin(batch.edge_index[0], own)
    center, neighbor = batch.edge_index[:, mine]
    ghosts = neighbor[~torch.isin(neighbor, own)].unique()
    row = torch.full((len(atoms),), -1).index_put((torch.cat([own, ghosts]),), torch.arange(len(own) + len(ghosts)))
    domain.set_ghosts(home[ghosts, 0], home[ghosts, 1])
    edges = batch.edge_vector[mine].requires_grad_()
    positions, cell = batch.positions[own].requires_grad_(), batch.cell.clone().requires_grad_()
    types, edge_index = batch.types[torch.cat([own, ghosts])], torch.stack([row[center], row[neighbor]])
    prepared = coulomb.prepare(types, edge_index, edges, positions, cell, batch.pbc, batch.batch[own])
    potential, field = coulomb.potential(charges[own], prepared), coulomb.field(charges[own], prepared)
    energy = (0.5 * charges[own] * potential).sum()
    of_edges, of_positions, of_cell = torch.autograd.grad(
        energy + field.square().sum(), [edges, positions, cell], materialize_grads=True
    )
    on_all = torch.zeros(len(types), 3, dtype=torch.float64).index_add(0, edge_index[0], of_edges)
    forces = halo_reverse(on_all.index_add(0, edge_index[1], -of_edges), len(own)) - of_positions
    strain = edges.t() @ of_edges + positions.t() @ of_positions + cell[0].t() @ of_cell[0]
    return energy.detach(), strain.detach(), potential.detach(), field.detach(), forces.detach()


@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize("size", [2, 3])
def test_domains_equal_one(name, size):
    pbc, options = CASES[name]
    atoms = ions(pbc=pbc, charge=0.6)
    whole = run_domains(1, lambda domain: share(domain, atoms, options))[0]
    parts = run_domains(size, lambda domain: share(domain, atoms, options))
    for k in (0, 1):
        torch.testing.assert_close(sum(part[k] for part in parts), whole[k], rtol=1e-11, atol=1e-11)
    for k in (2, 3, 4):
        torch.testing.assert_close(torch.cat([part[k] for part in parts]), whole[k], rtol=1e-10, atol=1e-10)


def test_systems_of_a_batch_over_domains_are_gathered_in_order():
    """Three systems of 5, 0 and 4 atoms, in two domains that hold parts of them."""
    systems = torch.tensor([0, 2, 0, 2, 0, 2, 0, 2, 0])
    positions = torch.arange(27, dtype=torch.float64).reshape(9, 3) + 1.0
    rows = [slice(0, 4), slice(4, 9)]

    def gather(domain: Domain) -> list[torch.Tensor]:
        own = rows[domain.rank]
        layout = gather_open(positions[own], systems[own], 3)
        return [*layout, gathered_rows(positions[own, 0], layout)]

    for rank, (slot, present, padded, first) in enumerate(run_domains(2, gather)):
        assert present.sum(1).tolist() == [5, 0, 4]
        assert torch.equal(padded[0], positions[systems == 0])
        assert torch.equal(padded[2, :4], positions[systems == 2])
        assert torch.equal(padded.reshape(-1, 3)[slot], positions[rows[rank]])
        assert torch.equal(first, padded[:, :, 0])
        assert float(padded[~present].abs().max()) == 0.0


def test_gathering_can_be_differentiated():
    systems = torch.tensor([0, 0, 1])
    positions = torch.tensor(np.random.default_rng(0).normal(size=(3, 3))).requires_grad_()

    def distances(positions: torch.Tensor) -> torch.Tensor:
        padded = gather_open(positions, systems, 2)[2]
        return padded[0, 0] * padded[0, 1] ** 2 + padded[1, 0]

    assert torch.autograd.gradgradcheck(distances, positions)
