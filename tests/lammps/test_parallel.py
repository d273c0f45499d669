"""LAMMPS on one and several ranks, brick and tiled, with empty ranks, equals the model in Python."""

import numpy as np
import pytest
from ase import Atoms

from charon.export import load_model

BRICK = "comm_style brick"
TILED = "comm_style tiled"
BALANCE = "balance 1.0 rcb\n"

LAYOUTS = [
    ("salt", 1, BRICK),
    ("salt", 2, BRICK),
    ("salt", 3, TILED),
    ("salt", 4, BRICK),
    ("molecule", 1, BRICK),
    ("molecule", 2, TILED),
    ("molecule", 3, BRICK + "\nprocessors 3 1 1"),
    ("molecule", 4, BRICK),
]


def run_case(lammps, inputs, model_path, name, ranks, layout):
    case = inputs.cases[name]
    data = lammps.data(case.atoms, case.elements)
    text = inputs.script(
        data,
        model_path,
        " ".join(case.elements),
        state=case.state,
        boundary=case.boundary,
        before=layout,
        after=(BALANCE if layout == TILED else "") + "run 0",
    )
    return case, lammps.succeed(text, ranks)


@pytest.mark.parametrize(("name", "ranks", "layout"), LAYOUTS)
def test_equals_the_python_model(lammps, inputs, model_path, model, name, ranks, layout):
    case, outcome = run_case(lammps, inputs, model_path, name, ranks, layout)
    expected = case.predict(model)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item(), rel=1e-9)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), rtol=0, atol=1e-8)
    np.testing.assert_allclose(outcome.virial(), case.virial(model), rtol=0, atol=1e-8)
    np.testing.assert_allclose(outcome.atoms["c_energy"], expected.energies.numpy(), rtol=1e-9)
    for column in ("q", "f_state[1]"):  # of the atom style, and through fix pair
        np.testing.assert_allclose(outcome.atoms[column], expected.charges.numpy(), atol=1e-10)
        assert outcome.atoms[column].sum() == pytest.approx(case.charge, abs=1e-10)
    np.testing.assert_allclose(outcome.atoms["f_state[2]"], expected.spins.numpy(), atol=1e-10)
    assert outcome.atoms["f_state[2]"].sum() == pytest.approx(case.spin - 1, abs=1e-10)


@pytest.mark.parametrize(("name", "ranks", "layout"), [("salt", 2, BRICK), ("salt", 4, TILED), ("molecule", 4, BRICK)])
def test_models_without_tensors(lammps, inputs, vector_path, name, ranks, layout):
    """With and without charge and spin, in both precisions."""
    model = load_model(vector_path)
    case, outcome = run_case(lammps, inputs, vector_path, name, ranks, layout)
    expected, single = case.predict(model), model.metadata["dtype"] == "float32"
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item(), rel=1e-8 if single else 1e-12)
    scale = np.abs(expected.forces.numpy()).max()
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), atol=scale * (1e-5 if single else 1e-12))
    virial = case.virial(model)
    np.testing.assert_allclose(outcome.virial(), virial, atol=np.abs(virial).max() * (2e-5 if single else 1e-9))
    if model.metadata["electronic"] != "none":
        np.testing.assert_allclose(outcome.atoms["q"], expected.charges.numpy(), atol=1e-5 if single else 1e-10)
        np.testing.assert_allclose(outcome.atoms["f_state[2]"], expected.spins.numpy(), atol=1e-5 if single else 1e-10)


def test_an_isolated_atom_and_an_empty_rank(lammps, inputs, model_path, model):
    """An atom out of everybody's reach has no edge and no force; two ranks have no atom."""
    case = inputs.cases["molecule"]
    far = inputs.Case(case.atoms + Atoms("H", positions=[[13.0, 12.0, 11.0]]), case.elements, 1, 1, "f f f")
    data = lammps.data(far.atoms, far.elements)
    text = inputs.script(data, model_path, "C H", state=far.state, boundary=far.boundary)
    outcome = lammps.succeed(text, ranks=4)
    expected = far.predict(model)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item(), rel=1e-9)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), atol=1e-8)
    assert np.abs(outcome.forces[-1]).max() == 0.0
    assert "0 min" in next(line for line in outcome.text.splitlines() if line.startswith("Nlocal"))


def test_hot_steps_with_new_neighbors_agree(lammps, inputs, model_path):
    """200 steps at 1500 K in a sheared cell, atoms changing ranks: one rank and four agree."""
    case = inputs.cases["salt"]
    data = lammps.data(case.atoms, case.elements)
    hot = "velocity all create 1500 4928\nneigh_modify every 1 delay 0 check yes\nneighbor 0.3 bin\ntimestep 0.001\n"
    after = hot + "undump 1\nthermo 50\nrun 200\n"
    after += f"write_dump all custom dump.txt {inputs.per_atom} modify format float %.17g sort id"
    text = inputs.script(data, model_path, " ".join(case.elements), after=after)
    alone, together = lammps.succeed(text, 1), lammps.succeed(text, 4)
    builds = next(line for line in alone.text.splitlines() if line.startswith("Neighbor list builds"))
    assert int(builds.split("=")[1]) >= 3
    np.testing.assert_allclose(together.thermo["PotEng"], alone.thermo["PotEng"], rtol=1e-10)
    np.testing.assert_allclose(together.forces, alone.forces, atol=1e-6)
