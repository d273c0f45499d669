"""The electrostatic potential of atomic Gaussian charges, whatever the boundary."""

import math
import sys

import torch
from torch import Tensor, nn

from charon.model.electrostatics.config import ElectrostaticsConfig
from charon.model.electrostatics.mesh import Mesh
from charon.model.electrostatics.near import NearPairs
from charon.model.electrostatics.open_system import OpenSystems
from charon.model.electrostatics.periodic import PeriodicSystem
from charon.model.electrostatics.reciprocal import Reciprocal
from charon.model.electrostatics.widths import element_widths, pair_widths, self_potential, smearing
from charon.ops import ranked_counts
from charon.units import COULOMB

SPACING = 0.5
"""Default spacing of the mesh, in the narrowest pair width of the smooth charges."""


class Coulomb(nn.Module):
    """Potential and field at the atoms of a batch of systems, each open, periodic or a slab.

    `E = 1/2 sum_i q_i phi_i`, phi linear in the charges. Pairs of Gaussian charges interact by
    `k_e q_i q_j erf(r / (sqrt2 g_ij)) / r`, `g_ij^2 = s_i^2 + s_j^2`; the own energy of a Gaussian, `k_e q^2 /
    (2 s sqrt(pi))`, is included. Periodic systems have a uniform background that neutralises them, and a potential
    that is zero on average over the cell. What depends on geometry only is prepared once per evaluation.
    """

    own: Tensor

    def __init__(self, elements: list[int], cutoff: float, config: ElectrostaticsConfig) -> None:
        super().__init__()
        widths = element_widths(elements, config)
        pair = pair_widths(widths)  # [n_elements, n_elements]
        of_sum = pair.clamp(min=smearing(cutoff, config.accuracy))
        of_mesh = pair.clamp(min=smearing(cutoff, config.mesh_accuracy))
        self.mesh_above = {"auto": config.mesh_above, "ewald": sys.maxsize, "mesh": 0}[config.method]
        self.charged_slab = config.charged_slab
        self.register_buffer("own", COULOMB * self_potential(pair))  # [n_elements] V/e
        self.open = OpenSystems(widths)
        self.near = NearPairs(pair, [of_sum, of_mesh], cutoff)
        waves = Reciprocal(math.sqrt(-2.0 * math.log(config.accuracy)) / float(of_sum.min()))
        mesh = Mesh(config.mesh_order, config.mesh_spacing or SPACING * float(of_mesh.min()))
        self.ewald = PeriodicSystem(pair, of_sum, cutoff, waves)
        self.mesh = PeriodicSystem(pair, of_mesh, cutoff, mesh)

    def prepare(
        self,
        types: Tensor,
        edge_index: Tensor,
        edge_vector: Tensor,
        positions: Tensor,
        cell: Tensor,
        pbc: Tensor,
        batch: Tensor,
    ) -> list[Tensor]:
        """What `potential` and `field` need of the geometry; the arguments are those of `Potential.forward`.

        Raises ValueError for a system that is periodic in one direction only.
        """
        directions = pbc.to(torch.int64).sum(1)  # [n_systems]
        if bool((directions == 1).any()):
            raise ValueError(
                "electrostatics: found a system that is periodic in one direction; expected none, two or three. "
                "Leave vacuum around the wire and make it periodic in three directions"
            )
        is_periodic = directions > 0
        is_periodic, own_types = directions > 0, types[: positions.size(0)]
        n_atoms = ranked_counts(torch.bincount(batch, minlength=cell.size(0)))[1]  # [n_systems]
        on_mesh = is_periodic & (n_atoms > self.mesh_above)
        parts = [[types, is_periodic, on_mesh]]
        if bool(is_periodic.all()):
            parts.append([])
        else:
            parts.append(self.open.prepare(own_types, positions, batch, ~is_periodic))
        parts.append(self.near.prepare(types, edge_index, edge_vector, batch, is_periodic, on_mesh))
        for system in range(cell.size(0)):
            if bool(is_periodic[system]):
                rows = torch.nonzero(batch == system).squeeze(1)
                there, kinds = positions.index_select(0, rows), own_types.index_select(0, rows)
                if bool(on_mesh[system]):
                    parts.append(self.mesh.prepare(kinds, there, cell[system], pbc[system], rows))
                else:
                    parts.append(self.ewald.prepare(kinds, there, cell[system], pbc[system], rows))
        return pack(parts)

    def check_slabs(self, total_charge: Tensor, pbc: Tensor) -> None:
        """Raises ValueError for a slab that is not neutral, unless `charged_slab` allows it.

        `total_charge` [n_systems] e, `pbc` [n_systems, 3].
        """
        is_charged = (pbc.to(torch.int64).sum(1) == 2) & (total_charge.abs() > 1e-6)
        if not self.charged_slab and bool(is_charged.any()):
            raise ValueError(
                "electrostatics: found a slab with total charge "
                + str(float(total_charge[is_charged][0]))
                + " e; expected 0, for the potential of a charged plane has no limit far from it. Set charged_slab to "
                "allow it"
            )

    def self_interaction(self, types: Tensor) -> Tensor:
        """Potential of each atom's own Gaussian per unit charge, [n] V/e, for `types` [n]."""
        return self.own.index_select(0, types)

    def potential(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n_local] e -> electrostatic potential at the atoms, [n_local] V."""
        parts = unpack(prepared)
        potential = torch.zeros_like(charges)
        if len(parts[1]) > 0:
            potential = self.open.potential(charges, parts[1])
        if len(parts) > 3:
            potential = potential + self.near.potential(charges, parts[0][0].size(0), parts[2])
        on_mesh = parts[0][2][parts[0][1]]  # [n_periodic]
        for index, part in enumerate(parts[3:]):
            there = charges.index_select(0, part[0])
            found = self.mesh.potential(there, part) if bool(on_mesh[index]) else self.ewald.potential(there, part)
            potential = potential.index_add(0, part[0], found)
        return potential

    def field(self, charges: Tensor, prepared: list[Tensor]) -> Tensor:
        """`charges` [n_local] e -> `-grad phi` at the atoms, [n_local, 3] V/A."""
        parts = unpack(prepared)
        field = torch.zeros((charges.size(0), 3), dtype=charges.dtype, device=charges.device)
        if len(parts[1]) > 0:
            field = self.open.field(charges, parts[1])
        if len(parts) > 3:
            field = field + self.near.field(charges, parts[0][0].size(0), parts[2])
        on_mesh = parts[0][2][parts[0][1]]  # [n_periodic]
        for index, part in enumerate(parts[3:]):
            there = charges.index_select(0, part[0])
            found = self.mesh.field(there, part) if bool(on_mesh[index]) else self.ewald.field(there, part)
            field = field.index_add(0, part[0], found)
        return field


def pack(parts: list[list[Tensor]]) -> list[Tensor]:
    """Lists of tensors as one list; `unpack` undoes it."""
    packed = [torch.tensor([len(part) for part in parts])]
    for part in parts:
        packed = packed + part
    return packed


def unpack(packed: list[Tensor]) -> list[list[Tensor]]:
    """The lists given to `pack`."""
    parts: list[list[Tensor]] = []
    first = 1
    for index in range(packed[0].size(0)):
        last = first + int(packed[0][index])
        parts.append(packed[first:last])
        first = last
    return parts
