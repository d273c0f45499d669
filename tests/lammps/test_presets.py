"""Every preset in LAMMPS on several ranks, periodic and open, equals the model in Python."""

import numpy as np
import pytest
import torch
from ase.data import atomic_numbers

from charon.export import export_model, load_model
from charon.model import ModelConfig, Statistics, build_potential

ELEMENTS = ["H", "C", "Na", "Cl"]
PRESETS = {
    "local": {"preset": "local"},
    "nse": {"preset": "nse"},
    "qeq": {"preset": "qeq"},
    "plain equilibration": {"preset": "qeq", "charge_solver": "equilibration", "charge_form": "free"},
    "further shares": {"state_channels": 3, "repulsion": "zbl", "repulsion_reach": 0.75},
    "hdnnp4g": {"preset": "hdnnp4g"},
    "spooky": {"preset": "spooky"},
    "learned": {"preset": "learned", "l_max": 2},
    "full": {"preset": "full"},
    "attention": {"nonlocal": ["attention", "spooky"]},
    "attention on a mesh": {"nonlocal": "attention", "attention_mesh_above": 0},
    "mesh": {"preset": "qeq", "electrostatics": {"method": "mesh"}, "dispersion": {"kind": "d4", "method": "mesh"}},
}
DTYPES = {"float64": torch.float64, "float32": torch.float32}
LAYOUTS = [
    ("salt", 2, "comm_style brick"),
    ("salt", 2, "comm_style tiled"),
    ("molecule", 1, "comm_style brick"),
    ("molecule", 4, "comm_style brick"),  # two of the ranks have no atom
]


def write_model(path, preset, dtype=torch.float64):
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    config = ModelConfig(**{"cutoff": 5.0, "channels": 8, "l_max": 1, **PRESETS[preset]})
    statistics = Statistics((-13.0, -1030.0, -110.0, -450.0), 12.0)
    potential = build_potential(config, [atomic_numbers[e] for e in ELEMENTS], statistics)
    torch.set_default_dtype(default)
    return export_model(potential, path, dtype=dtype, info={"charge_range": (-1, 1), "spin_range": (1, 3)})


@pytest.fixture(scope="session", params=list(PRESETS))
def preset_path(request, folder):
    path = folder / f"preset {request.param}.pt".replace(" ", "_")
    write_model(path, request.param)
    return path


def run(lammps, inputs, path, name, ranks, layout, **options):
    case = inputs.cases[name]
    data = lammps.data(case.atoms, case.elements)
    state = "" if "local" in str(path) else case.state
    options = {"state": state, **options}
    after = ("balance 1.0 rcb\n" if "tiled" in layout else "") + "run 0"
    text = inputs.script(
        data, path, " ".join(case.elements), boundary=case.boundary, before=layout, after=after, **options
    )
    return case, lammps.succeed(text, ranks)


@pytest.mark.parametrize(("name", "ranks", "layout"), LAYOUTS)
def test_equals_the_python_model(lammps, inputs, preset_path, name, ranks, layout):
    model = load_model(preset_path)
    case, outcome = run(lammps, inputs, preset_path, name, ranks, layout)
    expected = case.predict(model)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item(), rel=1e-9)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), rtol=0, atol=1e-7)
    np.testing.assert_allclose(outcome.virial(), case.virial(model), rtol=0, atol=1e-7)
    np.testing.assert_allclose(outcome.atoms["f_state[1]"], expected.charges.numpy(), atol=1e-9)
    np.testing.assert_allclose(outcome.atoms["f_state[2]"], expected.spins.numpy(), atol=1e-9)


@pytest.mark.parametrize("preset", ["qeq", "full", "attention"])
def test_a_periodic_system_on_four_ranks(lammps, inputs, folder, preset):
    path = folder / f"four_ranks_{preset}.pt"
    model = write_model(path, preset)
    case, outcome = run(lammps, inputs, path, "salt", 4, "comm_style brick")
    expected = case.predict(model)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item(), rel=1e-9)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), rtol=0, atol=1e-7)
    np.testing.assert_allclose(outcome.virial(), case.virial(model), rtol=0, atol=1e-7)


@pytest.mark.parametrize("preset", ["qeq", "full", "mesh", "attention", "attention on a mesh"])
def test_single_precision_on_ranks(lammps, inputs, folder, preset):
    """A charge solver has the wider bound: its last digits depend on the order of sums."""
    bound = 1e-3 if preset in ("qeq", "mesh") else 1e-5
    path = folder / f"single_{preset}.pt".replace(" ", "_")
    model = write_model(path, preset, torch.float32)
    for name, ranks, layout in LAYOUTS[1:2] + LAYOUTS[3:]:
        case, outcome = run(lammps, inputs, path, name, ranks, layout)
        expected = case.predict(model)
        scale = float(expected.forces.abs().max())
        np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), rtol=0, atol=bound * max(1.0, scale))


def test_steps_with_changing_ranks_agree(lammps, inputs, preset_path):
    """20 steps at 1500 K with new neighbor lists: one rank and two agree."""
    case = inputs.cases["salt"]
    data = lammps.data(case.atoms, case.elements)
    state = "" if "local" in str(preset_path) else case.state
    hot = "velocity all create 1500 4928\nneigh_modify every 1 delay 0 check yes\nneighbor 0.1 bin\ntimestep 0.001\n"
    after = hot + "undump 1\nthermo 10\nrun 20\n"
    after += f"write_dump all custom dump.txt {inputs.per_atom} modify format float %.17g sort id"
    text = inputs.script(data, preset_path, " ".join(case.elements), state=state, after=after)
    alone, together = lammps.succeed(text, 1), lammps.succeed(text, 2)
    np.testing.assert_allclose(together.thermo["PotEng"], alone.thermo["PotEng"], rtol=1e-9)
    np.testing.assert_allclose(together.forces, alone.forces, atol=1e-6)


@pytest.mark.parametrize("ranks", [1, 4])
def test_constant_potential(lammps, inputs, folder, ranks):
    """At a given mu the charge is found; pe is the grand potential of the same charge in Python."""
    from charon.constant_potential import ChargeSearch, at_potential

    path = folder / f"constant_{ranks}.pt"
    model = write_model(path, "plain equilibration")
    case, outcome = run(lammps, inputs, path, "molecule", ranks, "comm_style brick", state="mu 0.5 spin 2")
    search = ChargeSearch(-0.5)
    expected = at_potential(model, case.batch(model), search)
    assert outcome.atoms["f_state[1]"].sum() == pytest.approx(search.charge, abs=1e-7)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item() + 0.5 * search.charge, abs=1e-6)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), atol=1e-6)
