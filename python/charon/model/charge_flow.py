"""Charges that flow along bonds only: equilibration without spurious transfer.

    F(y) = sum_i (chi_i q_i + J_i q_i^2 / 2) + 1/2 q A q + 1/2 sum_b y_b^2,      q = q0 + B sqrt(w) y

minimised over the flows y_b of bonds b = (i, j) with mobilities `w_ij -> 0` as the bond breaks; B is the incidence
matrix. With the Laplacian L = B w B^T of the mobilities and the local potentials u = chi + (J + A) q this is

    q = q0 - L u,      (1 + (J + A) L) u = chi + (J + A) q0

solved by conjugate gradients in the inner product of L: one Laplacian and one electrostatic potential per step. At the
solution u is the local potential of the charges themselves. A fragment keeps its sum of q0 exactly, and the
polarizability of a chain saturates. In the limit of large mobilities it is charge equilibration within each bonded
fragment. Sources: the split-charge models (Nistor, Polihronov, Mueser and Mosey 2006) and atom-condensed Kohn-Sham
theory (Verstraelen, Ayers, Van Speybroeck and Waroquier 2013).
"""

import torch
from torch import Tensor, nn

from charon.model.electrostatics import Coulomb
from charon.model.implicit import ratio, rounding_error, smallest_norm, solution
from charon.model.radial import DecayTable
from charon.model.surroundings import Surroundings
from charon.model.system_sums import system_sums
from charon.ops import halo_forward, message


class Mobility(nn.Module):
    """Laplacian of mobilities `w_ij = sum_k x_ik x_jk R_k(r_ij)`: symmetric, positive and zero at the cutoff.

    x is between 0 and 2 and comes from the scalars; R_k falls off exponentially.
    """

    def __init__(self, channels: int, width: int, cutoff: float, knots: int) -> None:
        super().__init__()
        self.readiness = nn.Linear(channels, width)
        self.table = DecayTable(width, -4.0, cutoff, knots)  # bonds begin as insulators

    def bonds(self, scalars: Tensor, around: Surroundings) -> list[Tensor]:
        """x of all atoms [n_all, width], the table of R_k, and the sums `sum_j w_ij` [n_local]."""
        ready = halo_forward(2.0 * torch.sigmoid(self.readiness(scalars)), around.types.size(0))
        table = self.table()
        return [ready, table, self.coupled(torch.ones_like(scalars[:, 0]), ready, table, around)]

    def coupled(self, values: Tensor, ready: Tensor, table: Tensor, around: Surroundings) -> Tensor:
        """`sum_j w_ij values_j` [n_local]."""
        n = values.size(0)
        sent = (ready * halo_forward(values.unsqueeze(1), ready.size(0))).unsqueeze(1)  # [n_all, 1, width]
        edge_vector, edge_index, lists = around.edge_vector, around.edge_index, around.lists
        summed = message(sent, table, edge_vector, edge_index, lists, n, 0, True, self.table.spacing)
        return (ready[:n] * summed[:, 0]).sum(1)

    def laplacian(self, values: Tensor, bonds: list[Tensor], around: Surroundings) -> Tensor:
        """L values = `sum_j w_ij (values_i - values_j)` [n_local], with what `bonds` returned."""
        return bonds[2] * values - self.coupled(values, bonds[0], bonds[1], around)


class ChargeFlow(nn.Module):
    """Charges after flows along bonds, by conjugate gradients: a number of steps, fewer if all systems have arrived.

    Every rank makes the same calls: the norms that end the iteration are sums over all ranks.
    """

    def __init__(
        self, coulomb: Coulomb, channels: int, n_elements: int, iterations: int, width: int, cutoff: float, knots: int
    ) -> None:
        super().__init__()
        self.coulomb, self.iterations = coulomb, iterations
        self.electronegativity = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 1))
        self.hardness = nn.Parameter(torch.full((n_elements,), 5.0))
        self.mobility = Mobility(channels, width, cutoff, knots)

    def forward(
        self, scalars: Tensor, start: Tensor, external: Tensor, around: Surroundings
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """As `ChargeEquilibration.forward`; the energies also hold the cost of the flows, `u L u / 2`."""
        chi = self.electronegativity(scalars).squeeze(1)  # [n_local]
        hardness = torch.nn.functional.softplus(self.hardness).index_select(0, around.types[: scalars.size(0)])
        bonds = self.mobility.bonds(scalars, around)
        terms = [hardness, bonds[0], bonds[1], bonds[2]]
        forced = chi + external
        right = forced + self.response(start, hardness, around)
        if torch.jit.is_scripting():
            found = self.solve(right, terms, around)
            charges = (start - self.mobility.laplacian(found, bonds, around)).detach().requires_grad_(True)
            level = forced + self.response(charges, hardness, around)  # u
            residual = (charges - start + self.mobility.laplacian(level, bonds, around)).unsqueeze(1)
        else:
            level = self.solution(right, terms, around)
            charges = start - self.mobility.laplacian(level, bonds, around)
            residual = torch.zeros_like(start)
        energy = (chi + 0.5 * hardness * charges) * charges + 0.5 * level * (start - charges)
        return charges, energy, [charges, residual, hardness, bonds[0], bonds[1], bonds[2]]

    def response(self, charges: Tensor, hardness: Tensor, around: Surroundings) -> Tensor:
        """Potential [n_local] V that charges feel of each other and of their own hardness, (J + A) q."""
        return hardness * charges + self.coulomb.potential(charges, around.prepared)

    @torch.jit.unused
    def solution(self, right: Tensor, terms: list[Tensor], around: Surroundings) -> Tensor:
        """u of `solve`, differentiable any number of times."""
        return solution(_Equations(self, around), right, [*terms, around.edge_vector, *around.prepared])

    def multipliers(self, gradient: Tensor, solved: list[Tensor], around: Surroundings) -> Tensor:
        """[n_local, 1] that the residuals are multiplied by, for dE/dq = `gradient` [n_local]."""
        return self.solve(gradient, solved[2:], around).unsqueeze(1)

    def solve(self, right: Tensor, terms: list[Tensor], around: Surroundings) -> Tensor:
        """u [n_local] of `(1 + (J + A) L) u = right`, without a graph; `terms` are J and what `Mobility.bonds` returns.

        What the inner product of L does not see, one constant per fragment, is its own image: that of the system is
        taken off each residual, where it would drown the norm in rounding errors, and what is left is added at the end.
        """
        with torch.no_grad():
            hardness, bonds, batch, n = terms[0], terms[1:], around.batch, around.n_systems
            ones = torch.ones_like(right)
            sums = system_sums(torch.stack([ones, right, bonds[2] * right * right], dim=1), batch, n)
            counts, smallest = sums[:, :1], smallest_norm(sums[:, 2:])
            found = (sums[:, 1:2] / counts).index_select(0, batch).squeeze(1)
            residual = right - found
            flow = self.mobility.laplacian(residual, bonds, around)
            direction, outflow = residual, flow  # and its Laplacian
            norms = self.norms(residual, flow, bonds, around)  # [n_systems, 2]
            for _ in range(self.iterations):
                norm = norms[:, :1]
                active = (norm > smallest) & (norm > rounding_error(norms[:, 1:]))
                if not bool(active.any()):
                    break
                response = direction + self.response(outflow, hardness, around)
                sums = system_sums(torch.stack([outflow * response, response], dim=1), batch, n)
                step = ratio(norm, sums[:, :1], active)  # [n_systems, 1]
                constant = (step * sums[:, 1:] / counts).index_select(0, batch).squeeze(1)
                step = step.index_select(0, batch).squeeze(1)
                found = found + step * direction - constant
                residual = residual - step * response + constant
                flow = self.mobility.laplacian(residual, bonds, around)
                norms = self.norms(residual, flow, bonds, around)
                turn = ratio(norms[:, :1], norm, active).index_select(0, batch).squeeze(1)
                direction, outflow = residual + turn * direction, flow + turn * outflow
            return found + residual

    def norms(self, residual: Tensor, flow: Tensor, bonds: list[Tensor], around: Surroundings) -> Tensor:
        """`r L r` and its size without cancellation, `sum_i w_i r_i^2`, of each system: [n_systems, 2]."""
        both = torch.stack([residual * flow, bonds[2] * residual * residual], dim=1)
        return system_sums(both, around.batch, around.n_systems)


class _Equations:
    """The equations of a `ChargeFlow` for `charon.model.implicit`."""

    def __init__(self, solver: ChargeFlow, around: Surroundings) -> None:
        self.solver, self.around = solver, around

    def _with(self, tensors: list[Tensor]) -> Surroundings:
        return self.around._replace(edge_vector=tensors[4], prepared=tensors[5:])

    def solve(self, right: Tensor, tensors: list[Tensor]) -> Tensor:
        return self.solver.solve(right, tensors[:4], self._with(tensors))

    def mapped(self, x: Tensor, tensors: list[Tensor]) -> Tensor:
        around = self._with(tensors)
        flow = self.solver.mobility.laplacian(x, tensors[1:4], around)
        return x + self.solver.response(flow, tensors[0], around)

    def transposed_solution(self, right: Tensor, tensors: list[Tensor]) -> Tensor:
        """`(1 + L (J + A))^-1 g = g - L (1 + (J + A) L)^-1 (J + A) g`."""
        around = self._with(tensors)
        inner = solution(self, self.solver.response(right, tensors[0], around), tensors)
        return right - self.solver.mobility.laplacian(inner, tensors[1:4], around)
