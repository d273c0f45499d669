"""Total charge and spin as constraints: equilibrated atomic charges and spins that re-enter the scalars.

Each atom says what it would carry, `q~` and `m~`, and how readily it takes a share of what is left over, `f > 0` and
`g > 0`:

    q_i = q~_i + f_i (Q - sum q~) / sum f,      m_i = m~_i + g_i (u - sum m~) / sum g

so charges sum to the total charge Q and spins to the number of unpaired electrons u, exactly, and a replicated system
(2 Q, 2 u) has the same charges. Energy depends on q, q^2 and m^2 only: it is even in m.
"""

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.radial import RadialTable
from charon.ops import allsum, halo_forward, message


class TransferSource(nn.Module):
    """Unconstrained charges and spins from antisymmetric transfers along edges, so each fragment sums to zero.

    `q~_i = sum_j sum_k w_k(r_ij) (x_ik y_jk - y_ik x_jk)`; the spins' `y` is multiplied by the spin that the atom
    already carries, hence the spins of a closed shell (u = 0) are exactly zero and flipping all spins flips them all.
    x and y are bounded smoothly: a product of two of them would otherwise run away where atoms come closer than in any
    data, and the energy with it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = config.transfer_channels
        self.pair = nn.Linear(config.channels, 4 * self.width)
        self.table = RadialTable(config.radial_functions, config.cutoff, config.knots, 1, 2 * self.width)

    def forward(
        self,
        scalars: Tensor,
        spins: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
        n_all: int,
    ) -> Tensor:
        """`scalars` [n_local, channels], `spins` [n_local] -> unconstrained (charge, spin) [n_local, 2]."""
        n, width = scalars.size(0), self.width
        pair = 2.0 * torch.tanh(0.5 * self.pair(scalars))
        pair = pair.reshape(n, 2, 2, width)  # [n_local, x or y, charge or spin, width]
        carried = torch.stack([torch.ones_like(spins), spins], dim=1).unsqueeze(2)  # [n_local, 2, 1]
        x, y = pair[:, 0], pair[:, 1] * carried  # [n_local, 2, width]
        sent = halo_forward(torch.cat([x, y], dim=1).reshape(n, 1, 4 * width), n_all)
        table = self.table().repeat(1, 1, 2)  # the same filters for x and y
        summed = message(sent, table, edge_vector, edge_index, lists, n, 0, True, self.table.spacing)
        summed = summed.reshape(n, 4, width)
        return (x * summed[:, 2:] - y * summed[:, :2]).sum(2)


class FreeSource(nn.Module):
    """Unconstrained charges and spins as free numbers per atom; ions far apart are possible, a leftover too."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(channels, channels), nn.Linear(channels, 2)

    def forward(
        self,
        scalars: Tensor,
        spins: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
        n_all: int,
    ) -> Tensor:
        """`scalars` [n_local, channels] -> unconstrained (charge, spin) [n_local, 2]."""
        return self.out(torch.nn.functional.silu(self.hidden(scalars)))


class Equilibration(nn.Module):
    """Shares out the leftover of charge and spin and feeds q, q^2 and m^2 back into the scalars."""

    def __init__(self, source: nn.Module, channels: int) -> None:
        super().__init__()
        self.source = source
        self.readiness = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 2))
        self.back = nn.Sequential(nn.Linear(channels + 3, channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(
        self,
        scalars: Tensor,
        spins: Tensor,
        edge_vector: Tensor,
        edge_index: Tensor,
        lists: list[Tensor],
        n_all: int,
        target: Tensor,
        batch: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Change of the scalars [n_local, channels], (charge, spin) [n_local, 2], leftover [n_systems, 2].

        `target` [n_systems, 2] holds total charge (e) and unpaired electrons, `batch` [n_local] the system of each
        atom, `spins` [n_local] the spins of the layer before.
        """
        free = self.source(scalars, spins, edge_vector, edge_index, lists, n_all)  # [n_local, 2]
        readiness = torch.nn.functional.softplus(self.readiness(scalars))  # [n_local, 2]
        sums = torch.zeros((target.size(0), 4), dtype=free.dtype, device=free.device)
        sums = allsum(sums.index_add(0, batch, torch.cat([free, readiness], dim=1)))  # [n_systems, 4]
        leftover = target - sums[:, :2]  # [n_systems, 2]
        charge_spin = free + readiness * (leftover / sums[:, 2:]).index_select(0, batch)
        features = torch.cat([scalars, charge_spin[:, :1], charge_spin * charge_spin], dim=1)
        return self.back(features), charge_spin, leftover
