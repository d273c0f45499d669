"""A learned response of the network of bonds: what an atom tells others through any number of bonds.

From the scalars each bond gets a symmetric, normalised, positive hop per channel,

    A_ij = p_ij / sqrt(d_i d_j),      d_i = d0 + sum_j p_ij,      p_ij = softplus(a_ij) (1 - r^2 / r_b^2)^3

so that its norm is below 1, and the state of an atom answers to the states b = V x of all others by

    y = sum_k eta^k T_k(A) b,      T_k(A) b by the Chebyshev recursion  x_(k+1) = 2 A x_k - x_(k-1)

the first K terms of the Green's function (1 - eta A) / (1 - 2 eta A + eta^2) outside of the band, with one decay eta
per channel. Its sign alone makes what arrives alternate along a chain or not. Both matter for chains of unseen length
(tests/benchmarks/nonlocal.md): hops of free sign, or sums that end before they have converged, are fitted length by
length. Hops end smoothly at r_b = 1.45 times the sum of the covalent radii, so fragments without a bond do not know of
each other: exactly size-consistent, extensive, periodic, and local to domains up to one exchange per step.
"""

import math
from typing import Final

import torch
from ase.data import covalent_radii
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.update import ChannelMix
from charon.ops import edge_lists, halo_forward
from charon.ops.hops import green, hop

BOND_REACH = 1.45
"""Longest bond over the sum of the covalent radii."""
LARGEST_DECAY = 0.85
"""At the start: 20 steps then leave out 4 % of the last one's weight."""
START = (0.3, 1.0, 1.0)
"""By rank, over the usual weights: how what arrives enters the state before anything is learned. More of the scalars is
noise to other sets than chains; less of the orientation is worse on chains (tests/benchmarks/nonlocal.md)."""


class Bonds(nn.Module):
    """The hops A [n_bonds, width] of an evaluation, and the lists of bonds."""

    reach: Tensor

    def __init__(self, config: ModelConfig, elements: list[int]) -> None:
        super().__init__()
        self.width = config.propagator_channels
        self.functions = config.radial_functions
        radius = torch.tensor([float(covalent_radii[z]) for z in elements], dtype=torch.float64)
        reach = (BOND_REACH * (radius.unsqueeze(1) + radius)).clamp(max=config.cutoff)
        self.register_buffer("reach", reach)  # [n_elements, n_elements] A
        hidden = 2 * self.width
        self.of_length = nn.Linear(self.functions, hidden, bias=False)
        self.of_atom = nn.Linear(config.channels, hidden)
        self.out = nn.Linear(hidden, self.width)
        self.own_part = nn.Parameter(torch.full((self.width,), -4.0))  # d0, before softplus

    def forward(
        self, scalars: Tensor, types: Tensor, edge_vector: Tensor, edge_index: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """`scalars` [n_local, channels], the others as of `Core` -> A and `edge_lists` of the bonds."""
        n = scalars.size(0)
        reach = self.reach.to(edge_vector.dtype)[types[edge_index[0]], types[edge_index[1]]]
        near = torch.nonzero(edge_vector.detach().square().sum(1) < reach * reach).squeeze(1)
        index = edge_index.index_select(1, near)
        x = edge_vector.index_select(0, near).square().sum(1).sqrt() / reach.index_select(0, near)
        of_atom = halo_forward(self.of_atom(scalars), types.size(0))  # [n_all, hidden]
        both = of_atom.index_select(0, index[0]) + of_atom.index_select(0, index[1])
        hidden = self.of_length(self.waves(x)) + both
        strength = torch.nn.functional.softplus(self.out(torch.nn.functional.silu(hidden)))  # [n_bonds, width]
        strength = strength * ((1.0 - x * x) ** 3).unsqueeze(1)
        own = torch.nn.functional.softplus(self.own_part).unsqueeze(0).expand(n, self.width)
        scale = halo_forward(torch.rsqrt(own.index_add(0, index[0], strength)), types.size(0))  # [n_all, width]
        hops = strength * scale.index_select(0, index[0]) * scale.index_select(0, index[1])
        return hops, edge_lists(index, n, types.size(0))

    def waves(self, x: Tensor) -> Tensor:
        """Cosines of the length over its reach, [n_bonds] -> [n_bonds, functions]."""
        order = torch.arange(self.functions, dtype=x.dtype, device=x.device)
        return torch.cos(math.pi * x.unsqueeze(1) * order)


class Propagator(nn.Module):
    """Adds to scalars, vectors and tensors what comes through bonds from afar; if not `active`, nothing."""

    active: Final[bool]
    ranks: list[int]

    def __init__(self, config: ModelConfig, elements: list[int], active: bool) -> None:
        super().__init__()
        self.active, self.steps, self.exchange_width = active, config.propagator_steps, 0
        self.ranks = [rank for rank in config.propagator_ranks if rank <= config.l_max]
        if active:
            self._build(config, elements)

    def _build(self, config: ModelConfig, elements: list[int]) -> None:
        width = config.propagator_channels
        self.bonds = Bonds(config, elements)
        self.source = nn.ModuleList(ChannelMix(config.channels, width) for _ in self.ranks)
        mixes = [ChannelMix(width, config.channels) for _ in self.ranks]
        with torch.no_grad():
            for rank, mix in zip(self.ranks, mixes, strict=True):
                mix.weight.mul_(START[rank])
        self.back = nn.ModuleList(mixes)
        start = torch.linspace(0.5, LARGEST_DECAY, (width + 1) // 2)
        start = torch.stack([start, -start], dim=1).flatten()[:width]  # decays of both signs
        self.decay = nn.Parameter(torch.atanh(start))
        self.exchange_width = max(2 * width, sum(2 * rank + 1 for rank in self.ranks) * width)

    def forward(self, state: Tensor, types: Tensor, edge_vector: Tensor, edge_index: Tensor) -> Tensor:
        """`state` [n_local, (l_max + 1)^2, channels] -> the new state."""
        if not self.active:
            return state
        hops, lists = self.bonds(state[:, 0], types, edge_vector, edge_index)
        sources: list[Tensor] = []
        for k, source in enumerate(self.source):
            rank = self.ranks[k]
            first, end = rank * rank, (rank + 1) * (rank + 1)
            sources.append(source(state[:, first:end]))
        answer = self.response(hops, torch.cat(sources, dim=1), lists, types.size(0))
        parts: list[Tensor] = []
        taken, given = 0, 0
        for k, back in enumerate(self.back):
            rank = self.ranks[k]
            first, end = rank * rank, (rank + 1) * (rank + 1)
            parts.append(state[:, given:first])
            parts.append(state[:, first:end] + back(answer[:, taken : taken + end - first]))
            taken, given = taken + end - first, end
        parts.append(state[:, given:])
        return torch.cat(parts, dim=1)

    def response(self, hops: Tensor, source: Tensor, lists: list[Tensor], n_all: int) -> Tensor:
        """y of the sources b: [n_local, components, width] both."""
        decay = torch.tanh(self.decay)  # [width]
        if torch.jit.is_scripting():
            return green(hops, decay, source, lists, n_all, self.steps)
        before, now = source, hop(hops, halo_forward(source, n_all), lists)
        factor = decay
        answer = source + factor * now
        for _ in range(self.steps - 1):
            before, now = now, 2.0 * hop(hops, halo_forward(now, n_all), lists) - before
            factor = factor * decay
            answer = answer + factor * now
        return answer
