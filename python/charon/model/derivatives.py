"""Energy, and every derivative of it, taken once: for training, ASE, the exported file and LAMMPS."""

import torch
from torch import Tensor, nn


def virial(vectors: Tensor, gradient: Tensor, system: Tensor, n_systems: int) -> Tensor:
    """`sum r (x) dE/dr` of the row vectors `[n, 3]` of each system: [n_systems, 3, 3].

    It is dE/d(deformation) where all vectors deform alike: r -> r (1 + deformation).
    """
    if n_systems == 1:
        return torch.matmul(vectors.t(), gradient).unsqueeze(0)
    outer = vectors.unsqueeze(2) * gradient.unsqueeze(1)  # [n, 3, 3]
    zeros = torch.zeros((n_systems, 3, 3), dtype=vectors.dtype, device=vectors.device)
    return zeros.index_add(0, system, outer)


class Derivatives(nn.Module):
    """The potential's outputs with dE/dedge_vector, dE/dpositions, dE/dstrain and dE/d(total charge, unpaired).

    The strain is symmetric and acts on edges, positions and cell alike: its derivative is the symmetric part of the sum
    of vector times gradient over all three.
    """

    def __init__(self, potential: nn.Module) -> None:
        super().__init__()
        self.potential = potential

    def forward(
        self,
        types: Tensor,
        edge_index: Tensor,
        edge_vector: Tensor,
        positions: Tensor,
        cell: Tensor,
        pbc: Tensor,
        total_charge: Tensor,
        unpaired: Tensor,
        batch: Tensor,
        create_graph: bool = False,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Outputs of `Potential.forward`, and gradients [n_edges, 3], [n_local, 3], [n_systems, 3, 3], [n_systems, 2].

        Sums over ranks are left to the caller. `create_graph` keeps the graph of the gradients, so that a loss on
        forces can be differentiated.
        """
        edge_vector = edge_vector.detach().requires_grad_(True)
        positions = positions.detach().requires_grad_(True)
        cell = cell.detach().requires_grad_(True)
        total_charge = total_charge.detach().requires_grad_(True)
        unpaired = unpaired.detach().requires_grad_(True)
        energies, charge_spin, dipoles, leftover = self.potential(
            types, edge_index, edge_vector, positions, cell, pbc, total_charge, unpaired, batch
        )
        wanted = [edge_vector, positions, cell, total_charge, unpaired]
        found = torch.autograd.grad([energies.sum()], wanted, create_graph=create_graph, allow_unused=True)
        gradients: list[Tensor] = []
        for gradient, variable in zip(found, wanted):
            gradients.append(torch.zeros_like(variable) if gradient is None else gradient)
        n_systems = cell.size(0)
        strain = virial(edge_vector, gradients[0], batch.index_select(0, edge_index[0]), n_systems)
        strain = strain + virial(positions, gradients[1], batch, n_systems)
        strain = strain + torch.matmul(cell.transpose(1, 2), gradients[2])
        strain = 0.5 * (strain + strain.transpose(1, 2))
        state = torch.stack([gradients[3], gradients[4]], dim=1)  # [n_systems, 2]
        return [energies, charge_spin, dipoles, leftover], [gradients[0], gradients[1], strain, state]
