"""The model that is timed, with random weights, and its graphs: the one place that knows how ours is built."""

from pathlib import Path
from typing import Any

import torch
from ase import Atoms

from charon.batch import Batch, collate, make_graph
from charon.export import export_model
from charon.model import ModelConfig, Potential, Statistics, build_potential
from charon.structure import Structure

CUTOFF = 5.0
HEADLINE, DOUBLE = "headline", "headline in float64"
VARIANTS: dict[str, dict[str, Any]] = {
    HEADLINE: {"l_max": 1, "electronic": "none"},
    DOUBLE: {"l_max": 1, "electronic": "none"},
    "electronic": {"l_max": 1},
    "l_max 2": {"l_max": 2, "electronic": "none"},
    "l_max 2, electronic": {"l_max": 2},
    **{f"preset {name}": {"preset": name, "layers": 2} for name in ("local", "nse", "qeq", "learned", "full")},
}
"""What each variant changes of the defaults of `ModelConfig`; presets have the size `medium`."""


def build_model(variant: str, atoms: Atoms) -> Potential:
    """64 channels, 3 layers but for presets, cutoff 5 A, float32, for the elements and density of `atoms`."""
    torch.manual_seed(0)
    config = ModelConfig(**{"cutoff": CUTOFF, "channels": 64, "layers": 3, **VARIANTS[variant]})
    elements = sorted({int(z) for z in atoms.numbers})
    return build_potential(config, elements, Statistics((0.0,) * len(elements), mean_neighbors(atoms)))


def mean_neighbors(atoms: Atoms) -> float:
    """Neighbors per atom inside the cutoff."""
    return graph_batch([atoms]).edge_vector.size(0) / len(atoms)


def graph_batch(frames: list[Atoms]) -> Batch:
    """A float32 batch of the frames with the labels that they carry."""
    structures = [Structure.from_atoms(atoms, source="benchmark") for atoms in frames]
    elements = sorted({int(z) for atoms in frames for z in atoms.numbers})
    return collate([make_graph(s, elements, CUTOFF) for s in structures], torch.float32)


def export_variant(variant: str, atoms: Atoms, folder: Path) -> Path:
    """Writes the variant as a model file for LAMMPS and returns its path."""
    path = folder / f"{variant.replace(', ', '_').replace(' ', '_')}.pt"
    if not path.exists():
        dtype = torch.float64 if variant == DOUBLE else torch.float32
        export_model(build_model(variant, atoms), path, dtype=dtype)
    return path


def uses_state(variant: str) -> bool:
    """Whether LAMMPS must be told charge and spin."""
    return ModelConfig(**VARIANTS[variant]).electronic != "none"
