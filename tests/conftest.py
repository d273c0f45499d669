"""Small real systems shared by the tests: molecules in several states, a crystal, a slab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111

from charon.model import ModelConfig, Potential, Statistics, build_potential
from charon.structure import Structure
from tests.molecules import methylene, polyyne, silver_trimer

if TYPE_CHECKING:
    from charon.export import LoadedModel


def salt() -> Atoms:
    """Eight ions of sodium chloride, thermal disorder, in a sheared cell smaller than usual cutoffs."""
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    shear = np.array([[1.0, 0, 0], [0.06, 0.98, 0], [-0.04, 0.05, 1.03]])
    atoms.set_cell(np.asarray(atoms.cell) @ shear, scale_atoms=True)
    atoms.rattle(0.15, seed=5)
    atoms.info.update(charge=0, spin=1)
    return atoms


def silver_slab() -> Atoms:
    """Two layers of Ag(111), open along the normal, where the cell vector is zero."""
    atoms = fcc111("Ag", (2, 2, 2), periodic=False)
    atoms.rattle(0.1, seed=2)
    atoms.info.update(charge=0, spin=1)
    return atoms


SYSTEMS: dict[str, Callable[[], Atoms]] = {
    "CH2 singlet": lambda: methylene(0, 1),
    "CH2 triplet": lambda: methylene(0, 3),
    "Ag3+": lambda: silver_trimer(1),
    "Ag3-": lambda: silver_trimer(-1),
    "C10H2": lambda: polyyne(10),
    "NaCl cell": salt,
    "Ag slab": silver_slab,
}


@pytest.fixture
def atoms_of() -> Callable[[str], Atoms]:
    """ASE Atoms of a system by its name, with charge and spin in `info`."""
    return lambda name: SYSTEMS[name]()


@pytest.fixture
def structures() -> dict[str, Structure]:
    """Every system by its name, without labels."""
    return {name: Structure.from_atoms(make(), source=name) for name, make in SYSTEMS.items()}


@pytest.fixture
def with_labels() -> Callable[[Structure], Structure]:
    """Gives a structure every label that its boundary allows, with reproducible values."""

    def label(structure: Structure) -> Structure:
        random = np.random.default_rng(structure.n_atoms)
        n = structure.n_atoms
        stress = random.normal(size=(3, 3))
        labels = {
            "energy": random.normal(size=()),
            "forces": random.normal(size=(n, 3)),
            "charges": random.normal(size=n),
            "spins": random.normal(size=n),
        }
        if structure.pbc.all():
            labels["stress"] = (stress + stress.T) / 2
        else:
            labels["dipole"] = random.normal(size=3)
        return Structure(**{**vars(structure), "labels": {k: np.asarray(v) for k, v in labels.items()}})

    return label


@pytest.fixture(scope="session")
def potential() -> Potential:
    """A small untrained potential in double precision, for the elements of the systems above."""
    torch.manual_seed(3)
    config = ModelConfig(cutoff=4.0, channels=8, layers=2)
    energies = {1: -10.7, 6: -48.9, 11: -4.5, 17: -122.0, 47: -104.0}
    statistics = Statistics(reference_energies=tuple(energies.values()), mean_neighbors=10.0)
    return build_potential(config, list(energies), statistics).to(torch.float64)


@pytest.fixture(scope="session")
def model_file(potential: Potential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That potential, exported; it says that it has seen charges -1 to 2 and multiplicities 1 to 3."""
    from charon.export import export_model

    path = tmp_path_factory.mktemp("exported") / "model.pt"
    export_model(potential, path, info={"charge_range": (-1, 2), "spin_range": (1, 3)})
    return path


@pytest.fixture(scope="session")
def model(model_file: Path) -> LoadedModel:
    """The exported potential, loaded."""
    from charon.export import load_model

    return load_model(model_file)
