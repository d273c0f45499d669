"""Frames of `sets.save_frames` as batches of xnns; for `spooky_peer.py`, without charon."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.neighborlist import neighbor_list
from torch import Tensor
from xnn.common.data import AtomicGraph


class Frames:
    """Frames of one split with the pairs of atoms within `cutoff` (A)."""

    def __init__(self, path: str | Path, cutoff: float) -> None:
        with np.load(path) as file:
            self.arrays: dict[str, np.ndarray] = {key: file[key] for key in file.files}
        self.count = len(self.arrays["energy"])
        self.pairs = [self._pairs(i, cutoff) for i in range(self.count)]

    @property
    def periodic(self) -> bool:
        """Whether they are crystals; a set has no molecules beside crystals."""
        return bool(self.arrays["pbc"].any())

    def atoms_of(self, index: int) -> slice:
        """Where the atoms of a frame lie."""
        return slice(int(self.arrays["first"][index]), int(self.arrays["first"][index + 1]))

    def _pairs(self, index: int, cutoff: float) -> tuple[Tensor, Tensor]:
        """Edges [2, n_edges] and their cell shifts [n_edges, 3]: vectors are `x[1] - x[0] + shift cell`."""
        here = self.atoms_of(index)
        numbers, positions = self.arrays["numbers"][here], self.arrays["positions"][here]
        atoms = Atoms(numbers, positions, cell=self.arrays["cell"][index], pbc=self.arrays["pbc"][index])
        first, second, shift = neighbor_list("ijS", atoms, cutoff)
        return torch.from_numpy(np.stack([first, second])).long(), torch.from_numpy(shift).float()


@dataclass(frozen=True)
class Batch:
    """Graph of SpookyNet and labels; energies above the references."""

    graph: AtomicGraph
    energy: Tensor  # [n_frames]
    forces: Tensor  # [n_atoms, 3]
    charges: Tensor  # [n_atoms]
    reference: Tensor  # [n_frames] float64


def reference_energies(frames: Frames, members: list[int], energies: np.ndarray) -> Tensor:
    """Energies by atomic number, `[87]` float64: least squares of `energies` [n_members] over those frames."""
    atoms = [frames.arrays["numbers"][frames.atoms_of(i)] for i in members]
    counts = np.stack([np.bincount(numbers, minlength=87) for numbers in atoms]).astype(float)  # [n_members, 87]
    return torch.from_numpy(np.linalg.lstsq(counts, energies, rcond=None)[0])


def collate(frames: Frames, members: list[int], references: Tensor) -> Batch:
    """The frames `members` as one batch, float32."""
    parts = [frames.atoms_of(i) for i in members]

    def atoms(key: str) -> np.ndarray:
        return np.concatenate([frames.arrays[key][part] for part in parts])

    def frame(key: str) -> Tensor:
        return torch.from_numpy(frames.arrays[key][members])

    sizes = torch.tensor([part.stop - part.start for part in parts])  # [n_frames]
    shift = torch.cumsum(sizes, 0) - sizes
    segment = torch.repeat_interleave(torch.arange(len(members)), sizes)  # [n_atoms]
    numbers = torch.from_numpy(atoms("numbers")).long()
    reference = torch.zeros(len(members), dtype=torch.float64).index_add(0, segment, references[numbers])
    pairs = [frames.pairs[i] for i in members]
    graph = AtomicGraph(
        pos=torch.from_numpy(atoms("positions")).float().requires_grad_(),
        atomic_numbers=numbers,
        edge_index=torch.cat([pair[0] + at for pair, at in zip(pairs, shift, strict=True)], dim=1),
        cell_shifts=torch.cat([pair[1] for pair in pairs]),
        batch=segment,
        n_atoms=sizes,
        cell=frame("cell").float() if frames.periodic else None,
        pbc=frame("pbc") if frames.periodic else None,
        total_charge=frame("total_charge").float(),
        spin_multiplicity=frame("unpaired").float() + 1.0,
    )
    return Batch(
        graph=graph,
        energy=(frame("energy") - reference).float(),
        forces=torch.from_numpy(atoms("forces")).float(),
        charges=torch.from_numpy(atoms("charges")).float(),
        reference=reference,
    )
