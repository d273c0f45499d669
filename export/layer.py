"""A layer as exported: its weights are laid out once, and message and update are one operator."""

from typing import Final

import torch
from torch import Tensor, nn

from charon import ops
from charon.model import Potential
from charon.model.core import Layer
from charon.model.message import Message
from charon.model.update import TensorUpdate, VectorUpdate


class ExportedLayer(Layer):
    """A trained `Layer` of the directional core, without what training needs: first derivatives only, on the CPU."""

    first: Final[bool]
    l_max: Final[int]
    spacing: Final[float]
    weights: list[Tensor]

    def __init__(self, trained: Layer, embedding: Tensor) -> None:
        nn.Module.__init__(self)  # not the weights of training
        message, update = trained.message, trained.update
        assert isinstance(message, Message) and isinstance(update, VectorUpdate | TensorUpdate)
        self.electronic, self.equilibration = trained.electronic, trained.equilibration
        self.exchange_width = trained.exchange_width
        self.first, self.l_max, self.spacing = message.first, message.l_max, message.table.spacing
        with torch.no_grad():
            source = message.source(embedding) if self.first else message.source.weight.t()
            bias = embedding if self.first else message.source.bias
            own = [source, bias, message.table() * message.scale]
            products = [weight.contiguous() for weight in update.weights()]
            flipped = torch.ops.charon.flipped_matrices(products)
        self.weights = [weight.detach().contiguous() for weight in [*own, *products, *flipped]]

    def interact(
        self,
        state: Tensor,
        embedding: Tensor,
        types: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
    ) -> Tensor:
        """As `Layer.interact`."""
        return ops.layer(state, types, edge_vector, lists, self.weights, self.l_max, self.first, self.spacing)


def with_exported_layers(potential: Potential) -> Potential:
    """Replaces the layers of the directional core in place; the cores for comparison stay as they are."""
    core = potential.core
    if potential.config.core == "charon":
        trained = [layer for layer in core.layers if isinstance(layer, Layer)]
        exported = [ExportedLayer(layer, core.embedding.weight) for layer in trained]
        core.layers = nn.ModuleList(exported)
    return potential
