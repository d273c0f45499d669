"""PEP 517 backend: scikit-build-core, with its tools fetched for the build where they are not installed.

So `pip install --no-build-isolation .` needs nothing beside torch and pip: scikit-build-core and the wheels whose
headers the LAMMPS plugin is built with are installed, when absent, into a folder that lives as long as the build.
"""

import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import find_headers  # noqa: E402  (pip puts this folder on the path only for its own hooks)

TOOL = "scikit-build-core>=0.11,<2"
HEADER_WHEELS = {"lammps": "lammps==2025.7.22.4.0", "mpich": "mpich>=5,<6"}
LARGEST_PARALLELISM = 8

Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Nothing that pip should install: what is absent is fetched by the build itself."""
    return []


get_requires_for_build_editable = get_requires_for_build_wheel
get_requires_for_build_sdist = get_requires_for_build_wheel


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build native library, plugin and wheel; return the wheel's name."""
    with _tools(native=True) as (build, settings):
        return build.build_wheel(wheel_directory, {**(config_settings or {}), **settings}, metadata_directory)


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """As `build_wheel`, with the Python files left where they are."""
    with _tools(native=True) as (build, settings):
        return build.build_editable(wheel_directory, {**(config_settings or {}), **settings}, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Pack the sources; return the archive's name."""
    with _tools(native=False) as (build, settings):
        return build.build_sdist(sdist_directory, {**(config_settings or {}), **settings})


@contextlib.contextmanager
def _tools(native: bool) -> Iterator[tuple[Any, dict[str, str]]]:
    """The module scikit_build_core.build, and settings that tell CMake where fetched headers are."""
    if native:
        find_headers.torch_home()  # without torch, say so before anything is downloaded
        os.environ.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(min(os.cpu_count() or 1, LARGEST_PARALLELISM)))
    missing_tools = [] if importlib.util.find_spec("scikit_build_core") else [TOOL]
    missing_headers = _missing_headers() if native else []
    with tempfile.TemporaryDirectory(prefix="charon-build-") as folder:
        _fetch(missing_tools, folder)
        _fetch([HEADER_WHEELS[name] for name in missing_headers], folder, "--no-deps")
        if missing_tools:
            sys.path.insert(0, folder)
            importlib.invalidate_caches()
        settings = {"cmake.define.CHARON_HEADER_ROOT": folder if missing_headers else ""} if native else {}
        yield importlib.import_module("scikit_build_core.build"), settings


def _missing_headers() -> list[str]:
    """Names of the header wheels that are not installed; all of them if one is not, so that one root holds all."""
    try:
        for name in HEADER_WHEELS:
            find_headers.include_folder(name, "")
    except SystemExit:
        return list(HEADER_WHEELS)
    return []


def _fetch(requirements: list[str], folder: str, *options: str) -> None:
    if not requirements:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", folder]
    print(f"charon: fetching for this build: {' '.join(requirements)}", flush=True)
    done = subprocess.run([*command, *options, *requirements], check=False)
    if done.returncode != 0:
        raise SystemExit(
            f"charon: pip could not fetch {', '.join(requirements)}; install them in this environment, then repeat"
        )
