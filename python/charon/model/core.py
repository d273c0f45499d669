"""The directional core: messages and products, with charge and spin equilibrated after each layer."""

import torch
from torch import Tensor, nn

from charon.model.charges import FinalCharges
from charon.model.config import ModelConfig
from charon.model.egnn import EgnnMessage, EgnnUpdate
from charon.model.electrostatics import Coulomb
from charon.model.equilibration import Equilibration, FreeSource, TransferSource
from charon.model.field_step import FieldStep
from charon.model.message import Message
from charon.model.nonlocal_step import NonLocalStep
from charon.model.painn import PainnMessage, PainnUpdate
from charon.model.spooky import StateEmbedding
from charon.model.surroundings import Surroundings
from charon.model.update import TensorUpdate, VectorUpdate


def _equilibration(config: ModelConfig) -> Equilibration:
    source = FreeSource(config.channels) if config.charge_form == "free" else TransferSource(config)
    return Equilibration(source, config.channels, config.state_channels)


def _parts(
    config: ModelConfig, n_elements: int, mean_neighbors: float, first: bool
) -> tuple[Message | PainnMessage | EgnnMessage, nn.Module]:
    """The message and the update of a layer."""
    if config.core == "painn":
        return PainnMessage(config, mean_neighbors), PainnUpdate(config.channels)
    if config.core == "egnn":
        return EgnnMessage(config, mean_neighbors), EgnnUpdate(config.channels)
    message = Message(config, mean_neighbors, first)
    if config.l_max == 1:
        return message, VectorUpdate(config.channels, n_elements)
    return message, TensorUpdate(config.channels, n_elements)


class Layer(nn.Module):
    """One message, one update and, where charge and spin count, one equilibration.

    `exchange_width` counts the numbers per atom of its widest halo exchange.
    """

    __constants__ = ("electronic",)  # not Final: exported layers have a constructor of their own
    electronic: bool

    def __init__(self, config: ModelConfig, n_elements: int, mean_neighbors: float, first: bool) -> None:
        super().__init__()
        self.electronic = config.electronic == "equilibration"
        self.message, self.update = _parts(config, n_elements, mean_neighbors, first)
        self.equilibration = _equilibration(config) if self.electronic else nn.Identity()
        self.exchange_width = max(self.message.exchange_width(), config.transfer_width())

    def forward(
        self,
        state: Tensor,
        charge_spin: Tensor,
        embedding: Tensor,
        types: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
        target: Tensor,
        batch: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """New state, (charge, spin) [n_local, 2] and leftover [n_systems, 2].

        `state` [n_local, ranks, channels], `embedding` [n_elements, channels], the others as in `Core`.
        """
        state = self.interact(state, embedding, types, edge_vector, edge_index, lists)
        leftover = torch.zeros_like(target)
        if self.electronic:
            change, charge_spin, leftover = self.equilibration(
                state[:, 0], charge_spin[:, 1], edge_vector, edge_index, lists, types.size(0), target, batch
            )
            state = torch.cat([(state[:, 0] + change).unsqueeze(1), state[:, 1:]], dim=1)
        return state, charge_spin, leftover

    def interact(
        self,
        state: Tensor,
        embedding: Tensor,
        types: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
    ) -> Tensor:
        """The state after message and update; arguments as of `forward`."""
        message = self.message(state, embedding, types, edge_vector, edge_index, lists)
        return self.update(state, message, types[: state.size(0)])


class Core(nn.Module):
    """Layers of directional messages; each layer's scalars contribute to the atomic energies.

    Charge and spin enter by equilibration after each layer, or as a feature of the atoms (`StateEmbedding`); between
    layers the field of the charges may re-enter (`FieldStep`) and what atoms learn from afar (`NonLocalStep`), and
    `FinalCharges` has the last word on charges.
    """

    def __init__(
        self, config: ModelConfig, elements: list[int], mean_neighbors: float, coulomb: Coulomb | None
    ) -> None:
        super().__init__()
        n_elements = len(elements)
        self.ranks = 4 if config.l_max == 1 else 9
        self.embedding = nn.Embedding(n_elements, config.channels)
        self.state_embedding = StateEmbedding(config.channels, config.electronic == "spooky")
        knows_elements_only = config.electronic != "spooky"
        layers = [
            Layer(config, n_elements, mean_neighbors, i == 0 and knows_elements_only) for i in range(config.layers)
        ]
        self.layers = nn.ModuleList(layers)
        first_field = config.layers - 1 - config.field_steps
        self.fields = nn.ModuleList(
            FieldStep(config.channels, coulomb if first_field <= i < config.layers - 1 else None)
            for i in range(config.layers)
        )
        steps = [NonLocalStep(config, elements, i < config.layers - 1) for i in range(config.layers)]
        self.nonlocal_steps = nn.ModuleList(steps)
        self.charges = FinalCharges(config, n_elements, coulomb)
        widths = [*(layer.exchange_width for layer in layers), *(step.exchange_width for step in steps)]
        self.exchange_width = max(*widths, self.charges.exchange_width)
        self.readouts = nn.ModuleList(nn.Linear(config.channels, 1, bias=False) for _ in range(config.layers))
        self.last = nn.Sequential(nn.Linear(config.channels, config.channels), nn.SiLU(), nn.Linear(config.channels, 1))
        self.dipole = nn.Linear(config.channels, 1, bias=False)

    def forward(
        self, target: Tensor, external: Tensor, around: Surroundings
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor]]:
        """Atomic energies [n_local], (charge, spin) [n_local, 2], dipoles [n_local, 3], leftover [n_systems, 2].

        `target` [n_systems, 2] holds total charge and unpaired electrons, `external` [n_local] V an outer potential.
        The last output is for `FinalCharges.stationary`.
        """
        types, edge_vector, edge_index, lists = around.types, around.edge_vector, around.edge_index, around.lists
        batch, prepared = around.batch, around.prepared
        n_local = batch.size(0)
        embedding = self.embedding.weight  # [n_elements, channels]
        embedded = self.state_embedding(embedding.index_select(0, types[:n_local]), target, batch)
        zeros = torch.zeros((n_local, self.ranks - 1, embedded.size(1)), dtype=embedded.dtype, device=types.device)
        state = torch.cat([embedded.unsqueeze(1), zeros], dim=1)  # [n_local, ranks, channels]
        charge_spin = torch.zeros((n_local, 2), dtype=embedded.dtype, device=types.device)
        energy = torch.zeros(n_local, dtype=embedded.dtype, device=types.device)
        leftover = torch.zeros_like(target)
        for layer, field, step, readout in zip(self.layers, self.fields, self.nonlocal_steps, self.readouts):
            state, charge_spin, left = layer(
                state, charge_spin, embedding, types, edge_vector, edge_index, lists, target, batch
            )
            state = field(state, charge_spin[:, 0], prepared)
            state = step(state, around)
            energy = energy + readout(state[:, 0]).squeeze(1)
            leftover = leftover + left * left
        scalars, charge_spin, own, left, solved = self.charges(state[:, 0], charge_spin, external, target, around)
        energy = energy + own + self.last(scalars).squeeze(1)
        return energy, charge_spin, self.dipole(state[:, 1:4]).squeeze(2), leftover + left * left, solved
