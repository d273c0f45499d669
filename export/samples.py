"""Small structures on which an exported file is compared with the model that it came from."""

import numpy as np

from charon.state import parity_problem
from charon.structure import Structure

SPACING = 2.6
"""Mean distance of neighbors in the samples, A."""


def sample_structure(elements: list[int], n_atoms: int, periodic: bool, charge: int, seed: int) -> Structure:
    """A disordered lattice of the model's elements, open or in a sheared cell, with the lowest fitting multiplicity."""
    random = np.random.default_rng(seed)
    side = int(np.ceil(n_atoms ** (1 / 3)))
    sites = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n_atoms]
    shear = np.array([[1.0, 0.0, 0.0], [0.1, 1.0, 0.0], [-0.05, 0.08, 1.0]])
    positions = (SPACING * sites + random.uniform(-0.3, 0.3, size=(n_atoms, 3))) @ shear  # [n_atoms, 3]
    numbers = np.array(elements)[np.arange(n_atoms) % len(elements)]
    spin = 1 if parity_problem(numbers, charge, 1) is None else 2
    cell = SPACING * side * shear if periodic else np.zeros((3, 3))
    kind = "periodic" if periodic else "open"
    return Structure(
        numbers=numbers,
        positions=positions,
        cell=cell,
        pbc=np.full(3, periodic),
        total_charge=charge,
        spin_multiplicity=spin,
        system=f"{kind} sample of {n_atoms} atoms",
        source=f"{kind} sample of {n_atoms} atoms",
    )


def verification_samples(elements: list[int], charge_range: tuple[int, int]) -> list[Structure]:
    """Samples of several sizes, open and periodic, over the charges that the model has seen."""
    low, high = charge_range
    sizes = [(1, False), (2, False), (5, False), (12, False), (8, True), (27, True), (64, True)]
    return [
        sample_structure(elements, n, periodic, (low, high, 0)[k % 3], seed=k) for k, (n, periodic) in enumerate(sizes)
    ]
