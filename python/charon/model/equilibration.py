"""Total charge and spin as constraints: equilibrated atomic charges and spins that re-enter the scalars.

Each atom says what it would carry, `q~` and `m~`, and how readily it takes a share of what is left over, `f > 0` and
`g > 0`:

    q_i = q~_i + f_i (Q - sum q~) / sum f,      m_i = m~_i + g_i (u - sum m~) / sum g

so charges sum to the total charge Q and spins to the number of unpaired electrons u, exactly, and a replicated system
(2 Q, 2 u) has the same charges. f and g are exponential in what a layer says of the atom, between e^-4 and e^4: an ion
that leaves a cluster keeps its charge if its share is far above the sum of all others. Beside its charge and spin an
atom may be told further shares of the totals, `Q f_k / sum f_k` and `|u| g_k / sum g_k`, which no label binds; they are
zero in neutral closed shells. Energy depends on q, q^2, m^2 and these shares only: it is even in m.
"""

import torch
from torch import Tensor, nn

from charon.model.config import ModelConfig
from charon.model.radial import DecayTable
from charon.model.system_sums import system_sums
from charon.ops import halo_forward, message


def scaled(charge: Tensor) -> Tensor:
    """Charges as features: shares of a charge among ten atoms become as large as other scalars are."""
    return 5.0 * charge


def sizes(charge_spin: Tensor) -> Tensor:
    """Even features `5 (sqrt(q^2 + 0.01) - 0.1)`: smooth, and as large as |q| wherever there is more than 0.1 of it."""
    return 5.0 * (torch.sqrt(charge_spin * charge_spin + 0.01) - 0.1)


class TransferSource(nn.Module):
    """Unconstrained charges and spins from antisymmetric transfers along edges, so each fragment sums to zero.

    In each of some channels an atom gives P away, in shares that its neighbors' acceptance b > 0 and distance decide:

        q~_i = sum_k sum_j (t_ijk - t_jik),      t_ijk = P_ik R_k(r_ij) b_jk / (1 + sum_l R_k(r_il) b_lk)

    with R > 0 and zero at the cutoff, so a cation has nearly the same charge with few or many anions around it, and an
    atom whose neighbors leave gives nothing. P is bounded smoothly: it would otherwise run away where atoms come closer
    than in any data, and the energy with it. The spins' P is multiplied by the spin that the atom already carries,
    hence the spins of a closed shell (u = 0) are exactly zero and flipping all spins flips them all.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.width = config.transfer_channels
        self.hidden = nn.Linear(config.channels, config.channels)
        self.offer = nn.Linear(config.channels, 2 * self.width)
        self.acceptance = nn.Linear(config.channels, 2 * self.width)
        self.table = DecayTable(2 * self.width, 0.0, config.cutoff, config.knots)

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
        n, width, spacing = scalars.size(0), self.width, self.table.spacing
        scalars = torch.nn.functional.silu(self.hidden(scalars))
        offer = 4.0 / width**0.5 * torch.tanh(0.5 * self.offer(scalars)).reshape(n, 2, width)
        offer = (offer * torch.stack([torch.ones_like(spins), spins], dim=1).unsqueeze(2)).flatten(1)  # [n, 2 width]
        acceptance = 2.0 * torch.sigmoid(self.acceptance(scalars))  # [n, 2 width]
        table = self.table()
        sent = halo_forward(acceptance.unsqueeze(1), n_all)
        accepted = message(sent, table, edge_vector, edge_index, lists, n, 0, True, spacing)[:, 0]  # [n, 2 width]
        rate = offer / (1.0 + accepted)
        sent = halo_forward(rate.unsqueeze(1), n_all)
        offered = message(sent, table, edge_vector, edge_index, lists, n, 0, True, spacing)[:, 0]
        return (rate * accepted - acceptance * offered).reshape(n, 2, width).sum(2)


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
    """Shares out the leftover of charge and spin and feeds both back into the scalars.

    What goes back are q, the sizes of q and m, and `shares` further shares of either total.
    """

    def __init__(self, source: nn.Module, channels: int, shares: int) -> None:
        super().__init__()
        self.source, self.shares = source, shares
        told = channels + 3 + 2 * shares
        self.readiness = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 2 + 2 * shares))
        self.back = nn.Sequential(nn.Linear(told, channels), nn.SiLU(), nn.Linear(channels, channels))

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
        readiness = torch.exp(4.0 * torch.tanh(0.25 * self.readiness(scalars)))  # [n_local, 2 + 2 shares]
        sums = system_sums(torch.cat([free, readiness], dim=1), batch, target.size(0))  # [n_systems, 4 + 2 shares]
        leftover = target - sums[:, :2]  # [n_systems, 2]
        totals = torch.cat([target[:, :1], target[:, 1:].abs()], dim=1).repeat_interleave(self.shares, 1)
        amounts = torch.cat([leftover, totals], dim=1)
        given = readiness * (amounts / sums[:, 2:]).index_select(0, batch)
        charge_spin = free + given[:, :2]
        features = [scalars, scaled(charge_spin[:, :1]), sizes(charge_spin), scaled(given[:, 2:])]
        return self.back(torch.cat(features, dim=1)), charge_spin, leftover
