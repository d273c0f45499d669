"""Small labelled sets for tests of the training, and a finished run of a few epochs."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from rich.console import Console

from charon.structure import Structure
from charon.train import train_from_file

SHAPES = {1: (2.60, 1.4), -1: (2.85, 0.9)}
"""Bond length (A) and Morse depth (eV) of Ag3 by total charge."""


def morse(positions: np.ndarray, length: float, depth: float) -> tuple[float, np.ndarray]:
    """Energy (eV) and forces (eV/A) of `sum_pairs depth ((1 - exp(-1.3 (r - length)))^2 - 1)`."""
    energy, forces = 0.0, np.zeros_like(positions)
    for i in range(len(positions)):
        for j in range(i):
            vector = positions[i] - positions[j]
            distance = np.linalg.norm(vector)
            decay = np.exp(-1.3 * (distance - length))
            energy += depth * ((1 - decay) ** 2 - 1)
            pull = 2 * depth * (1 - decay) * 1.3 * decay * vector / distance
            forces[i] -= pull
            forces[j] += pull
    return energy, forces


def trimers(
    count: int, seed: int = 0, labels: tuple[str, ...] = ("energy", "forces", "charges", "dipole")
) -> list[Atoms]:
    """Ag3+ and Ag3- in turn; the same kind of geometry, another energy for each state."""
    random = np.random.default_rng(seed)
    frames = []
    for index in range(count):
        charge = 1 if index % 2 == 0 else -1
        length, depth = SHAPES[charge]
        corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0]]) * 2.7
        positions = corners + random.normal(scale=0.12, size=(3, 3))
        energy, forces = morse(positions, length, depth)
        charges = charge * (1 / 3 + 0.1 * np.array([1.0, -1.0, 0.0]))
        results = {
            "energy": energy - 300.0 - 2.0 * charge,
            "forces": forces,
            "charges": charges,
            "dipole": charges @ (positions - positions.mean(0)),
        }
        info = {"charge": charge, "spin": 1, "system": f"Ag3{'+' if charge > 0 else '-'}"}
        atoms = Atoms("Ag3", positions=positions, info=info)
        atoms.calc = SinglePointCalculator(atoms, **{label: results[label] for label in labels})
        frames.append(atoms)
    return frames


def copper(count: int, seed: int = 0) -> list[Atoms]:
    """Strained cells of four displaced copper atoms with energy, forces and stress (EMT)."""
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = bulk("Cu", cubic=True)
        atoms.set_cell(atoms.cell @ (np.eye(3) + random.normal(scale=0.03, size=(3, 3))), scale_atoms=True)
        atoms.rattle(0.08, rng=random)
        atoms.info.update(charge=0, spin=1, system="copper")
        atoms.calc = EMT()
        results = {name: atoms.calc.get_property(name, atoms) for name in ("energy", "forces", "stress")}
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


def write_frames(path: Path, frames: list[Atoms]) -> Path:
    """Writes extended XYZ."""
    ase.io.write(path, frames, format="extxyz")
    return path


CONFIG = """\
data:
  train: train.xyz
  validation: validation.xyz
  test: test.xyz
model:
  cutoff: 4.0
  channels: 4
  layers: 1
  l_max: 1
  radial_functions: 4
training:
  epochs: 4
  batch_size: 4
  seed: 3
"""


def make_project(folder: Path, frames: int = 12) -> Path:
    """Train, validation and test files of trimers and a configuration that trains on them; its path."""
    for seed, (name, count) in enumerate({"train": frames, "validation": 6, "test": 6}.items()):
        write_frames(folder / f"{name}.xyz", trimers(count, seed))
    config = folder / "trimers.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    return config


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors: more threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sets() -> SimpleNamespace:
    """`trimers(count, seed, labels)` and `copper(count, seed)` make frames, `write(path, frames)` writes."""
    return SimpleNamespace(trimers=trimers, copper=copper, write=write_frames)


@pytest.fixture
def console() -> Console:
    """A console that is no terminal; read it by `console.file.getvalue()`."""
    return Console(file=io.StringIO(), width=120)


@pytest.fixture
def without_report():
    """Leaves out plots and report.html, which take longer than a small training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charon.train.finish.write_run_report", lambda path: None)
        yield


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh configuration with its data; a test may change both."""
    return make_project(tmp_path)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory after four epochs; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    output = io.StringIO()
    config = make_project(folder)
    train_from_file(config, run_directory=folder / "run", console=Console(file=output, width=120))
    (folder / "output.txt").write_text(output.getvalue(), encoding="utf-8")
    return folder / "run"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes text to a file and returns its path."""

    def write_text(text: str, name: str = "set.xyz") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_text


@pytest.fixture
def trimer_structures(sets: SimpleNamespace) -> list[Structure]:
    """Eight structures of both states."""
    return [Structure.from_atoms(atoms, source=f"a.xyz, frame {i}") for i, atoms in enumerate(sets.trimers(8))]
