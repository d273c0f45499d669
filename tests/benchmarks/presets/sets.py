"""The sets of the comparison of presets: files, splits, and the same frames for a peer of another environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

from charon.data import read_structures
from charon.structure import Structure

from ..frames import data_file

SHIPPED = Path(__file__).parents[3] / "examples" / "data"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Set:
    """Frames to train on, to choose weights by, and to report on.

    Files lie under $CHARON_BENCH_DATA, or are shipped. One file instead of three is divided by frame index:
    frames 0, 5, 10 ... are for the test, 1, 11, 21 ... for validation.
    """

    name: str
    about: str
    files: tuple[str, ...]
    batch_size: int = 16
    validate_every: int = 2
    """Epochs, about 200 steps."""
    spin: int | None = None
    """Multiplicity of files that do not say it."""
    shipped: bool = False
    dispersion: tuple[str, str] | None = None
    """Kind and functional of the dispersion that the labels contain; None: they contain none, and no model has it."""

    def paths(self, folder: Path) -> dict[str, Path]:
        """The file of each split; a set of one file is divided into `folder`. Raises SetMissing."""
        found = [(SHIPPED / name).resolve() if self.shipped else data_file(name) for name in self.files]
        if len(found) == 1:
            found = divide(found[0], folder / self.name)
        return dict(zip(SPLITS, found, strict=True))

    def structures(self, path: Path) -> list[Structure]:
        """The frames of one split, as a training reads them."""
        return read_structures(path, default_spin=self.spin)


def split_of(index: int) -> str:
    """Where a frame of an undivided file belongs."""
    if index % 5 == 0:
        return "test"
    return "validation" if index % 10 == 1 else "train"


def divide(path: Path, folder: Path) -> list[Path]:
    """Writes the three splits of a file by frame index; those that stand already are kept."""
    targets = [folder / f"{name}.xyz" for name in SPLITS]
    if all(target.is_file() for target in targets):
        return targets
    frames = ase.io.read(path, ":")
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in zip(SPLITS, targets, strict=True):
        partial = target.with_suffix(".partial")
        ase.io.write(partial, [f for i, f in enumerate(frames) if split_of(i) == name], format="extxyz")
        partial.replace(target)
    return targets


def save_frames(structures: Sequence[Structure], path: Path) -> None:
    """Writes frames as arrays of all atoms, for `spooky_peer.py`; eV, A, e."""
    first = [0, *np.cumsum([s.n_atoms for s in structures])]
    arrays = {
        "first": np.array(first),  # [n_frames + 1], where the atoms of each frame begin
        "numbers": np.concatenate([s.numbers for s in structures]),  # [n_atoms]
        "positions": np.concatenate([s.positions for s in structures]),  # [n_atoms, 3]
        "cell": np.stack([s.cell for s in structures]),  # [n_frames, 3, 3]
        "pbc": np.stack([s.pbc for s in structures]),  # [n_frames, 3]
        "total_charge": np.array([s.total_charge for s in structures]),  # [n_frames]
        "unpaired": np.array([s.unpaired for s in structures]),  # [n_frames]
        "energy": np.array([float(s.labels["energy"]) for s in structures]),  # [n_frames]
        "forces": np.concatenate([s.labels["forces"] for s in structures]),  # [n_atoms, 3]
        "charges": np.concatenate([s.labels["charges"] for s in structures]),  # [n_atoms]
    }
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _xtb(name: str, about: str, batch_size: int = 16, validate_every: int = 2, gfn: int = 2) -> Set:
    files = tuple(f"xtb/{name}_{split}.xyz.xz" for split in ("train", "val", "test"))
    return Set(name, about, files, batch_size, validate_every, dispersion={1: ("d3", "gfn1"), 2: ("d4", "gfn2")}[gfn])


SETS = {
    found.name: found
    for found in (
        _xtb("carbon_chain", "C10H2 and C10H3+, GFN2-xTB"),
        _xtb("nacl", "Na8Cl8+ and Na9Cl8+, GFN2-xTB"),
        _xtb("ag3", "Ag3+ and Ag3-, GFN2-xTB"),
        _xtb("carbenes", "CXY: singlets, triplets, cations and anions, GFN2-xTB"),
        _xtb("au_mgo", "Au2 on MgO(001), with and without Al, periodic, GFN1-xTB", 2, 4, gfn=1),
        Set("carbon4g", "C10H2 and C10H3+, PBE, Hirshfeld charges, n2p2", ("n2p2/carbon4g.xyz.xz",), 8, 20, spin=1),
        Set("aumgo4g", "Au2 on MgO(001), PBE, Hirshfeld charges, n2p2", ("n2p2/aumgo4g.xyz.xz",), 1, 15, spin=1),
        Set(
            "clusters",
            "Ag3+-, Na8/9Cl8+, C10H2/3(+) and carbenes in one set, GFN2-xTB",
            tuple(f"clusters/{split}.xyz.xz" for split in SPLITS),
            validate_every=1,
            shipped=True,
            dispersion=("d4", "gfn2"),
        ),
    )
}
