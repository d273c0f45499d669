"""Frames as padded arrays: extended XYZ -> one .npz (needs ASE and matscipy), and .npz -> tensors on a device.

Sets are cut here once: `acac` holds 50 of its 500 training frames out (or `--hold-out`), `water` 40 of data_0..2; every
set called test stays apart.
"""

import argparse
import lzma
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def _frames(path: Path) -> list:
    import ase.io

    with lzma.open(path, "rt") as file:
        return list(ase.io.read(file, ":", format="extxyz"))


def _splits(root: Path, hold_out: int) -> dict[str, dict[str, list]]:
    """Set -> split -> frames; a fixed random order decides what is held out."""
    order = np.random.default_rng(7)

    def cut(frames: list, held_out: int, most: int = 100000) -> tuple[list, list]:
        chosen = order.permutation(len(frames))
        return [frames[i] for i in chosen[held_out:][:most]], [frames[i] for i in chosen[:held_out]]

    acac_train, acac_val = cut(_frames(root / "acac/train_300K.xyz.xz"), hold_out)
    water_train, water_val = cut(sum((_frames(root / f"water/data_{i}.xyz.xz") for i in range(3)), []), 40, 200)
    return {
        "acac": {
            "train": acac_train,
            "val": acac_val,
            "test300": _frames(root / "acac/test_MD_300K.xyz.xz"),
            "test600": _frames(root / "acac/test_MD_600K.xyz.xz"),
        },
        "dipeptides": {s: _frames(root / f"dipeptides/{s}.xyz.xz") for s in ("train", "val")},
        "water": {"train": water_train, "val": water_val, "test": _frames(root / "water/data_3.xyz.xz")[:40]},
        "carbenes": {
            "train": cut(_frames(root / "xtb/carbenes_train.xyz.xz"), 0, 1000)[0],
            "val": _frames(root / "xtb/carbenes_val.xyz.xz"),
        },
    }


def _arrays(frames: list, elements: list[int], cutoff: float) -> dict[str, np.ndarray]:
    """Padded arrays of frames; `reverse` is the place of edge j -> i for edge i -> j, pads point at themselves."""
    from matscipy.neighbours import neighbour_list

    lists = []
    for atoms in frames:
        lists.append(neighbour_list("ijS", atoms, cutoff) if atoms.pbc.any() else _open_pairs(atoms.positions, cutoff))
    n_atoms = max(len(a) for a in frames)
    width = max(int(np.bincount(i).max()) for i, _, _ in lists)
    shape = (len(frames), n_atoms)
    out: dict[str, np.ndarray] = {
        "types": np.zeros(shape, np.int8),
        "position": np.zeros((*shape, 3), np.float32),
        "force": np.zeros((*shape, 3), np.float32),
        "energy": np.array([a.get_potential_energy() for a in frames]),
        "cell": np.array([a.cell.array for a in frames], np.float32),
        "state": np.array([[a.info.get("charge", 0), a.info.get("spin", 1)] for a in frames], np.int8),
        "neighbor": np.tile(np.arange(n_atoms, dtype=np.int16)[:, None], (len(frames), 1, width)),
        "reverse": np.tile(np.arange(n_atoms * width, dtype=np.int32).reshape(n_atoms, width), (len(frames), 1, 1)),
        "image": np.zeros((*shape, width, 3), np.int8),
        "real": np.zeros((*shape, width), bool),
    }
    for f, (atoms, (i, j, image)) in enumerate(zip(frames, lists, strict=True)):
        n = len(atoms)
        out["types"][f, :n] = [1 + elements.index(z) for z in atoms.numbers]
        out["position"][f, :n] = atoms.positions
        out["force"][f, :n] = atoms.get_forces()
        slot = np.zeros(len(i), np.int64)
        for atom in range(n):
            mine = np.flatnonzero(i == atom)
            slot[mine] = np.arange(len(mine))
        place = {(a, b, *s): a * width + k for a, b, s, k in zip(i, j, map(tuple, image), slot, strict=True)}
        out["neighbor"][f, i, slot], out["image"][f, i, slot], out["real"][f, i, slot] = j, image, True
        out["reverse"][f, i, slot] = [place[(b, a, -s[0], -s[1], -s[2])] for a, b, s in zip(i, j, image, strict=True)]
    return out


def _open_pairs(position: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    distance = np.linalg.norm(position[:, None] - position[None], axis=2)
    i, j = np.nonzero((distance < cutoff) & ~np.eye(len(position), dtype=bool))
    return i, j, np.zeros((len(i), 3), np.int8)


def convert(root: Path, target: Path, hold_out: int, cutoff: float, only: str) -> None:
    """Writes all sets (or one) into one file, energies less per-element references fitted on the training frames."""
    stored: dict[str, np.ndarray] = {"cutoff": np.array(cutoff)}
    for name, splits in _splits(root, hold_out).items():
        if only not in ("", name):
            continue
        elements = sorted({int(z) for a in splits["train"] for z in a.numbers})
        arrays = {split: _arrays(frames, elements, cutoff) for split, frames in splits.items()}
        counts = {s: np.stack([(a["types"] == 1 + e).sum(1) for e in range(len(elements))], 1).astype(float)
                  for s, a in arrays.items()}  # fmt: skip
        reference = np.linalg.lstsq(counts["train"], arrays["train"]["energy"], rcond=None)[0]
        for split, a in arrays.items():
            a["energy"] = (a["energy"] - counts[split] @ reference).astype(np.float32)
            stored |= {f"{name}/{split}/{key}": value for key, value in a.items()}
            print(name, split, a["neighbor"].shape, "energy std", a["energy"].std(), "F rms", (a["force"] ** 2).mean())
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, **stored)  # type: ignore[arg-type]


class FrameSet:
    """One split on a device. Edge vectors are computed once; pads lie beyond the cutoff and so count for nothing."""

    def __init__(self, file: np.lib.npyio.NpzFile, name: str, split: str, device: torch.device) -> None:
        def load(key: str, dtype: torch.dtype) -> Tensor:
            return torch.from_numpy(file[f"{name}/{split}/{key}"]).to(device=device, dtype=dtype)

        self.cutoff = float(file["cutoff"])  # A
        self.types = load("types", torch.int64)  # [frames, atoms], 0 pads
        self.energy, self.force = load("energy", torch.float32), load("force", torch.float32)
        self.neighbor, self.reverse = load("neighbor", torch.int64), load("reverse", torch.int64)
        states = load("state", torch.int64)
        self.state = (states[:, 0] + 1) * 4 + states[:, 1]  # one number for charge -1..1 and multiplicity 1..3
        self.frames, self.atoms, self.width = self.neighbor.shape
        self.count = (self.types > 0).sum(1).float()  # [frames]
        real, position = load("real", torch.bool), load("position", torch.float32)
        near = position.gather(1, self.neighbor.reshape(self.frames, -1, 1).expand(-1, -1, 3))
        vector = near.reshape(self.frames, self.atoms, self.width, 3) - position.unsqueeze(2)
        vector += torch.einsum("fnka,fab->fnkb", load("image", torch.float32), load("cell", torch.float32))
        pad = torch.tensor([1.1 * self.cutoff, 0.0, 0.0], device=device)
        self.vector = torch.where(real.unsqueeze(3), vector, pad)  # [frames, atoms, width, 3]
        self.mean_neighbors = float(real.sum() / self.count.sum())
        self.force_rms = float((self.force.pow(2).sum() / (3.0 * self.count.sum())).sqrt())


def load_set(path: Path, name: str, device: torch.device) -> dict[str, FrameSet]:
    """All splits of one set."""
    with np.load(path) as file:
        splits = sorted({key.split("/")[1] for key in file.files if key.startswith(name + "/")})
        return {split: FrameSet(file, name, split, device) for split in splits}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Converts the sets (xyz.xz) into one .npz.")
    parser.add_argument("source", type=Path, help="folder with acac/, dipeptides/, water/, xtb/")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--hold-out", type=int, default=50, help="frames of acac's training set for validation")
    parser.add_argument("--cutoff", type=float, default=5.0, help="A")
    parser.add_argument("--only", default="", help="the set with this name")
    arguments = parser.parse_args()
    convert(arguments.source, arguments.target, arguments.hold_out, arguments.cutoff, arguments.only)
