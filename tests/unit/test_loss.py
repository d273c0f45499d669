"""Terms, scales and weights of the loss against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch

from charon.batch import collate, make_graphs
from charon.errors import ConfigError
from charon.model import Prediction
from charon.structure import Structure
from charon.train.config import LossConfig
from charon.train.loss import Loss, Scales, label_scales, resolve_weights
from charon.train.schedule import energy_weight


def structures_of(frames) -> list[Structure]:
    return [Structure.from_atoms(atoms, source=f"frame {i}") for i, atoms in enumerate(frames)]


def batch_of(structures):
    elements = sorted({int(z) for s in structures for z in s.numbers})
    return collate(make_graphs(structures, elements, 4.0), torch.float64)


def exact(batch) -> Prediction:
    """What a perfect model would predict; zero where there is no label."""
    n, systems = batch.types.size(0), batch.n_systems
    shapes = {"energy": (systems,), "forces": (n, 3), "stress": (systems, 3, 3)}
    shapes |= {"charges": (n,), "spins": (n,), "dipole": (systems, 3)}
    found = {k: batch.labels.get(k, torch.zeros(shape, dtype=torch.float64)).clone() for k, shape in shapes.items()}
    zeros = torch.zeros((systems, 2), dtype=torch.float64)
    found |= {"quadrupole": torch.zeros(systems, 3, 3), "state_gradient": zeros, "leftover": zeros}
    return Prediction(energies=torch.zeros(n, dtype=torch.float64), **found)


@pytest.fixture
def batch(sets):
    return batch_of(structures_of(sets.trimers(2) + sets.copper(1)))


def test_perfect_prediction_costs_nothing(batch):
    loss = Loss(LossConfig(), Scales())
    terms = loss.terms(exact(batch), batch)
    assert set(terms) == {"energy", "forces", "stress", "charges", "dipole", "leftover"}
    assert float(loss.total(terms, 1.0)) == 0.0


def test_energy_term_per_square_root_of_atoms(batch):
    prediction = exact(batch)
    prediction.energy += torch.tensor([0.3, -0.6, 1.0], dtype=torch.float64)
    found = Loss(LossConfig(), Scales(energy=2.0)).terms(prediction, batch)["energy"]
    expected = ((0.3 / 2) ** 2 / 3 + (0.6 / 2) ** 2 / 3 + (1.0 / 2) ** 2 / 4) / 3
    assert math.isclose(float(found), expected, rel_tol=1e-12)


def test_energy_term_per_atom(batch):
    prediction = exact(batch)
    prediction.energy += 0.3
    found = Loss(LossConfig(energy_size="atoms"), Scales()).terms(prediction, batch)["energy"]
    assert math.isclose(float(found), (2 * 0.1**2 + 0.075**2) / 3, rel_tol=1e-12)


def test_force_term_is_a_mean_of_components(batch):
    prediction = exact(batch)
    prediction.forces[4, 1] += 0.5
    found = Loss(LossConfig(), Scales(forces=0.25)).terms(prediction, batch)["forces"]
    assert math.isclose(float(found), (0.5 / 0.25) ** 2 / (3 * 10), rel_tol=1e-12)


def test_terms_see_only_frames_with_the_label(sets):
    frames = sets.trimers(1) + sets.trimers(1, seed=1, labels=("energy",))
    batch = batch_of(structures_of(frames))
    prediction = exact(batch)
    prediction.forces[3:] += 9.0
    prediction.charges[3:] += 9.0
    terms = Loss(LossConfig(), Scales()).terms(prediction, batch)
    assert float(terms["forces"]) == 0.0 and float(terms["charges"]) == 0.0
    prediction.forces[0] += torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64)
    assert math.isclose(float(Loss(LossConfig(), Scales()).terms(prediction, batch)["forces"]), 0.09 / 9, rel_tol=1e-9)


def test_dipole_of_molecules_only(sets):
    frames = sets.copper(1)
    frames[0].calc.results["dipole"] = np.array([1.0, 0.0, 0.0])
    batch = batch_of(structures_of(sets.trimers(1) + frames))
    prediction = exact(batch)
    prediction.dipole[1] += 5.0
    assert float(Loss(LossConfig(), Scales()).terms(prediction, batch)["dipole"]) == 0.0
    prediction.dipole[0, 2] += 0.6
    assert math.isclose(float(Loss(LossConfig(), Scales()).terms(prediction, batch)["dipole"]), 0.12, rel_tol=1e-9)


def test_leftover_term(batch):
    prediction = exact(batch)
    prediction.leftover[0] = torch.tensor([0.3, 0.6])
    found = Loss(LossConfig(), Scales()).terms(prediction, batch)["leftover"]
    assert math.isclose(float(found), 0.9 / 3 / 3, rel_tol=1e-6)


def test_huber_is_linear_far_out(batch):
    prediction = exact(batch)
    prediction.forces[0, 0] += 2.0
    prediction.forces[0, 1] += 0.05
    found = Loss(LossConfig(kind="huber", huber_delta=0.1), Scales()).terms(prediction, batch)["forces"]
    assert math.isclose(float(found), (0.1 * (4.0 - 0.1) + 0.05**2) / 30, rel_tol=1e-9)


def test_total_weighs_the_terms(batch):
    prediction = exact(batch)
    prediction.energy += 1.0
    prediction.forces += 0.1
    config = LossConfig(forces=2.0, stress=0, charges=0, dipole=0, leftover=0)
    loss = Loss(config, Scales())
    terms = loss.terms(prediction, batch)
    assert set(terms) == {"energy", "forces"}
    assert math.isclose(
        float(loss.total(terms, 0.5)),
        0.5 * float(terms["energy"]) + 2.0 * float(terms["forces"]),
        rel_tol=1e-12,
    )


def test_scales_are_rms_of_the_labels(sets):
    structures = structures_of(sets.trimers(6) + sets.copper(2))
    scales = label_scales(structures, [29, 47], [0.0, 0.0])
    forces = np.concatenate([s.labels["forces"].ravel() for s in structures])
    assert math.isclose(scales.forces, np.sqrt((forces**2).mean()), rel_tol=1e-12)
    assert scales.energy == scales.forces and scales.spins == 1.0


def test_scale_of_charges_is_their_deviation_within_an_element(sets):
    structures = structures_of(sets.trimers(6) + sets.copper(2))
    labelled = [s for s in structures if "charges" in s.labels]
    numbers, values = (
        np.concatenate(x) for x in zip(*[(s.numbers, s.labels["charges"]) for s in labelled], strict=True)
    )
    deviations = [values[numbers == z] - values[numbers == z].mean() for z in set(numbers)]
    expected = np.sqrt(np.mean(np.concatenate(deviations) ** 2))
    assert math.isclose(label_scales(structures, [29, 47], [0.0, 0.0]).charges, expected, rel_tol=1e-12)
    for structure in labelled:
        structure.labels["charges"] = 0.7 + 1e-3 * values[: structure.n_atoms]
    assert label_scales(structures, [29, 47], [0.0, 0.0]).charges == 0.005


def test_energy_scale_without_forces(sets):
    structures = structures_of(sets.trimers(4, labels=("energy",)))
    above = [(float(s.labels["energy"]) + 300.0) / 3**0.5 for s in structures]
    scales = label_scales(structures, [47], [-100.0])
    assert math.isclose(scales.energy, np.sqrt(np.mean(np.square(above))), rel_tol=1e-12)


def test_absent_labels_get_no_weight(sets):
    resolved = resolve_weights(LossConfig(), structures_of(sets.trimers(2)))
    assert resolved.stress == 0 and resolved.spins == 0 and resolved.forces == 1.0


def test_weight_of_an_absent_label_is_an_error(sets):
    with pytest.raises(ConfigError) as error:
        resolve_weights(LossConfig(stress=2.0), structures_of(sets.trimers(2)))
    text = str(error.value)
    assert "loss.stress is 2, but no frame of the training set has the label 'stress'" in text
    assert "labels found: charges, dipole, energy, forces" in text and "set loss.stress=0" in text


def test_weight_zero_of_an_absent_label_is_fine(sets):
    assert resolve_weights(LossConfig(stress=0.0), structures_of(sets.trimers(2))).stress == 0


def test_blind_model_learns_no_charges(sets):
    resolved = resolve_weights(LossConfig(charges=1.0), structures_of(sets.trimers(2)), electronic=False)
    assert resolved.charges == 0 and resolved.leftover == 0 and resolved.forces > 0


def test_nothing_to_learn(sets):
    config = LossConfig(energy=0, forces=0, charges=0, dipole=0)
    with pytest.raises(ConfigError, match="nothing to learn"):
        resolve_weights(config, structures_of(sets.trimers(2)))


def test_energy_weight_rises():
    config = LossConfig(energy=5.0, energy_start=0.3, energy_ramp=0.5)
    assert energy_weight(config, 0.0) == energy_weight(config, 0.5) == 0.3
    assert math.isclose(energy_weight(config, 0.75), math.sqrt(0.3 * 5.0), rel_tol=1e-12)
    assert math.isclose(energy_weight(config, 1.0), 5.0, rel_tol=1e-12)
    assert energy_weight(LossConfig(energy=0), 0.5) == 0.0
    assert math.isclose(energy_weight(LossConfig(energy=2.0, energy_start=0.0), 0.75), 1.0, rel_tol=1e-12)
