"""The last word on charges: after the last layer they may be equilibrated, flow along bonds, or be read out."""

from typing import Final

import torch
from torch import Tensor, nn

from charon.model.charge_equilibration import ChargeEquilibration
from charon.model.charge_flow import ChargeFlow
from charon.model.config import ModelConfig
from charon.model.electrostatics import Coulomb
from charon.model.equilibration import scaled, sizes
from charon.model.spooky import EqualShares
from charon.model.surroundings import Surroundings
from charon.model.system_sums import system_sums


def _solver(config: ModelConfig, n_elements: int, coulomb: Coulomb) -> ChargeEquilibration | ChargeFlow:
    if config.charge_solver == "equilibration":
        return ChargeEquilibration(coulomb, config.channels, n_elements, config.solver_iterations)
    return ChargeFlow(
        coulomb,
        config.channels,
        n_elements,
        config.solver_iterations,
        config.transfer_channels,
        config.cutoff,
        config.knots,
    )


class FinalCharges(nn.Module):
    """Charges of the last layer, as they are or solved for, and fed back into the scalars.

    `shares`: charges and spins are read out here for the first time (`EqualShares`). `solves`: they start a charge
    solver; without a state in the layers it starts from the total charge in equal shares.
    """

    shares: Final[bool]
    solves: Final[bool]
    knows_charges: Final[bool]

    def __init__(self, config: ModelConfig, n_elements: int, coulomb: Coulomb | None) -> None:
        super().__init__()
        self.shares = config.electronic == "spooky"
        self.knows_charges = config.electronic != "hdnnp4g"
        self.equal_shares = EqualShares(config.channels) if self.shares else nn.Identity()
        self.solves = config.charge_solver != "none"
        self.exchange_width = config.transfer_channels if self.solves else 1
        if self.solves and coulomb is not None:
            self.solver = _solver(config, n_elements, coulomb)
            self.back = nn.Sequential(
                nn.Linear(config.channels + 2, config.channels),
                nn.SiLU(),
                nn.Linear(config.channels, config.channels),
            )

    def forward(
        self, scalars: Tensor, charge_spin: Tensor, external: Tensor, target: Tensor, around: Surroundings
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, list[Tensor]]:
        """Scalars [n_local, channels], (charge, spin) [n_local, 2], energies [n_local] eV, leftover [n_systems, 2].

        The last is for `stationary`, empty without a solver.
        """
        leftover, energy = torch.zeros_like(target), torch.zeros_like(scalars[:, 0])
        solved: list[Tensor] = []
        if self.shares:
            charge_spin, leftover = self.equal_shares(scalars, target, around.batch)
        if self.solves:
            start = charge_spin[:, 0]
            if not self.knows_charges:
                count = system_sums(torch.ones_like(scalars[:, :1]), around.batch, around.n_systems).squeeze(1)
                start = (target[:, 0] / count).index_select(0, around.batch)
            charges, energy, solved = self.solver(scalars, start, external, around)
            own = charges.unsqueeze(1)
            scalars = scalars + self.back(torch.cat([scalars, scaled(own), sizes(own)], dim=1))
            charge_spin = torch.stack([charges, charge_spin[:, 1]], dim=1)
        return scalars, charge_spin, energy, leftover, solved

    def stationary(self, energy: Tensor, solved: list[Tensor], around: Surroundings) -> Tensor:
        """In TorchScript: energies [n_local] whose derivatives are right with the solved charges held fixed.

        `L = E - sum_i lambda_i F_i(q)` with the residuals F of the charges' equations and multipliers lambda such that
        dL/dq = 0. The value is that of E up to the product of two errors of convergence.
        """
        if not self.solves:
            return energy
        if torch.jit.is_scripting():
            charges = solved[0]
            gradient = torch.autograd.grad([energy.sum()], [charges], retain_graph=True)[0]
            assert gradient is not None
            multipliers = self.solver.multipliers(gradient, solved, around)
            energy = energy - (multipliers * solved[1]).sum(1)
        return energy
