"""The potential: a sum of named energy terms, and its derivatives in one place."""

from typing import Final, cast

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.core import Core
from charon.model.dispersion import Dispersion
from charon.model.electrostatics import Coulomb
from charon.model.reference import Statistics
from charon.model.repulsion import Repulsion
from charon.model.surroundings import Surroundings
from charon.ops import edge_lists


class Potential(nn.Module):
    """Reference energies (per element and per unit charge) + learned atomic energies + electrostatics of the charges +
    dispersion + short-range repulsion.

    Arguments of `forward` are the evaluation contract of training, ASE, the exported file and LAMMPS; `n_all` is
    `n_local` plus ghosts. Edges run from center to neighbor, sorted by center, and form a full list.

    `external_field` [3], V/A, is zero; where it is not (molecules only), charge solvers answer to it, and the energy
    has no term of its own for it: see `charon.model.response`.
    """

    has_electrostatics: Final[bool]
    has_dispersion: Final[bool]
    has_repulsion: Final[bool]
    reference_energies: Tensor
    external_field: Tensor

    def __init__(self, config: ModelConfig, elements: list[int], statistics: Statistics) -> None:
        super().__init__()
        self.config, self.elements, self.cutoff = config, list(elements), config.cutoff
        coulomb = None if config.electrostatics is None else Coulomb(elements, config.cutoff, config.electrostatics)
        self.has_electrostatics = coulomb is not None
        self.electrostatics = cast(Coulomb, nn.Identity() if coulomb is None else coulomb)
        self.core = Core(config, elements, statistics.mean_neighbors, coulomb)
        self.has_dispersion = config.dispersion is not None
        dispersion = Dispersion(elements, config.cutoff, config.dispersion) if config.dispersion else nn.Identity()
        self.dispersion = cast(Dispersion, dispersion)
        self.has_repulsion = config.repulsion != "none"
        learns, reach = config.repulsion == "trainable", config.repulsion_reach
        self.repulsion = Repulsion(elements, reach, learns) if self.has_repulsion else nn.Identity()
        self.register_buffer("external_field", torch.zeros(3), persistent=False)
        self.electronegativity = statistics.electronegativity
        self.register_buffer("reference_energies", torch.as_tensor(statistics.reference_energies, dtype=torch.float64))

    def _apply(self, fn, recurse: bool = True):
        reference = self.reference_energies
        super()._apply(fn, recurse)
        self.reference_energies = reference.to(self.reference_energies.device)
        return self

    @torch.jit.ignore
    def exchange_width(self) -> int:
        """Numbers per atom of the widest halo exchange."""
        return max(self.core.exchange_width, self.dispersion.exchange_width if self.has_dispersion else 0)

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
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Energies [n_local] eV float64, (charge, spin) [n_local, 2], dipoles [n_local, 3] e A, leftover [n_systems, 2]

        `types` [n_all], `edge_index` [2, n_edges], `edge_vector` [n_edges, 3] A, `positions` [n_local, 3] A, `cell`
        [n_systems, 3, 3] A, `pbc` [n_systems, 3], `total_charge` and `unpaired` [n_systems], `batch` [n_local].
        """
        target = torch.stack([total_charge, unpaired], dim=1)  # [n_systems, 2]
        external = -torch.mv(positions, self.external_field)
        around = self.surroundings(types, edge_index, edge_vector, positions, cell, pbc, total_charge, batch)
        energy, charge_spin, dipoles, leftover, solved = self.core(target, external, around)
        charges = charge_spin[:, 0]
        energy = energy + self.electronegativity * charges + self.empirical(charges, around)
        energy = self.core.charges.stationary(energy, solved, around)
        reference = self.reference_energies.index_select(0, types[: positions.size(0)])
        return energy.to(torch.float64) + reference, charge_spin, dipoles, leftover

    def surroundings(
        self,
        types: Tensor,
        edge_index: Tensor,
        edge_vector: Tensor,
        positions: Tensor,
        cell: Tensor,
        pbc: Tensor,
        total_charge: Tensor,
        batch: Tensor,
    ) -> Surroundings:
        """What is prepared once per evaluation; the arguments are those of `forward`."""
        prepared: list[Tensor] = []
        if self.has_electrostatics:
            self.electrostatics.check_slabs(total_charge, pbc)
            prepared = self.electrostatics.prepare(types, edge_index, edge_vector, positions, cell, pbc, batch)
        lists = edge_lists(edge_index, positions.size(0), types.size(0))
        return Surroundings(types, edge_vector, edge_index, lists, positions, cell, pbc, batch, cell.size(0), prepared)

    def empirical(self, charges: Tensor, around: Surroundings) -> Tensor:
        """Electrostatics, dispersion and repulsion of atoms with these `charges` [n_local] e: [n_local] eV."""
        energy = torch.zeros_like(charges)
        if self.has_electrostatics:
            energy = energy + 0.5 * charges * self.electrostatics.potential(charges, around.prepared)
        if self.has_dispersion:
            energy = energy + self.dispersion(
                around.types,
                around.edge_index,
                around.edge_vector,
                around.positions,
                around.cell,
                around.pbc,
                around.batch,
                charges,
            )
        if self.has_repulsion:
            energy = energy + self.repulsion(around.types, around.edge_vector, around.edge_index, charges.size(0))
        return energy


def build_potential(config: ModelConfig, elements: list[int], statistics: Statistics) -> Potential:
    """A potential with fresh weights from torch's global random state, in torch's default dtype."""
    dtype = torch.get_default_dtype()
    return Potential(config, elements, statistics).to(dtype)
