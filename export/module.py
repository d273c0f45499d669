"""The exported module: inputs of the evaluation contract in, energies, charges and gradients out."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from charon.export.layer import with_exported_layers
from charon.model import Potential
from charon.model.derivatives import Derivatives

INPUTS = (
    "types",
    "edge_index",
    "edge_vector",
    "positions",
    "cell",
    "pbc",
    "total_charge",
    "unpaired",
    "batch",
)
OUTPUTS = (
    "energies",
    "charges",
    "spins",
    "edge_gradient",
    "position_gradient",
    "strain_gradient",
    "dipoles",
    "state_gradient",
)


class ExportedModel(nn.Module):
    """Evaluates a potential and its gradients; see `Potential.forward` for shapes and units of the inputs."""

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.derivatives = Derivatives(potential)

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
    ) -> list[Tensor]:
        """Tensors in the order of `OUTPUTS`.

        energies [n_local] eV float64, charges [n_local] e, spins [n_local], dE/dedge_vector [n_edges, 3] and
        dE/dpositions [n_local, 3] eV/A, dE/dstrain [n_systems, 3, 3] eV, atomic dipoles [n_local, 3] e A,
        dE/d(total charge, unpaired electrons) [n_systems, 2] eV.
        """
        outputs, gradients = self.derivatives(
            types, edge_index, edge_vector, positions, cell, pbc, total_charge, unpaired, batch
        )
        charges, spins = outputs[1][:, 0], outputs[1][:, 1]
        found = [outputs[0], charges, spins, gradients[0], gradients[1], gradients[2], outputs[2], gradients[3]]
        return [tensor.detach().contiguous() for tensor in found]


def script(potential: Potential) -> torch.jit.ScriptModule:
    """TorchScript of a potential in its present dtype; its weights are no longer trainable.

    It is not frozen: freezing drops `detach`, and outputs would keep their graph alive.
    """
    module = ExportedModel(with_exported_layers(copy.deepcopy(potential))).eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return torch.jit.script(module)


def run(module: torch.jit.ScriptModule, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The outputs of an exported module, by the plain interpreter.

    Torch's optimizing executor costs more than it gains where sizes differ from call to call, and from the second
    call on it was seen to give other gradients than the model (torch 2.13).
    """
    with torch.jit.optimized_execution(False):
        return module(*inputs)
