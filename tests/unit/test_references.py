"""Reference energies are fitted to what electrostatics, dispersion and repulsion leave."""

import math

import numpy as np
import pytest
from ase.data import covalent_radii

from charon.model import ModelConfig, fit_reference_energies
from charon.structure import Structure
from charon.train.references import without_empirical
from charon.units import COULOMB

REFERENCE = {11: -4430.0, 17: -12520.0}
ELEMENTS = sorted(REFERENCE)


def salt(distance: float, charge: float | None, numbers=(11, 17), total: int = 0) -> Structure:
    """Atoms in a row whose energy is that of the references."""
    n = len(numbers)
    labels = {"energy": np.float64(sum(REFERENCE[z] for z in numbers))}
    if charge is not None:
        labels["charges"] = np.resize([charge, -charge], n)
    return Structure(
        np.array(numbers),
        np.arange(n)[:, None] * np.array([[distance, 0.0, 0.0]]),
        cell=np.zeros((3, 3)),
        pbc=np.zeros(3, dtype=bool),
        total_charge=total,
        spin_multiplicity=1,
        labels=labels,
        source="salt",
    )


def gaussians(charges, numbers, positions) -> float:
    """Energy of Gaussian charges as wide as the covalent radii, eV."""
    width = [covalent_radii[z] for z in numbers]
    energy = 0.0
    for i, q in enumerate(charges):
        energy += COULOMB * q * q / (2.0 * width[i] * math.sqrt(math.pi))
        for j in range(i):
            r = float(np.linalg.norm(positions[i] - positions[j]))
            energy += COULOMB * q * charges[j] * math.erf(r / math.sqrt(2 * (width[i] ** 2 + width[j] ** 2))) / r
    return energy


def test_electrostatics_of_the_labelled_charges_is_taken_off():
    config = ModelConfig(electrostatics={}, repulsion="none")
    structure = salt(4.0, 0.8)
    (rest,) = without_empirical([structure], ELEMENTS, config)
    expected = gaussians([0.8, -0.8], structure.numbers, structure.positions)
    assert structure.labels["energy"] - rest.labels["energy"] == pytest.approx(expected, abs=1e-6)
    assert structure.labels["energy"] == sum(REFERENCE.values())


def test_without_charges_the_total_charge_is_shared_equally():
    config = ModelConfig(electrostatics={}, repulsion="none")
    structures = [salt(4.0, None, total=1), salt(4.0, 0.8), salt(4.0, None)]
    rest = without_empirical(structures, ELEMENTS, config)
    taken = [s.labels["energy"] - r.labels["energy"] for s, r in zip(structures, rest, strict=True)]
    numbers, positions = structures[0].numbers, structures[0].positions
    assert taken[0] == pytest.approx(gaussians([0.5, 0.5], numbers, positions), abs=1e-6)
    assert taken[1] == pytest.approx(gaussians([0.8, -0.8], numbers, positions), abs=1e-6)
    assert taken[2] == 0.0


def test_frames_without_an_energy_stay_as_they_are():
    structure = salt(4.0, 0.8)
    del structure.labels["energy"]
    assert without_empirical([structure], ELEMENTS, ModelConfig(preset="nse"))[0] is structure


@pytest.mark.parametrize("preset", ["local", "nse", "qeq", "learned", "full", "hdnnp4g", "spooky"])
def test_references_are_found_again_under_empirical_terms(preset):
    config = ModelConfig(preset=preset)
    chains = [(11, 17), (11, 17, 11), (11, 11), (17, 11, 17, 11), (17, 17, 11)]
    bare = [salt(2.6, 0.7, numbers) for numbers in chains]
    taken = [
        b.labels["energy"] - r.labels["energy"]
        for b, r in zip(bare, without_empirical(bare, ELEMENTS, config), strict=True)
    ]
    for structure, energy in zip(bare, taken, strict=True):
        structure.labels["energy"] += energy
    found, *_ = fit_reference_energies(without_empirical(bare, ELEMENTS, config), ELEMENTS, electronic=False)
    assert found == pytest.approx(list(REFERENCE.values()), abs=1e-7)
    if preset != "learned":  # it has none of these terms at this distance
        assert abs(fit_reference_energies(bare, ELEMENTS, electronic=False)[0] - found).max() > 1e-3
