"""The ASE calculator: derivatives, state, cache, and what it refuses."""

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces
from ase.md.verlet import VelocityVerlet

from charon import Calculator
from charon.batch import collate, make_graphs
from charon.errors import DataError, ModelFileError, StateError
from charon.export import export_model
from charon.model import ModelConfig, Statistics, build_potential
from charon.structure import Structure

ALL = ["CH2 singlet", "CH2 triplet", "Ag3+", "Ag3-", "C10H2", "NaCl cell", "Ag slab"]


def disturbed(atoms: Atoms) -> Atoms:
    """No symmetry, so that no force vanishes."""
    atoms.rattle(0.08, seed=11)
    return atoms


@pytest.mark.parametrize("system", ALL)
def test_equal_to_a_batch_of_all(system, model, atoms_of):
    """One at a time through ASE against all side by side."""
    structures = [Structure.from_atoms(atoms_of(name), source=name) for name in ALL]
    prediction = model.evaluate(collate(make_graphs(structures, model.elements, model.cutoff), model.dtype))
    at = ALL.index(system)
    first = sum(s.n_atoms for s in structures[:at])
    rows = slice(first, first + structures[at].n_atoms)
    atoms = atoms_of(system)
    atoms.calc = Calculator(model)
    assert atoms.get_potential_energy() == pytest.approx(prediction.energy[at].item(), rel=1e-12)
    tolerance = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(atoms.get_forces(), prediction.forces[rows].detach(), **tolerance)
    np.testing.assert_allclose(atoms.get_charges(), prediction.charges[rows].detach(), **tolerance)
    np.testing.assert_allclose(atoms.get_magnetic_moments(), prediction.spins[rows].detach(), **tolerance)
    np.testing.assert_allclose(atoms.get_potential_energies(), prediction.energies[rows].detach(), **tolerance)
    assert atoms.get_charges().sum() == pytest.approx(atoms.info["charge"], abs=1e-12)
    assert atoms.get_magnetic_moments().sum() == pytest.approx(atoms.info["spin"] - 1, abs=1e-12)


@pytest.mark.parametrize("system", ALL)
def test_forces_are_derivatives(system, model, atoms_of):
    atoms = disturbed(atoms_of(system))
    atoms.calc = Calculator(model)
    analytic = atoms.get_forces()
    numeric = calculate_numerical_forces(atoms, eps=1e-4, iatoms=range(3))
    np.testing.assert_allclose(analytic[:3], numeric, rtol=1e-6, atol=1e-6)


def test_stress_is_the_derivative_by_strain(model, atoms_of):
    atoms = disturbed(atoms_of("NaCl cell"))
    atoms.calc = Calculator(model)
    stress, volume, step = atoms.get_stress(voigt=False), atoms.get_volume(), 1e-5
    for i, j in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]:
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            moved = atoms.copy()
            moved.set_cell(np.asarray(atoms.cell) @ strain, scale_atoms=True)
            moved.calc = atoms.calc
            energies.append(moved.get_potential_energy())
        numeric = (energies[0] - energies[1]) / (2 * step * volume)
        assert stress[i, j] == pytest.approx(numeric, rel=1e-6, abs=1e-9)


def fluctuation(atoms: Atoms, timestep: float) -> float:
    """Largest change of the total energy in 10 fs of dynamics without a thermostat, in eV."""
    random = np.random.default_rng(1)
    atoms.set_momenta(random.normal(size=(len(atoms), 3)) * np.sqrt(atoms.get_masses() * units.kB * 100)[:, None])
    total = []
    dynamics = VelocityVerlet(atoms, timestep=timestep * units.fs)
    dynamics.attach(lambda: total.append(atoms.get_total_energy()))
    dynamics.run(round(10 / timestep))
    return float(np.ptp(total))


def test_energy_is_conserved_to_second_order_in_the_time_step(model, atoms_of):
    changes = []
    for timestep in (0.5, 0.25):
        atoms = atoms_of("NaCl cell")
        atoms.calc = Calculator(model)
        changes.append(fluctuation(atoms, timestep))
    assert 3.0 < changes[0] / changes[1] < 5.0


def test_properties_that_a_boundary_does_not_have(model, atoms_of):
    for system, has_stress, has_dipole in [("CH2 singlet", 0, 1), ("NaCl cell", 1, 0), ("Ag slab", 0, 0)]:
        atoms = atoms_of(system)
        atoms.calc = Calculator(model)
        for has, get in ((has_stress, atoms.get_stress), (has_dipole, atoms.get_dipole_moment)):
            if has:
                assert np.isfinite(get()).all()
            else:
                with pytest.raises(PropertyNotImplementedError, match="not present in this calculation"):
                    get()


def test_dipole_of_a_neutral_molecule_turns_with_it(model, atoms_of):
    atoms = disturbed(atoms_of("CH2 singlet"))
    atoms.calc = Calculator(model)
    dipole = atoms.get_dipole_moment()
    atoms.rotate(90, "x")
    atoms.positions += [3.0, -1.0, 2.0]
    np.testing.assert_allclose(atoms.get_dipole_moment(), dipole[[0, 2, 1]] * [1, -1, 1], atol=1e-10)


def test_model_from_a_file(model, model_file, atoms_of):
    energies = []
    for source in (model, model_file, str(model_file)):
        atoms = atoms_of("Ag3-")
        atoms.calc = Calculator(source)
        energies.append(atoms.get_potential_energy())
    assert energies[0] == energies[1] == energies[2]


def test_file_that_is_no_model(tmp_path):
    (tmp_path / "model.pt").write_text("no model")
    with pytest.raises(ModelFileError, match="model.pt"):
        Calculator(tmp_path / "model.pt")


def test_model_without_charges_and_spins(potential, tmp_path, atoms_of):
    """Blind to the state: one energy for both, and no charges to ask for."""
    config = potential.config.model_copy(update={"electronic": "none"})
    statistics = Statistics(tuple(potential.reference_energies.tolist()), mean_neighbors=10.0)
    blind = export_model(build_potential(config, potential.elements, statistics), tmp_path / "blind.pt")
    atoms = atoms_of("CH2 singlet")
    atoms.calc = Calculator(blind)
    energy = atoms.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError, match="charges not present in this calculation"):
        atoms.get_charges()
    atoms.info["spin"] = 3
    with pytest.warns(UserWarning, match="spin multiplicity 3 is outside of the range 1 to 1"):
        assert atoms.get_potential_energy() == energy


def test_state_from_info_or_constructor(model, atoms_of):
    atoms = atoms_of("CH2 triplet")
    atoms.calc = Calculator(model)
    from_info = atoms.get_potential_energy()
    atoms.info = {}
    atoms.calc = Calculator(model, charge=0, spin=3)
    assert atoms.get_potential_energy() == from_info
    atoms.info = {"total_charge": 0, "multiplicity": 3}
    assert atoms.get_potential_energy() == from_info


def test_cache_is_dropped_when_info_changes(model, atoms_of):
    atoms = atoms_of("CH2 triplet")
    atoms.calc = Calculator(model)
    triplet = atoms.get_potential_energy(), atoms.get_magnetic_moments()
    atoms.info["spin"] = 1
    assert atoms.get_magnetic_moments().sum() == pytest.approx(0, abs=1e-12)
    assert atoms.get_potential_energy() != triplet[0]
    atoms.info["spin"] = 3
    assert atoms.get_potential_energy() == pytest.approx(triplet[0], rel=1e-14)
    atoms.info["charge"] = 2
    assert atoms.get_charges().sum() == pytest.approx(2)


def test_cache_is_kept_while_nothing_changes(model, atoms_of):
    atoms = atoms_of("CH2 triplet")
    atoms.calc = Calculator(model)
    atoms.get_potential_energy()
    before = atoms.calc.results
    atoms.info["comment"] = "no part of the state"
    atoms.set_initial_magnetic_moments([1, 0, 0])
    atoms.get_forces()
    assert atoms.calc.results is before


@pytest.mark.parametrize(
    ("given", "info", "message"),
    [
        (
            {},
            {},
            r"Atoms CH2: charge not given. Nothing is guessed: use Calculator\(..., charge=0, spin=1\), or",
        ),
        ({"charge": 0}, {}, "Atoms CH2: spin not given"),
        ({}, {"charge": 0}, "Atoms CH2: spin not given"),
        ({"spin": 3}, {"charge": 0, "spin": 1}, "was given spin=3, atoms.info says 1. Keep one"),
        ({"charge": 1, "spin": 2}, {"charge": 0}, "was given charge=1, atoms.info says 0"),
        ({"charge": 0, "spin": 2}, {}, "Atoms CH2: impossible state: 8 electrons"),
        ({"charge": 0, "spin": 1}, {"mult": 1, "spin": 3}, "spin multiplicity disagree: spin=3, mult=1"),
    ],
)
def test_states_that_are_refused(model, atoms_of, given, info, message):
    atoms = atoms_of("CH2 singlet")
    atoms.info = info
    atoms.calc = Calculator(model, **given)
    with pytest.raises(StateError, match=message):
        atoms.get_potential_energy()


def test_constructor_refuses_what_is_no_state(model):
    with pytest.raises(StateError, match=r"Calculator: the spin multiplicity must be an integer >= 1, found 0"):
        Calculator(model, charge=0, spin=0)
    with pytest.raises(StateError, match=r"Calculator: info\['charge'\] .* must be one integer, found 0.5"):
        Calculator(model, charge=0.5)


def test_state_outside_of_the_training_warns_once(model, atoms_of):
    atoms = atoms_of("CH2 singlet")
    atoms.info.update(charge=-2, spin=5)
    atoms.calc = Calculator(model)
    with pytest.warns(UserWarning) as caught:
        atoms.get_potential_energy()
    assert [str(w.message) for w in caught] == [
        "charge -2 is outside of the range -1 to 2 on which the model was trained.",
        "spin multiplicity 5 is outside of the range 1 to 3 on which the model was trained.",
    ]
    atoms.positions[0, 0] += 0.1
    atoms.get_potential_energy()


def test_odd_cell_warns(model, atoms_of):
    atoms = atoms_of("NaCl cell")
    atoms.info["charge"] = 1
    atoms.calc = Calculator(model)
    with pytest.warns(UserWarning, match="unusual state of a periodic system: 111 electrons"):
        atoms.get_potential_energy()


def test_atoms_that_are_refused(model, atoms_of):
    atoms = Atoms("OH2", positions=atoms_of("CH2 singlet").positions)
    atoms.calc = Calculator(model, charge=0, spin=1)
    with pytest.raises(DataError, match="Atoms H2O: the model does not know O; its elements are H, C, Na, Cl, Ag"):
        atoms.get_potential_energy()
    atoms = atoms_of("CH2 singlet")
    atoms.positions[1] = np.nan
    atoms.calc = Calculator(model)
    with pytest.raises(DataError, match="Atoms CH2: positions must be finite numbers.*at atom 1"):
        atoms.get_potential_energy()


@pytest.fixture(scope="module")
def rigid(tmp_path_factory):
    """A model whose energy has a minimum in the total charge, as equilibrated charges give it."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    config = ModelConfig(preset="qeq", charge_solver="equilibration", dispersion=None, channels=8, l_max=1)
    potential = build_potential(config, [1, 6], Statistics((-13.0, -1030.0), 12.0))
    torch.set_default_dtype(before)
    return export_model(potential, tmp_path_factory.mktemp("rigid") / "model.pt")


def test_forces_at_constant_potential_are_those_of_the_grand_potential(rigid):
    atoms = disturbed(molecule("CH4"))
    atoms.calc = Calculator(rigid, mu=0.5, spin=1)
    forces = atoms.get_forces()
    np.testing.assert_allclose(calculate_numerical_forces(atoms, eps=1e-4), forces, atol=1e-5)
    charge = atoms.get_charges().sum()
    batch = collate(make_graphs([Calculator(rigid, 0, 1).structure(atoms)], rigid.elements, rigid.cutoff), rigid.dtype)
    batch.total_charge = torch.full_like(batch.total_charge, charge)
    prediction = rigid.evaluate(batch)
    assert -float(prediction.state_gradient[0, 0]) == pytest.approx(0.5, abs=1e-6)
    assert atoms.get_potential_energy() == pytest.approx(float(prediction.energy[0]) + 0.5 * charge, abs=1e-6)


def test_potential_and_charge_exclude_each_other(rigid):
    with pytest.raises(StateError, match="mu and charge cannot both be given"):
        Calculator(rigid, charge=0, mu=0.5)
    atoms = molecule("CH4")
    atoms.info.update(charge=0, spin=1)
    atoms.calc = Calculator(rigid, mu=0.5)
    with pytest.raises(StateError, match="has a charge, 0, but the calculator was given mu"):
        atoms.get_potential_energy()


def test_a_potential_out_of_reach_is_said(rigid):
    atoms = molecule("CH4")
    atoms.calc = Calculator(rigid, mu=1e6, spin=1)
    with pytest.raises(StateError, match="no total charge with mu = 1e\\+06 eV was found in 40 trials"):
        atoms.get_potential_energy()
