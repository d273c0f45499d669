"""Charge equilibration and charge flow: against dense solutions, at dissociation, in a growing chain."""

import numpy as np
import pytest
import torch
from ase import Atoms

from charon.model import ModelConfig, evaluate
from charon.model.charge_equilibration import ChargeEquilibration
from charon.model.charge_flow import ChargeFlow
from charon.model.electrostatics import Coulomb, ElectrostaticsConfig
from charon.model.response import born_charges, polarizability
from charon.model.surroundings import Surroundings
from charon.ops import edge_lists
from charon.structure import Structure

from .conftest import batch_of, changed, random_potential

ELEMENTS = [1, 6, 11, 17, 47]
SOLVERS = {
    "equilibration": ModelConfig(preset="qeq", charge_solver="equilibration", channels=8, cutoff=5.0),
    "flow": ModelConfig(preset="qeq", channels=8, cutoff=5.0),
    "hdnnp4g": ModelConfig(preset="hdnnp4g", channels=8, cutoff=5.0),
}
STATES = {"C10H2": (0, 1), "Ag3+": (1, 1), "NaCl cell": (0, 1)}


def structure_of(atoms: Atoms, charge: int = 0, spin: int = 1) -> Structure:
    atoms.info.update(charge=charge, spin=spin)
    return Structure.from_atoms(atoms, source="test")


class Setting:
    """A solver with random weights and a system with random features, in float64."""

    def __init__(self, kind: str, structure: Structure, iterations: int = 40, channels: int = 6) -> None:
        torch.manual_seed(3)
        potential = random_potential("tensors")
        self.batch = batch_of(potential, structure)
        self.coulomb = Coulomb(ELEMENTS, potential.cutoff, ElectrostaticsConfig()).double()
        if kind == "flow":
            solver = ChargeFlow(self.coulomb, channels, len(ELEMENTS), iterations, 4, potential.cutoff, 40)
        else:
            solver = ChargeEquilibration(self.coulomb, channels, len(ELEMENTS), iterations)
        self.solver = solver.double()
        b = self.batch
        self.scalars = torch.randn(structure.n_atoms, channels, dtype=torch.float64)
        self.prepared = self.coulomb.prepare(b.types, b.edge_index, b.edge_vector, b.positions, b.cell, b.pbc, b.batch)
        lists = edge_lists(b.edge_index, structure.n_atoms, structure.n_atoms)
        self.around = Surroundings(
            b.types, b.edge_vector, b.edge_index, lists, b.positions, b.cell, b.pbc, b.batch, 1, self.prepared
        )
        self.start = torch.full((structure.n_atoms,), structure.total_charge / structure.n_atoms, dtype=torch.float64)

    def charges(self) -> torch.Tensor:
        return self.solver(self.scalars, self.start, torch.zeros_like(self.start), self.around)[0].detach()

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Hardness + Coulomb matrix [n, n] and the electronegativities [n]."""
        n = self.start.numel()
        columns = [self.coulomb.potential(unit, self.prepared) for unit in torch.eye(n, dtype=torch.float64)]
        hardness = torch.nn.functional.softplus(self.solver.hardness)[self.batch.types]
        interaction = torch.stack(columns, dim=1) + torch.diag(hardness)
        return interaction.detach().numpy(), self.solver.electronegativity(self.scalars).squeeze(1).detach().numpy()

    def laplacian(self) -> np.ndarray:
        """Of the mobilities, edge by edge and without the kernel."""
        b, mobility = self.batch, self.solver.mobility
        ready, table, _ = mobility.bonds(self.scalars, self.around)
        coefficients = table[:, 0]  # [knots + 3, width]
        n = ready.size(0)
        matrix = torch.zeros((n, n), dtype=torch.float64)
        for (i, j), vector in zip(b.edge_index.T.tolist(), b.edge_vector, strict=True):
            x = float(vector.norm()) / mobility.table.spacing
            k, t = int(x), x - int(x)
            basis = torch.tensor([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
            if k + 4 <= coefficients.size(0):
                matrix[i, j] += (ready[i] * ready[j] * (basis.double() @ coefficients[k : k + 4])).sum()
        return (torch.diag(matrix.sum(1)) - matrix).detach().numpy()


@pytest.mark.parametrize("system", list(STATES))
def test_equilibration_equals_the_dense_solution(structures, system):
    charge, spin = STATES[system]
    setting = Setting("equilibration", changed(structures[system], total_charge=charge, spin_multiplicity=spin))
    interaction, chi = setting.matrices()
    n = len(chi)
    bordered = np.block([[interaction, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    expected = np.linalg.solve(bordered, np.append(-chi, charge))[:n]
    np.testing.assert_allclose(setting.charges().numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("system", list(STATES))
def test_flow_equals_the_dense_solution(structures, system):
    charge, spin = STATES[system]
    setting = Setting("flow", changed(structures[system], total_charge=charge, spin_multiplicity=spin))
    interaction, chi = setting.matrices()
    laplacian, start = setting.laplacian(), setting.start.numpy()
    assert np.linalg.eigvalsh(laplacian).min() > -1e-9
    level = np.linalg.solve(np.eye(len(chi)) + interaction @ laplacian, chi + interaction @ start)
    np.testing.assert_allclose(setting.charges().numpy(), start - laplacian @ level, atol=1e-9)


@pytest.mark.parametrize("kind", ["equilibration", "flow"])
def test_a_few_iterations_are_enough(structures, kind):
    """The default number leaves an error that no label resolves."""
    default = ModelConfig().solver_iterations
    few = Setting(kind, structures["C10H2"], default).charges()
    many = Setting(kind, structures["C10H2"], 60).charges()
    assert float((few - many).abs().max()) < 1e-4


@pytest.mark.parametrize("kind", ["equilibration", "flow"])
def test_the_iteration_ends_where_it_has_arrived(structures, kind, monkeypatch):
    calls, potential = [], Coulomb.potential
    monkeypatch.setattr(Coulomb, "potential", lambda self, *given: calls.append(1) or potential(self, *given))
    setting = Setting(kind, structures["C10H2"], 500)
    calls.clear()
    setting.charges()
    assert 5 < len(calls) < 100


@pytest.mark.parametrize("name", list(SOLVERS))
def test_arrived_iterations_change_nothing(structures, predict, name):
    """One and two atoms are solved at once; energy, forces and dE/dQ stay finite and the charge exact."""
    potential = random_potential(SOLVERS[name])
    dimer = structure_of(Atoms("NaCl", positions=[[0, 0, 0], [2.4, 0, 0]]))
    atom = structure_of(Atoms("Na", positions=[[0, 0, 0]]), charge=1)
    prediction = predict(potential, dimer, atom)
    assert prediction.charges[2].item() == pytest.approx(1.0, abs=1e-12)
    assert float(prediction.charges[:2].sum()) == pytest.approx(0.0, abs=1e-12)
    assert all(bool(torch.isfinite(t).all()) for t in (prediction.forces, prediction.energy, prediction.state_gradient))


@pytest.mark.parametrize("name", list(SOLVERS))
def test_training_on_forces_has_the_right_gradient(structures, name):
    """Second derivatives through the iterations, by central differences along a random direction of the weights."""
    potential = random_potential(SOLVERS[name])
    batch = batch_of(potential, structures["CH2 triplet"], structures["NaCl cell"])
    weights = [p for p in potential.parameters() if p.requires_grad]

    def loss() -> torch.Tensor:
        prediction = evaluate(potential, batch, create_graph=True)
        return prediction.forces.square().sum() + prediction.charges.square().sum()

    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    torch.manual_seed(0)
    directions = [torch.randn_like(w) for w in weights]
    expected = sum(float((d * g).sum()) for d, g in zip(directions, gradients, strict=True) if g is not None)

    def shifted(step: float) -> float:
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight += step * direction
        value = float(loss().detach())
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                weight -= step * direction
        return value

    h = 1e-5
    slope = (8 * (shifted(h) - shifted(-h)) - shifted(2 * h) + shifted(-2 * h)) / (12 * h)
    assert slope == pytest.approx(expected, rel=1e-5)


def sodium_charge(kind: str, distance: float) -> float:
    atoms = Atoms("NaCl", positions=[[0, 0, 0], [distance, 0, 0]])
    setting = Setting(kind, structure_of(atoms))
    setting.scalars = torch.tensor([[1.0, 0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0, 0]], dtype=torch.float64)
    setting.solver.electronegativity = torch.nn.Linear(6, 1).double()
    with torch.no_grad():
        setting.solver.electronegativity.weight.fill_(-2.75)
    return float(setting.charges()[0])


def test_neutral_atoms_part_neutral_with_flow_only():
    """With chi of 5.5 V between them: plain equilibration leaves charge on atoms 50 A apart, flow does not."""
    assert sodium_charge("flow", 2.4) > 0.05
    assert sodium_charge("equilibration", 50.0) > 0.2
    assert sodium_charge("flow", 50.0) == 0.0


def test_the_polarizability_per_atom_of_a_chain_saturates_with_flow_only(structures):
    def per_atom(name: str, n: int) -> float:
        chain = structure_of(Atoms(f"C{n}", positions=np.outer(np.arange(n) * 1.3, [1.0, 0, 0])))
        potential = random_potential(SOLVERS[name].model_copy(update={"solver_iterations": 100}))
        if name == "flow":
            with torch.no_grad():
                potential.core.charges.solver.mobility.table.amplitude.fill_(-6.0)
        return float(polarizability(potential, batch_of(potential, chain))[0, 0]) / n

    flow = [per_atom("flow", n) for n in (10, 20, 40)]
    plain = [per_atom("equilibration", n) for n in (10, 20, 40)]
    assert flow[2] / flow[1] < 1.15
    assert plain[2] / plain[1] > 1.8
    assert min(flow) > 0.0


@pytest.mark.parametrize("name", list(SOLVERS))
def test_polarizability_is_the_derivative_of_the_dipole(structures, name):
    potential = random_potential(SOLVERS[name])
    batch = batch_of(potential, structures["CH2 triplet"])
    alpha = polarizability(potential, batch)

    def moment(axis: int, field: float) -> torch.Tensor:
        potential.external_field = field * torch.eye(3, dtype=torch.float64)[axis]
        charges = potential(*batch.inputs())[1][:, 0].detach()
        potential.external_field = torch.zeros(3, dtype=torch.float64)
        return charges @ batch.positions

    for axis in range(3):
        slope = (moment(axis, 1e-4) - moment(axis, -1e-4)) / 2e-4
        np.testing.assert_allclose(alpha[:, axis].numpy(), slope.numpy(), atol=1e-7)
    assert np.allclose(alpha, alpha.T, atol=1e-9)
    assert np.linalg.eigvalsh(alpha.numpy()).min() > -1e-9


@pytest.mark.parametrize("name", [*SOLVERS, "tensors"])
def test_born_charges_are_the_derivative_of_the_dipole(structures, predict, name):
    potential = random_potential(SOLVERS.get(name, name))
    molecule = changed(structures["CH2 triplet"], positions=structures["CH2 triplet"].positions + 0.1)
    born = born_charges(potential, batch_of(potential, molecule)).numpy()
    for i, b in [(0, 0), (1, 1), (2, 2)]:
        step = np.zeros_like(molecule.positions)
        step[i, b] = 1e-4
        ends = [changed(molecule, positions=molecule.positions + s * step) for s in (1, -1)]
        moments = [predict(potential, end).dipole[0].detach().numpy() for end in ends]
        np.testing.assert_allclose(born[i, :, b], (moments[0] - moments[1]) / 2e-4, atol=1e-6)
    assert np.abs(born.sum(0)).max() < 1e-9  # acoustic sum rule of a neutral molecule
