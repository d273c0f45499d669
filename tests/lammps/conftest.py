"""Systems and exported models for `lmp`, and the same atoms through the exported model in Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers

from charon.batch import Batch, collate, make_graph
from charon.export import LoadedModel, export_model, load_model
from charon.export.module import run
from charon.model import ModelConfig, Prediction, Statistics, build_potential
from charon.structure import Structure

from .runs import PER_ATOM, Lammps, script

ELEMENTS = ["H", "C", "Na", "Cl"]


def salt_box() -> Atoms:
    """64 ions of NaCl, disordered, in a sheared periodic cell."""
    atoms = bulk("NaCl", "rocksalt", a=5.7, cubic=True) * (2, 2, 2)
    shear = np.array([[1.0, 0.0, 0.0], [0.06, 0.98, 0.0], [-0.04, 0.05, 1.03]])
    atoms.set_cell(np.asarray(atoms.cell) @ shear, scale_atoms=True)
    atoms.rattle(0.12, seed=5)
    atoms.wrap()
    return atoms


def molecule() -> Atoms:
    """C3H4+ off the middle of an open box: planes and corners of the box are empty."""
    positions = np.array(
        [[0.0, 0.0, 0.0], [1.32, 0.05, 0.1], [2.61, -0.08, 0.0], [-0.56, 0.9, 0.2], [-0.6, -0.92, 0.1]]
        + [[3.15, 0.6, 0.65], [3.2, -0.55, -0.7]]
    )
    return Atoms("C3H4", positions=positions + [2.0, 3.1, 3.3], cell=[14.0, 13.0, 12.0])


@dataclass(frozen=True)
class Case:
    """A system with its state, in Python and in LAMMPS."""

    atoms: Atoms
    elements: list[str]
    charge: int
    spin: int
    boundary: str

    @property
    def state(self) -> str:
        return f"charge {self.charge} spin {self.spin}"

    def batch(self, model: LoadedModel) -> Batch:
        atoms = self.atoms.copy()
        atoms.pbc = self.boundary == "p p p"
        atoms.info.update(charge=self.charge, spin=self.spin)
        structure = Structure.from_atoms(atoms, source="test")
        return collate([make_graph(structure, model.elements, model.cutoff)], model.dtype)

    def predict(self, model: LoadedModel) -> Prediction:
        return model.evaluate(self.batch(model))

    def virial(self, model: LoadedModel) -> np.ndarray:
        """-dE/dstrain as xx yy zz xy xz yz, in eV."""
        gradient = run(model.module, self.batch(model).inputs())[5][0].double()
        symmetric = (-0.5 * (gradient + gradient.T)).numpy()
        return symmetric[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    return {
        "salt": Case(salt_box(), ["Cl", "Na"], 0, 1, "p p p"),
        "molecule": Case(molecule(), ["C", "H"], 1, 2, "f f f"),
    }


def random_model(
    path: Path, electronic: str = "equilibration", dtype: torch.dtype = torch.float64, l_max: int = 2
) -> LoadedModel:
    """An exported model with random weights that are large enough for every path to matter."""
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(11)
    config = ModelConfig(cutoff=4.5, channels=8, layers=2, l_max=l_max, electronic=electronic)
    potential = build_potential(
        config, [atomic_numbers[e] for e in ELEMENTS], Statistics((-13.0, -1030.0, -110.0, -450.0), 12.0)
    )
    with torch.no_grad():
        for parameter in potential.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    torch.set_default_dtype(default)
    return export_model(potential, path, dtype=dtype, info={"charge_range": (-1, 1), "spin_range": (1, 3)})


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def model_path(folder: Path) -> Path:
    random_model(folder / "model.pt")
    return folder / "model.pt"


@pytest.fixture(scope="session")
def model(model_path: Path) -> LoadedModel:
    return load_model(model_path)


@pytest.fixture
def lammps(tmp_path: Path) -> Lammps:
    return Lammps(tmp_path)


@dataclass(frozen=True)
class Inputs:
    """What the tests write their input scripts with."""

    cases: dict[str, Case]
    script = staticmethod(script)
    Case = Case
    per_atom = PER_ATOM


@pytest.fixture(scope="session")
def inputs(cases: dict[str, Case]) -> Inputs:
    return Inputs(cases)


@pytest.fixture(scope="session")
def model32_path(folder: Path) -> Path:
    random_model(folder / "single.pt", dtype=torch.float32)
    return folder / "single.pt"


@pytest.fixture(scope="session")
def blind_path(folder: Path) -> Path:
    random_model(folder / "blind.pt", electronic="none")
    return folder / "blind.pt"


@pytest.fixture(scope="session", params=["equilibration", "none"])
def electronic(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session", params=[torch.float64, torch.float32], ids=["float64", "float32"])
def vector_path(request: pytest.FixtureRequest, electronic: str, folder: Path) -> Path:
    """A model without tensors, with and without charge and spin, in both precisions."""
    path = folder / f"vectors_{electronic}_{request.param}.pt"
    random_model(path, electronic, request.param, l_max=1)
    return path
