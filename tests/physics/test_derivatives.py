"""Forces and stress are the derivatives of one energy: central differences in float64."""

import numpy as np
import pytest

from charon.structure import Structure

from .conftest import changed, has_long_range

STEP = 1e-4
SYSTEMS = ["CH2 singlet", "CH2 triplet", "Ag3-", "C10H2", "NaCl cell", "Ag slab"]


def five_point(energy, step: float) -> float:
    """Central difference of fourth order at zero."""
    return (8 * (energy(step) - energy(-step)) - energy(2 * step) + energy(-2 * step)) / (12 * step)


def moved(structure: Structure, direction: np.ndarray, amount: float) -> Structure:
    return changed(structure, positions=structure.positions + amount * direction)


def deformed(structure: Structure, strain: np.ndarray, amount: float) -> Structure:
    deformation = np.eye(3) + amount * strain
    return changed(structure, positions=structure.positions @ deformation, cell=structure.cell @ deformation)


@pytest.mark.parametrize("system", SYSTEMS)
def test_forces_are_minus_the_gradient(potential, predict, structures, system):
    structure = structures[system]
    structure = moved(structure, np.random.default_rng(3).normal(size=(structure.n_atoms, 3)), 0.05)
    forces = predict(potential, structure).forces.detach().numpy()
    random = np.random.default_rng(1)
    for _ in range(3):
        direction = random.normal(size=forces.shape)
        slope = five_point(lambda h, d=direction: float(predict(potential, moved(structure, d, h)).energy[0]), STEP)
        scale = np.abs(forces * direction).sum()
        assert abs(slope + (forces * direction).sum()) < 1e-6 * scale


@pytest.mark.parametrize("component", [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)])
def test_stress_is_the_strain_derivative_in_a_triclinic_cell(potential, predict, structures, component):
    structure = structures["NaCl cell"]
    strain = np.zeros((3, 3))
    strain[component] += 0.5
    strain[component[::-1]] += 0.5
    stress = predict(potential, structure).stress.detach().numpy()[0]
    slope = five_point(lambda h: float(predict(potential, deformed(structure, strain, h)).energy[0]), STEP)
    volume = abs(np.linalg.det(structure.cell))
    assert slope / volume == pytest.approx(stress[component], rel=1e-6, abs=1e-6 * np.abs(stress).max())
    assert np.allclose(stress, stress.T, atol=0)


def test_a_charged_open_shell_cell_has_the_right_stress(potential, predict, structures):
    structure = changed(structures["NaCl cell"], total_charge=1, spin_multiplicity=2)
    strain = np.diag([1.0, -0.5, 0.25])
    stress = predict(potential, structure).stress.detach().numpy()[0]
    slope = five_point(lambda h: float(predict(potential, deformed(structure, strain, h)).energy[0]), STEP)
    volume = abs(np.linalg.det(structure.cell))
    assert slope / volume == pytest.approx((stress * strain).sum(), rel=1e-6)


def test_no_stress_without_three_periodic_directions(potential, predict, structures):
    prediction = predict(potential, structures["Ag slab"], structures["C10H2"])
    assert float(prediction.stress.abs().max()) == 0.0


def test_energy_forces_and_charges_end_smoothly_at_the_cutoff(potential, predict, structures):
    """A dimer across the cutoff: energy and force have no step, and a model without long range has no force beyond."""
    sodium = structures["NaCl cell"]

    def dimer(distance: float) -> Structure:
        return changed(
            sodium,
            numbers=np.array([11, 17]),
            positions=np.array([[0.0, 0, 0], [distance, 0, 0]]),
            cell=np.zeros((3, 3)),
            pbc=np.zeros(3, dtype=bool),
        )

    cutoff = potential.cutoff
    inside = predict(potential, dimer(cutoff - 1e-4))
    outside = predict(potential, dimer(cutoff + 1e-4))
    slope = float(inside.forces[0, 0] + outside.forces[0, 0]) / 2  # of the second atom's motion
    assert abs(float(outside.energy[0] - inside.energy[0]) - 2e-4 * slope) < 1e-9
    assert float((inside.charges - outside.charges).abs().max()) < 1e-6
    assert float((inside.forces - outside.forces).abs().max()) < 1e-4 * max(1.0, abs(slope))
    if not has_long_range(potential):
        assert float(inside.forces.abs().max()) < 1e-5
        assert float(outside.forces.abs().max()) == 0.0


def test_training_gradients_of_forces(potential, predict, structures):
    """The gradient of a loss on forces with respect to weights, by differences of that loss."""
    import torch

    from charon.model import evaluate

    from .conftest import batch_of

    batch = batch_of(potential, structures["CH2 triplet"], structures["NaCl cell"])

    def loss(create_graph: bool) -> torch.Tensor:
        prediction = evaluate(potential, batch, create_graph=create_graph)
        return prediction.forces.square().sum() + prediction.stress.square().sum() * 1e4

    weights = [p for p in potential.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss(True), weights, allow_unused=True)
    torch.manual_seed(0)
    directions = [torch.randn_like(w) if g is not None else None for w, g in zip(weights, gradients, strict=True)]
    expected = sum(float((d * g).sum()) for d, g in zip(directions, gradients, strict=True) if d is not None)

    def at(step: float) -> float:
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                if direction is not None:
                    weight += step * direction
        value = float(loss(False).detach())
        with torch.no_grad():
            for weight, direction in zip(weights, directions, strict=True):
                if direction is not None:
                    weight -= step * direction
        return value

    assert five_point(at, 1e-5) == pytest.approx(expected, rel=1e-6)
