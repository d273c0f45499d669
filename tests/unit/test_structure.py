"""Structures from ASE Atoms: state, labels, units, and back."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from charon.errors import CharonError, ConfigError, DataError, StateError
from charon.structure import Structure
from charon.units import UnitSystem


def labelled(atoms: Atoms, **results) -> Atoms:
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def test_fields(atoms_of):
    structure = Structure.from_atoms(atoms_of("CH2 triplet"), source="a.xyz, frame 3")
    assert structure.numbers.tolist() == [6, 1, 1] and structure.numbers.dtype == np.int64
    assert structure.positions.shape == (3, 3) and not structure.cell.any() and not structure.pbc.any()
    assert (structure.total_charge, structure.spin_multiplicity, structure.unpaired) == (0, 3, 2)
    assert structure.system == "CH2 (0, 3)" and structure.source == "a.xyz, frame 3"
    assert structure.n_atoms == 3 and structure.labels == {}


def test_system_name_from_info(atoms_of):
    atoms = atoms_of("Ag3-")
    assert Structure.from_atoms(atoms).system == "Ag3 (-1, 1)"
    atoms.info["system"] = "silver anion"
    assert Structure.from_atoms(atoms).system == "silver anion"


def test_cell_is_zero_when_open(atoms_of):
    atoms = atoms_of("CH2 singlet")
    atoms.cell = [9, 9, 9]
    assert not Structure.from_atoms(atoms).cell.any()


@pytest.mark.parametrize("charge_key", ["charge", "total_charge"])
@pytest.mark.parametrize("spin_key", ["spin", "total_spin", "spin_multiplicity", "mult", "multiplicity"])
def test_aliases_of_charge_and_spin(charge_key, spin_key):
    atoms = Atoms("Ag3", positions=np.diag([1.0, 2, 3]), info={charge_key: -1.0, spin_key: np.int64(3)})
    structure = Structure.from_atoms(atoms)
    assert (structure.total_charge, structure.spin_multiplicity) == (-1, 3)
    assert isinstance(structure.total_charge, int) and isinstance(structure.spin_multiplicity, int)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"charge": 0, "total_charge": 1, "spin": 1}, "total charge disagree: charge=0, total_charge=1"),
        ({"charge": 0, "spin": 1, "mult": 3}, "spin multiplicity disagree: spin=1, mult=3"),
        ({"charge": 0.5, "spin": 1}, r"info\['charge'\] \(the total charge\) must be one integer, found 0.5"),
        ({"charge": "neutral", "spin": 1}, "must be one integer, found 'neutral'"),
        ({"charge": 0, "spin": True}, "must be one integer, found True"),
        ({"charge": 0, "spin": 0}, r"integer >= 1, found 0. It is 2S\+1 .*not the number of unpaired"),
        ({"charge": 0, "spin": 2}, r"8 electrons \(charge \+0\) cannot have multiplicity 2.*even: the mult"),
        ({"charge": 1, "spin": 1}, r"7 electrons \(charge \+1\) cannot have multiplicity 1.*odd: it is 2, 4"),
        ({"charge": 0, "spin": 11}, "multiplicity 11 needs 10 unpaired electrons, there are 8"),
        ({"charge": 9, "spin": 2}, r"charge \+9 takes more electrons than the 8 there are"),
        ({"charge": 0}, "frame 7: spin multiplicity not given. Nothing is guessed: write info"),
        ({}, "total charge and spin multiplicity not given.*data.charge and data.spin"),
    ],
)
def test_states_that_are_refused(atoms_of, info, message):
    atoms = atoms_of("CH2 singlet")
    atoms.info = info
    with pytest.raises(StateError, match=message):
        Structure.from_atoms(atoms, source="a.xyz, frame 7")


def test_two_aliases_that_agree(atoms_of):
    atoms = atoms_of("CH2 triplet")
    atoms.info["multiplicity"] = 3
    assert Structure.from_atoms(atoms).spin_multiplicity == 3


def test_defaults_complete_a_state_and_never_replace_it(atoms_of):
    atoms = atoms_of("CH2 triplet")
    del atoms.info["charge"]
    structure = Structure.from_atoms(atoms, default_charge=-2, default_spin=1)
    assert (structure.total_charge, structure.spin_multiplicity) == (-2, 3)


def test_odd_periodic_cell_is_allowed(atoms_of):
    atoms = atoms_of("NaCl cell")
    atoms.info["charge"] = 1
    assert Structure.from_atoms(atoms).total_charge == 1


def test_labels_from_results(atoms_of):
    atoms = labelled(
        atoms_of("NaCl cell"),
        energy=-1.5,
        forces=np.ones((8, 3)),
        stress=np.arange(6.0),
        charges=np.arange(8.0),
        magmoms=np.zeros(8),
        dipole=np.ones(3),
    )
    labels = Structure.from_atoms(atoms).labels
    assert labels["energy"].shape == () and labels["energy"] == -1.5
    assert labels["stress"].tolist() == [[0, 5, 4], [5, 1, 3], [4, 3, 2]]
    assert labels["charges"].tolist() == list(range(8)) and not labels["spins"].any()
    assert all(value.dtype == np.float64 for value in labels.values())


def test_order_of_names(atoms_of):
    """REF_*, then plain, then the calculator."""
    atoms = labelled(atoms_of("CH2 singlet"), energy=3.0, magmoms=[3.0, 0, 0], forces=np.full((3, 3), 3.0))
    assert Structure.from_atoms(atoms).labels["energy"] == 3
    atoms.info["energy"] = 2.0
    atoms.arrays["forces"] = np.full((3, 3), 2.0)
    atoms.arrays["spins"] = np.array([2.0, 0, 0])
    labels = Structure.from_atoms(atoms).labels
    assert labels["energy"] == labels["forces"][0, 0] == labels["spins"][0] == 2
    atoms.info["REF_energy"] = 1.0
    atoms.arrays["REF_forces"] = np.ones((3, 3))
    atoms.arrays["REF_magmoms"] = np.array([1.0, 0, 0])
    labels = Structure.from_atoms(atoms).labels
    assert labels["energy"] == labels["forces"][0, 0] == labels["spins"][0] == 1


def test_a_named_key_comes_before_all(atoms_of):
    atoms = atoms_of("CH2 singlet")
    atoms.info.update(REF_energy=1.0, e_dft=5.0, q=-2, m=3)
    structure = Structure.from_atoms(atoms, keys={"energy": "e_dft", "charge": "q", "spin": "m"})
    assert structure.labels["energy"] == 5
    assert (structure.total_charge, structure.spin_multiplicity) == (-2, 3)


def test_a_named_key_that_is_absent(atoms_of):
    atoms = labelled(atoms_of("CH2 singlet"), dipole=np.zeros(3))
    atoms.info["energies_dft"] = 1.0
    with pytest.raises(
        DataError,
        match="atoms: the key 'e_dft' named for energy is absent. "
        "Keys of this frame: charge, dipole, energies_dft, spin",
    ):
        Structure.from_atoms(atoms, keys={"energy": "e_dft"})
    with pytest.raises(StateError, match="the key 'q' named for the total charge is absent. Keys.*energies_dft"):
        Structure.from_atoms(atoms, keys={"charge": "q"})
    with pytest.raises(ConfigError, match="'force' is no label. Did you mean 'forces'"):
        Structure.from_atoms(atoms, keys={"force": "f"})


def test_constrained_atoms_keep_their_forces(atoms_of):
    atoms = labelled(atoms_of("CH2 singlet"), forces=np.ones((3, 3)))
    atoms.set_constraint(FixAtoms([0]))
    assert (Structure.from_atoms(atoms).labels["forces"] == 1).all()


def test_results_of_other_positions_are_not_labels(atoms_of):
    atoms = labelled(atoms_of("CH2 singlet"), energy=1.0)
    atoms.positions[0, 0] += 0.1
    assert Structure.from_atoms(atoms).labels == {}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("REF_energy", [1.0, 2.0], r"'REF_energy' \(energy\) must have shape \[\], found \[2\]"),
        ("energy", "low", r"'energy' \(energy\) must be numbers, found 'low'"),
        ("energy", np.nan, r"a.xyz, frame 2: key 'energy' \(energy\) has values that are NaN"),
        ("dipole", [1.0, 2.0], r"must have shape \[3\], found \[2\]"),
        ("stress", np.ones(5), r"must be 6 \(xx, yy, zz, yz, xz, xy\) or 9 numbers, found shape \[5\]"),
        ("stress", np.arange(9.0), "must be symmetric"),
        ("forces", np.ones((8, 2)), r"'forces' \(forces\) must have shape \[8, 3\], found \[8, 2\]"),
        ("charges", np.full(8, np.inf), r"'charges' \(charges\) has values that are NaN or infinite"),
    ],
)
def test_labels_that_are_refused(atoms_of, key, value, message):
    atoms = atoms_of("NaCl cell")
    (atoms.arrays if key in ("forces", "charges") else atoms.info)[key] = value
    with pytest.raises(DataError, match=message):
        Structure.from_atoms(atoms, source="a.xyz, frame 2")


def test_columns_with_a_superfluous_dimension(atoms_of):
    atoms = atoms_of("CH2 singlet")
    atoms.info["dipole"] = np.ones((1, 3))
    atoms.info["energy"] = np.ones(1)
    atoms.arrays["charges"] = np.ones((3, 1))
    labels = Structure.from_atoms(atoms).labels
    assert [labels[name].shape for name in ("dipole", "energy", "charges")] == [(3,), (), (3,)]


def test_virial_becomes_stress(atoms_of):
    atoms = atoms_of("NaCl cell")
    atoms.info["virial"] = np.diag([1.0, 2.0, 3.0])
    stress = Structure.from_atoms(atoms).labels["stress"]
    np.testing.assert_allclose(stress, -np.diag([1.0, 2, 3]) / atoms.cell.volume, rtol=1e-14)


def test_stress_without_a_cell_is_ignored_with_a_warning(atoms_of):
    atoms = atoms_of("Ag slab")
    atoms.info["stress"] = np.zeros(6)
    with pytest.warns(UserWarning, match="not periodic in three directions are ignored"):
        assert "stress" not in Structure.from_atoms(atoms).labels


def test_geometry_that_is_refused(atoms_of):
    atoms = atoms_of("CH2 singlet")
    atoms.positions[2, 1] = np.nan
    with pytest.raises(DataError, match="a.xyz, frame 2: positions must be finite numbers.*at atom 2"):
        Structure.from_atoms(atoms, source="a.xyz, frame 2")
    with pytest.raises(DataError, match="the frame has no atoms. Remove it"):
        Structure.from_atoms(Atoms(info={"charge": 0, "spin": 1}))
    flat = atoms_of("Ag slab")
    flat.pbc = True
    with pytest.raises(DataError, match="Set pbc to False where the system is open"):
        Structure.from_atoms(flat)


def test_units(atoms_of):
    """A frame in atomic units against the same frame in eV and A."""
    atoms = atoms_of("NaCl cell")
    atoms.set_cell(atoms.cell / units.Bohr, scale_atoms=True)
    results = {"energy": 2.0, "forces": np.ones((8, 3)), "dipole": np.ones(3), "stress": np.ones(6)}
    structure = Structure.from_atoms(
        labelled(atoms, **results),
        units={"energy": "Hartree", "length": "Bohr", "dipole": "Debye", "stress": "GPa"},
    )
    np.testing.assert_allclose(structure.positions, atoms_of("NaCl cell").positions, atol=1e-12)
    np.testing.assert_allclose(structure.cell, atoms_of("NaCl cell").cell, atol=1e-12)
    labels = structure.labels
    np.testing.assert_allclose(labels["energy"], 54.422772, rtol=1e-7)
    np.testing.assert_allclose(labels["forces"], 51.422067, rtol=1e-7)
    np.testing.assert_allclose(labels["dipole"], 0.2081943, rtol=1e-6)
    np.testing.assert_allclose(labels["stress"], 1 / 160.2176634, rtol=1e-7)


def test_units_of_virial_and_derived_stress(atoms_of):
    """Hartree/Bohr^3 is 29421.02 GPa; a virial in Hartree over a volume in Bohr^3 is a stress in it."""
    atoms = atoms_of("NaCl cell")
    atoms.info["virials"] = -np.eye(3) * atoms.cell.volume
    for extra in ({}, {"stress": "GPa"}):
        structure = Structure.from_atoms(atoms, units={"energy": "Hartree", "length": "Bohr", **extra})
        np.testing.assert_allclose(structure.labels["stress"] / units.GPa, np.eye(3) * 29421.02, rtol=1e-6)
    system = UnitSystem("kcal/mol", "nm")
    np.testing.assert_allclose(system.factor("energy"), 0.0433641, rtol=1e-6)
    np.testing.assert_allclose(system.factor("forces"), 0.00433641, rtol=1e-6)
    np.testing.assert_allclose(system.factor("stress"), 4.33641e-5, rtol=1e-6)


def test_units_that_are_refused():
    with pytest.raises(ConfigError, match="units.energy: unknown unit 'hartree'. Did you mean 'Hartree'"):
        UnitSystem.from_mapping({"energy": "hartree"})
    with pytest.raises(ConfigError, match="units: unknown key 'lenght'. Did you mean 'length'. Known: energy, "):
        UnitSystem.from_mapping({"lenght": "A"})


def test_round_trip_through_atoms(structures, with_labels):
    for structure in map(with_labels, structures.values()):
        again = Structure.from_atoms(structure.to_atoms(), source=structure.source)
        for name in ("numbers", "positions", "cell", "pbc", "total_charge", "spin_multiplicity", "system"):
            np.testing.assert_array_equal(getattr(again, name), getattr(structure, name))
        assert again.labels.keys() == structure.labels.keys()
        for name, value in structure.labels.items():
            np.testing.assert_array_equal(again.labels[name], value)


def test_errors_are_value_errors():
    assert issubclass(StateError, DataError) and issubclass(DataError, CharonError)
    assert issubclass(CharonError, ValueError)
