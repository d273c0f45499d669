"""Attention through space with kernels of finite reach, which knows neither bonds nor the number of atoms.

    y_i = sum_j G(r_ij) k_j v_j / (D + sum_j G(r_ij) k_j)

with keys k > 0, values v that are scalars, vectors and tensors, and a kernel G per head that ends at its reach R.
Beyond it nothing is felt. Molecules are summed pair by pair; periodic systems by structure factors times the transform
of the same kernel, plainly or on a mesh, over all images: equal in the limit of a large cell.
"""

from typing import Final

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.dispersion.vacuum import enclosing_cell
from charon.model.electrostatics.gathered import gather_open, gathered_rows
from charon.model.electrostatics.mesh import Mesh
from charon.model.electrostatics.reciprocal import Reciprocal
from charon.model.nonlocal_step.compact_kernel import CompactKernel
from charon.model.surroundings import Surroundings
from charon.model.update import ChannelMix
from charon.ops import ranked_counts

MESH_ORDER, MESH_SPACING = 6, 2.5
"""Order of the splines, and spacing of the grid times the largest wave number."""


class KernelSums(nn.Module):
    """`sum_j G_h(r_ij) x_jh` over all atoms and images within reach, the atom itself included; one block per head."""

    def __init__(self, reaches: tuple[float, ...], mesh_above: int) -> None:
        super().__init__()
        self.kernel, self.heads, self.mesh_above = CompactKernel(reaches), len(reaches), mesh_above
        self.plain = Reciprocal(self.kernel.k_max)
        self.mesh = Mesh(MESH_ORDER, MESH_SPACING / self.kernel.k_max)

    def forward(self, x: Tensor, around: Surroundings) -> Tensor:
        """`x` [n_local, heads, width] -> the same shape."""
        batch, pbc = around.batch, around.pbc
        is_periodic = pbc.any(dim=1)  # [n_systems]
        total = torch.zeros_like(x)
        if not bool(is_periodic.all()):
            total = total + self.in_space(x, around.positions, batch, ~is_periodic)
        if bool(is_periodic.any()):
            n_atoms = ranked_counts(torch.bincount(batch, minlength=pbc.size(0)))[1]  # [n_systems]
            systems: list[int] = torch.nonzero(is_periodic).squeeze(1).tolist()
            for system in systems:
                rows = torch.nonzero(batch == system).squeeze(1)
                places = around.positions.index_select(0, rows)
                cell = enclosing_cell(places, around.cell[system], pbc[system])
                on_mesh = int(n_atoms[system]) > self.mesh_above
                total = total.index_add(0, rows, self.in_waves(x.index_select(0, rows), places, cell, on_mesh))
        return total

    def in_space(self, x: Tensor, positions: Tensor, batch: Tensor, is_open: Tensor) -> Tensor:
        """Of open systems, [n_local, heads, width]; zero elsewhere."""
        number = torch.cumsum(is_open.to(torch.int64), 0) - 1  # [n_systems], among the open ones
        rows = torch.nonzero(is_open.index_select(0, batch)).squeeze(1)  # [n_open]
        system = number.index_select(0, batch.index_select(0, rows))
        places = positions.index_select(0, rows)
        slot, present, padded = gather_open(places, system, int(is_open.sum()))
        everyone = gathered_rows(x.index_select(0, rows), [slot, present])  # [n_systems, n_max, heads, width]
        square = (padded.index_select(0, system) - places.unsqueeze(1)).square().sum(2)  # [n_open, n_max]
        parts: list[Tensor] = []
        for head in range(self.heads):
            weight = self.kernel.in_space(square, head).unsqueeze(1)  # [n_open, 1, n_max]
            parts.append(torch.bmm(weight, everyone[:, :, head].index_select(0, system)).squeeze(1))
        return torch.zeros_like(x).index_add(0, rows, torch.stack(parts, dim=1))

    def in_waves(self, x: Tensor, positions: Tensor, cell: Tensor, on_mesh: bool) -> Tensor:
        """Of one periodic system: `x` [n, heads, width] of its atoms -> the same shape."""
        waves = self.mesh.prepare(positions, cell) if on_mesh else self.plain.prepare(positions, cell)
        square = self.mesh.squared(waves) if on_mesh else self.plain.squared(waves)
        share = self.mesh.weight(waves) if on_mesh else self.plain.weight(waves)
        sources = x.flatten(1)
        factors = self.mesh.transform(sources, waves) if on_mesh else self.plain.transform(sources, waves)
        width = x.size(2)
        parts: list[Tensor] = []
        for head in range(self.heads):
            kernel = (share * self.kernel.in_waves(square, head)).unsqueeze(1)  # [n_k, 1]
            parts.append(kernel * factors[:, head * width : (head + 1) * width])
        values = torch.cat(parts, dim=1)
        found = self.mesh.back(values, waves) if on_mesh else self.plain.back(values, waves)
        return found.reshape(x.shape)


class KernelAttention(nn.Module):
    """Adds what the atoms within reach say to scalars, vectors and tensors; if not `active`, nothing."""

    active: Final[bool]

    def __init__(self, config: ModelConfig, active: bool) -> None:
        super().__init__()
        self.active = active
        self.heads, self.width = len(config.attention_reaches), config.attention_channels
        if active:
            across = self.heads * self.width
            self.ranks = config.l_max + 1
            self.key = nn.Linear(config.channels, self.heads)
            self.value = nn.ModuleList(ChannelMix(config.channels, across) for _ in range(self.ranks))
            self.back = nn.ModuleList(ChannelMix(across, config.channels) for _ in range(self.ranks))
            self.floor = nn.Parameter(torch.zeros(self.heads))  # D, before softplus
            self.sums = KernelSums(config.attention_reaches, config.attention_mesh_above)

    def forward(self, state: Tensor, around: Surroundings) -> Tensor:
        """`state` [n_local, (l_max + 1)^2, channels] -> the new state."""
        if not self.active:
            return state
        n, components = state.size(0), state.size(1)
        key = torch.nn.functional.softplus(self.key(state[:, 0]))  # [n, heads]
        values: list[Tensor] = []
        for rank, mix in enumerate(self.value):
            values.append(mix(state[:, rank * rank : (rank + 1) * (rank + 1)]))
        value = torch.cat(values, dim=1).reshape(n, components, self.heads, self.width).transpose(1, 2)
        weighted = (key[:, :, None, None] * value).flatten(2)  # [n, heads, components width]
        sums = self.sums(torch.cat([key.unsqueeze(2), weighted], dim=2), around)
        floor = torch.nn.functional.softplus(self.floor).unsqueeze(1)  # [heads, 1]
        answer = sums[:, :, 1:] / (floor + sums[:, :, :1])
        answer = answer.reshape(n, self.heads, components, self.width).transpose(1, 2)
        answer = answer.reshape(n, components, self.heads * self.width)
        parts: list[Tensor] = []
        for rank, mix in enumerate(self.back):
            parts.append(mix(answer[:, rank * rank : (rank + 1) * (rank + 1)]))
        return state + torch.cat(parts, dim=1)
