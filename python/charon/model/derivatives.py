"""Energy, and every derivative of it, taken once: for training, ASE, the exported file and LAMMPS."""

import torch
from torch import Tensor, nn


def strained(vectors: Tensor, deformation: Tensor, system: Tensor) -> Tensor:
    """Row vectors `[n, 3]` of systems `[n]` under the deformations `[n_systems, 3, 3]`."""
    return (vectors.unsqueeze(2) * deformation.index_select(0, system)).sum(1)


class Derivatives(nn.Module):
    """The potential's outputs with dE/dedge_vector, dE/dpositions and dE/dstrain.

    The strain is symmetric and acts on edges, positions and cell alike, so its derivative is the whole virial.
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
        """Outputs of `Potential.forward`, and the gradients [n_edges, 3], [n_local, 3], [n_systems, 3, 3].

        `create_graph` keeps the graph of the gradients, so that a loss on forces can be differentiated.
        """
        edge_vector = edge_vector.detach().requires_grad_(True)
        positions = positions.detach().requires_grad_(True)
        strain = torch.zeros_like(cell).requires_grad_(True)
        identity = torch.eye(3, dtype=cell.dtype, device=cell.device)
        deformation = identity + 0.5 * (strain + strain.transpose(1, 2))  # [n_systems, 3, 3]
        energies, charge_spin, dipoles, leftover = self.potential(
            types,
            edge_index,
            strained(edge_vector, deformation, batch.index_select(0, edge_index[0])),
            strained(positions, deformation, batch),
            torch.matmul(cell, deformation),
            pbc,
            total_charge,
            unpaired,
            batch,
        )
        wanted = [edge_vector, positions, strain]
        found = torch.autograd.grad([energies.sum()], wanted, create_graph=create_graph, allow_unused=True)
        gradients: list[Tensor] = []
        for gradient, variable in zip(found, wanted):
            gradients.append(torch.zeros_like(variable) if gradient is None else gradient)
        return [energies, charge_spin, dipoles, leftover], gradients
