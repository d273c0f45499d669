"""What is timed: a box of water at 1 g/cm3, its replicas, and molecules of acetylacetone; all built from scratch."""

import numpy as np
from ase import Atoms

WATERS_PER_EDGE = 4
BOX = 12.42
"""Edge of the box of 64 H2O at 1 g/cm3, A."""
OH_LENGTH, HOH_ANGLE = 0.9572, 104.52
"""Gas phase geometry of water, A and degrees."""
RATTLE = 0.02
"""Standard deviation of the random displacements, A."""


def water_box(seed: int = 0) -> Atoms:
    """64 H2O (192 atoms) on a cubic lattice, each turned at random, slightly displaced; periodic."""
    random = np.random.default_rng(seed)
    spacing = BOX / WATERS_PER_EDGE
    sites = np.stack(np.meshgrid(*[np.arange(WATERS_PER_EDGE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    molecules = [(site + 0.5) * spacing + _water() @ _rotation(random).T for site in sites]  # each [3, 3]
    positions = np.concatenate(molecules)  # [192, 3]
    positions += random.normal(scale=RATTLE, size=positions.shape)
    return Atoms("OHH" * len(sites), positions=positions, cell=[BOX] * 3, pbc=True, info={"charge": 0, "spin": 1})


def acetylacetone(count: int, seed: int = 0) -> list[Atoms]:
    """Displaced copies of the enol form of C5H8O2 (15 atoms), with energies and forces drawn at random as labels."""
    random = np.random.default_rng(seed)
    symbols, positions = zip(*_enol(), strict=True)
    frames = []
    for _ in range(count):
        atoms = Atoms(symbols, positions=positions, info={"charge": 0, "spin": 1})
        atoms.positions += random.normal(scale=2 * RATTLE, size=(len(atoms), 3))
        atoms.info["REF_energy"] = float(random.normal())
        atoms.arrays["REF_forces"] = random.normal(size=(len(atoms), 3))
        frames.append(atoms)
    return frames


def _water() -> np.ndarray:
    """O, H, H about the oxygen, [3, 3] A."""
    half = np.radians(HOH_ANGLE) / 2
    across, along = OH_LENGTH * np.sin(half), OH_LENGTH * np.cos(half)
    return np.array([[0.0, 0.0, 0.0], [across, along, 0.0], [-across, along, 0.0]])


def _rotation(random: np.random.Generator) -> np.ndarray:
    """A rotation matrix, uniform over all rotations, [3, 3]."""
    matrix, upper = np.linalg.qr(random.normal(size=(3, 3)))
    matrix = matrix * np.sign(np.diag(upper))
    return matrix * np.linalg.det(matrix)


def _enol() -> list[tuple[str, tuple[float, float, float]]]:
    """Planar enol ring with two methyl groups; bond lengths 1.49 (C-CH3), 1.41 (C-C), 1.30 (C-O), 1.09 (C-H) A."""
    half = [
        ("C", (1.23, 0.70, 0.0)),
        ("O", (1.25, -0.60, 0.0)),
        ("C", (2.53, 1.43, 0.0)),
        ("H", (2.42, 2.51, 0.0)),
        ("H", (3.11, 1.13, 0.88)),
        ("H", (3.11, 1.13, -0.88)),
    ]
    mirrored = [(symbol, (-x, y, z)) for symbol, (x, y, z) in half]
    return [("C", (0.0, 1.40, 0.0)), ("H", (0.0, 2.48, 0.0)), ("H", (0.45, -1.10, 0.0)), *half, *mirrored]
