"""Charges that minimise an electrostatic energy under the total charge: charge equilibration (4G).

    E(q) = sum_i (chi_i q_i + J_i q_i^2 / 2) + 1/2 q A q,      sum_i q_i = Q

with electronegativities chi from the environments, a hardness J per element and the interaction A of Gaussian charges,
their self interaction included. Sources: Rappe and Goddard 1991; Ko, Finkler, Goedecker and Behler 2021, eqs. 4-8.
All atoms of a system share one potential, so charge flows between fragments however far apart they are;
`charge_flow.py` is the form that does not do that.
"""

import torch
from torch import Tensor, nn

from charon.model.electrostatics import Coulomb
from charon.model.implicit import ratio, smallest_norm, solution
from charon.model.surroundings import Surroundings
from charon.model.system_sums import system_sums


class ChargeEquilibration(nn.Module):
    """Equilibrated charges by preconditioned conjugate gradients: a number of steps, fewer if all systems have arrived.

    Every rank makes the same calls: the norms that end the iteration are sums over all ranks.
    """

    def __init__(self, coulomb: Coulomb, channels: int, n_elements: int, iterations: int) -> None:
        super().__init__()
        self.coulomb, self.iterations = coulomb, iterations
        self.electronegativity = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 1))
        self.hardness = nn.Parameter(torch.full((n_elements,), 5.0))

    def forward(
        self, scalars: Tensor, start: Tensor, external: Tensor, around: Surroundings
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Charges [n_local] e, `chi q + J q^2 / 2` [n_local] eV, and what `multipliers` needs.

        `start` [n_local] are charges with the right sum per system, `external` [n_local] V an outer potential; the rest
        of E(q) is the model's electrostatics. In TorchScript the charges are a leaf of the graph.
        """
        types = around.types[: scalars.size(0)]
        chi = self.electronegativity(scalars).squeeze(1)  # [n_local]
        hardness = torch.nn.functional.softplus(self.hardness).index_select(0, types)
        weight = 1.0 / (hardness + self.coulomb.self_interaction(types)).detach()
        total = system_sums(weight.unsqueeze(1), around.batch, around.n_systems)  # [n_systems, 1]
        terms = [hardness, weight, total]
        forced = chi + external
        right = -(forced + self.response(start, hardness, around))
        if torch.jit.is_scripting():
            change, common = self.solve(right, terms, around)
            charges = (start + change).detach().requires_grad_(True)
            unequal = forced + self.response(charges, hardness, around) + common
            residual = torch.stack([unequal, start.detach() - start], dim=1)
        else:
            charges = start + self.solution(right, terms, around)
            residual = torch.zeros_like(start)
        return charges, (chi + 0.5 * hardness * charges) * charges, [charges, residual, hardness, weight, total]

    def response(self, charges: Tensor, hardness: Tensor, around: Surroundings) -> Tensor:
        """Potential [n_local] V that charges feel of each other and of their own hardness."""
        return hardness * charges + self.coulomb.potential(charges, around.prepared)

    @torch.jit.unused
    def solution(self, right: Tensor, terms: list[Tensor], around: Surroundings) -> Tensor:
        """x of `solve`, differentiable any number of times."""
        return solution(_Equations(self, around), right, [*terms, *around.prepared])

    def multipliers(self, gradient: Tensor, solved: list[Tensor], around: Surroundings) -> Tensor:
        """[n_local, 2] that the residuals are multiplied by, for dE/dq = `gradient` [n_local]."""
        change, common = self.solve(gradient, solved[2:], around)
        return torch.stack([change, common], dim=1)

    def solve(self, right: Tensor, terms: list[Tensor], around: Surroundings) -> tuple[Tensor, Tensor]:
        """x of sum 0 and the common potential c, [n_local] both: `(J + A) x + c = right`; without a graph.

        `terms` are the hardness and the preconditioner, [n_local], and the sums of the latter [n_systems, 1].
        """
        with torch.no_grad():
            hardness, weight, total = terms[0], terms[1], terms[2]
            batch, n = around.batch, around.n_systems
            found = torch.zeros_like(right)
            common = system_sums((weight * right).unsqueeze(1), batch, n) / total  # [n_systems, 1]
            residual = right - common.index_select(0, batch).squeeze(1)
            norm = system_sums((weight * residual * residual).unsqueeze(1), batch, n)
            smallest = smallest_norm(system_sums((weight * right * right).unsqueeze(1), batch, n))
            direction = weight * residual
            for _ in range(self.iterations):
                active = norm > smallest
                if not bool(active.any()):
                    break
                response = self.response(direction, hardness, around)
                products = torch.stack([weight * response, direction * response], dim=1)  # [n_local, 2]
                sums = system_sums(products, batch, n)  # [n_systems, 2]
                length = ratio(norm, sums[:, 1:], active)  # [n_systems, 1]
                taken = sums[:, :1] / total  # of the response, by the common potential
                common = common - length * taken
                step = length.index_select(0, batch).squeeze(1)
                found = found + step * direction
                residual = residual - step * (response - taken.index_select(0, batch).squeeze(1))
                new_norm = system_sums((weight * residual * residual).unsqueeze(1), batch, n)
                turn = ratio(new_norm, norm, active).index_select(0, batch).squeeze(1)
                direction, norm = weight * residual + turn * direction, new_norm
            return found, common.index_select(0, batch).squeeze(1)


class _Equations:
    """The equations of a `ChargeEquilibration` for `charon.model.implicit`: symmetric on changes of sum zero."""

    def __init__(self, solver: ChargeEquilibration, around: Surroundings) -> None:
        self.solver, self.around = solver, around

    def _with(self, tensors: list[Tensor]) -> Surroundings:
        return self.around._replace(prepared=tensors[3:])

    def solve(self, right: Tensor, tensors: list[Tensor]) -> Tensor:
        return self.solver.solve(right, tensors, self._with(tensors))[0]

    def mapped(self, x: Tensor, tensors: list[Tensor]) -> Tensor:
        return self.solver.response(x, tensors[0], self._with(tensors))

    def transposed_solution(self, right: Tensor, tensors: list[Tensor]) -> Tensor:
        return solution(self, right, tensors)
