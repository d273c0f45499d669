"""Runs the real `lmp` under the real `mpiexec`, and the same atoms through the exported model in Python."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers

from charon.batch import Batch, collate, make_graph
from charon.export import LoadedModel, export_model, load_model
from charon.export.module import run
from charon.model import ModelConfig, Prediction, Statistics, build_potential
from charon.structure import Structure

BIN = Path(sys.executable).parent
ELEMENTS = ["H", "C", "Na", "Cl"]
BAR = 1.6021765e6
"""1 eV/A^3 in bar, the value that LAMMPS uses."""

THERMO = "pe pxx pyy pzz pxy pxz pyz vol"
PER_ATOM = "id type x y z fx fy fz q c_energy f_state[1] f_state[2]"


@dataclass
class Outcome:
    """What a run of LAMMPS left behind."""

    returncode: int
    text: str
    thermo: dict[str, np.ndarray] = field(default_factory=dict)  # name -> [n_outputs]
    atoms: dict[str, np.ndarray] = field(default_factory=dict)  # column -> [n_atoms], last dump, by id

    @property
    def forces(self) -> np.ndarray:
        return np.stack([self.atoms["fx"], self.atoms["fy"], self.atoms["fz"]], axis=1)

    def virial(self, frame: int = -1) -> np.ndarray:
        """xx yy zz xy xz yz in eV; atoms must be at rest."""
        pressure = np.array([self.thermo[name][frame] for name in ("Pxx", "Pyy", "Pzz", "Pxy", "Pxz", "Pyz")])
        return pressure * self.thermo["Volume"][frame] / BAR


@dataclass
class Lammps:
    """Runs input scripts in one folder."""

    folder: Path

    def data(self, atoms: Atoms, elements: list[str], name: str = "atoms.data") -> str:
        """Writes atoms in a lower triangular cell; type k is elements[k]. Returns the file's name."""
        cell = np.asarray(atoms.cell)
        lines = ["atoms of a test", "", f"{len(atoms)} atoms", f"{len(elements)} atom types", ""]
        for axis, low in enumerate("xyz"):
            lines.append(f"0 {float(cell[axis, axis])!r} {low}lo {low}hi")
        lines.append(f"{float(cell[1, 0])!r} {float(cell[2, 0])!r} {float(cell[2, 1])!r} xy xz yz")
        lines += ["", "Masses", ""]
        lines += [f"{k} {float(atomic_masses[atomic_numbers[e]])!r}" for k, e in enumerate(elements, 1)]
        lines += ["", "Atoms # charge", ""]
        for k, atom in enumerate(atoms, 1):
            x, y, z = map(float, atom.position)
            lines.append(f"{k} {elements.index(atom.symbol) + 1} 0.0 {x!r} {y!r} {z!r}")
        (self.folder / name).write_text("\n".join(lines) + "\n")
        return name

    def run(self, script: str, ranks: int = 1, timeout: float = 120.0) -> Outcome:
        """Runs a script, which may fail; `dump.txt` and the last thermo table are read."""
        (self.folder / "in.test").write_text(script)
        # ranks may outnumber cores: one that waits must let others compute
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPIR_CVAR_CH4_PROGRESS_THROTTLE": "true"}
        command = [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", "in.test", "-log", "none"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            timeout=timeout,
            check=False,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        dump = self.folder / "dump.txt"
        outcome = Outcome(done.returncode, done.stdout, read_thermo(done.stdout))
        if done.returncode == 0 and dump.exists():
            outcome.atoms = read_dump(dump.read_text())
        return outcome

    def succeed(self, script: str, ranks: int = 1) -> Outcome:
        outcome = self.run(script, ranks)
        assert outcome.returncode == 0, outcome.text[-3000:]
        return outcome

    def fail(self, script: str, ranks: int = 1) -> str:
        """Text of a run that must end with LAMMPS' own error, in joined lines."""
        outcome = self.run(script, ranks)
        assert outcome.returncode != 0, outcome.text[-3000:]
        assert "ERROR" in outcome.text, outcome.text[-3000:]
        return " ".join(outcome.text.split())


def read_thermo(text: str) -> dict[str, np.ndarray]:
    """All rows of all tables that share the last table's columns."""
    names: list[str] = []
    rows: list[list[float]] = []
    reading = False
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["Step"]:
            names, reading = words, True
        elif line.startswith("Loop time"):
            reading = False
        elif reading and len(words) == len(names) and words[0].isdigit():
            rows.append([float(word) for word in words])
    table = np.array([row for row in rows if len(row) == len(names)])  # [n_outputs, n_columns]
    return {name: table[:, column] for column, name in enumerate(names)} if len(table) else {}


def read_dump(text: str) -> dict[str, np.ndarray]:
    """Columns of the last snapshot, in the order of the atoms' ids."""
    snapshot = text.rsplit("ITEM: ATOMS ", 1)[1].splitlines()
    names = snapshot[0].split()
    table = np.array([line.split() for line in snapshot[1:]], dtype=float).reshape(-1, len(names))
    table = table[np.argsort(table[:, names.index("id")])]
    return dict(zip(names, table.T, strict=True))


def script(
    data: str,
    model: Path | str,
    elements: str,
    *,
    state: str = "charge 0 spin 1",
    boundary: str = "p p p",
    units: str = "metal",
    before: str = "",
    pair: str = "",
    after: str = "run 0",
) -> str:
    """An input that writes thermo and per-atom quantities with all digits."""
    pair = pair or f"pair_style charon {model} {state}\npair_coeff * * {elements}"
    return f"""
units {units}
boundary {boundary}
atom_style charge
newton on
{before}
read_data {data}
{pair}
neighbor 1.0 bin
fix move all nve
fix state all pair 1 charon charge 0 spin 0
compute energy all pe/atom
thermo_style custom step {THERMO} etotal
thermo_modify format float %.17g
dump 1 all custom 1 dump.txt {PER_ATOM}
dump_modify 1 format float %.17g
{after}
"""


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
