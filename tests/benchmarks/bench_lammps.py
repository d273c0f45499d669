"""Time per atom and step of `pair_style charon`: precision, ranks, system size. A timing never fails a run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from charon.export import export_model
from charon.model import ModelConfig, Statistics, build_potential

BIN = Path(sys.executable).parent
INPUT = """
units metal
lattice custom 5.9 a1 1 0 0 a2 0 1 0 a3 0 0 1 &
  basis 0 0 0 basis 0.5 0.5 0 basis 0.5 0 0.5 basis 0 0.5 0.5 &
  basis 0.5 0 0 basis 0 0.5 0 basis 0 0 0.5 basis 0.5 0.5 0.5
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 2 box
create_atoms 1 box basis 5 2 basis 6 2 basis 7 2 basis 8 2
mass 1 22.99
mass 2 35.45
displace_atoms all random 0.1 0.1 0.1 7
pair_style charon {model} charge 0 spin 1
pair_coeff * * Na Cl
fix 1 all nve
thermo 100
run 2
run {steps}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models")
    config = ModelConfig(cutoff=5.0, channels=16, layers=2)
    paths = {name: folder / f"{name}.pt" for name in ("float64", "float32")}
    for name, path in paths.items():
        potential = build_potential(config, [11, 17], Statistics((-100.0, -400.0), 30.0))
        export_model(potential, path, dtype=getattr(torch, name))
    return paths


def microseconds(folder: Path, model: Path, cells: int, steps: int, ranks: int) -> float:
    """Wall time per atom and step."""
    (folder / "in.bench").write_text(INPUT.format(cells=cells, model=model, steps=steps))
    done = subprocess.run(
        [BIN / "mpiexec", "-n", str(ranks), BIN / "lmp", "-in", "in.bench", "-log", "none"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    seconds, n_atoms = re.findall(r"Loop time of (\S+) on .* with (\d+) atoms", done.stdout)[-1]
    return 1e6 * float(seconds) / steps / int(n_atoms)


def test_speed_in_lammps(tmp_path, models):
    base = microseconds(tmp_path, models["float64"], 5, 5, 1)
    print("\ndtype    atoms  ranks  us/atom/step  ratio to the first")
    print(f"float64   1000      1  {base:12.1f}   1.00")
    for name, cells, steps, ranks in (
        ("float64", 2, 50, 1),
        ("float64", 5, 5, 2),
        ("float32", 5, 5, 1),
        ("float32", 5, 5, 2),
    ):
        found = microseconds(tmp_path, models[name], cells, steps, ranks)
        print(f"{name}  {8 * cells**3:5d}  {ranks:5d}  {found:12.1f}   {found / base:.2f}")
