"""Starting geometries of the clusters, by hand: triangle, rock-salt blocks, carbon chains, carbenes."""

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

METHYL = "Me"


def silver_trimer(linear: bool) -> Atoms:
    """Ag3, a triangle or a chain with bonds of 2.7 A."""
    third = [5.4, 0, 0] if linear else [1.35, 2.34, 0]
    return Atoms("Ag3", [[0, 0, 0], [2.7, 0, 0], third])


def salt_block(extra_sodium: bool) -> Atoms:
    """A 4 x 2 x 2 block of rock salt, with one Na on top of a Cl or without."""
    sites = np.array([[i, j, k] for i in range(4) for j in range(2) for k in range(2)])  # [16, 3]
    symbols = ["Na" if sum(site) % 2 == 0 else "Cl" for site in sites]
    block = Atoms(symbols, 2.75 * sites)
    if extra_sodium:
        block += Atoms("Na", [[2.75, 0, -2.6]])
    return block


def carbon_chain(extra_hydrogen: bool) -> Atoms:
    """H-C10-H, or H2-C10-H with a bent end."""
    chain = Atoms("C10", [[1.3 * i, 0, 0] for i in range(10)])
    chain += Atoms("H", [[9 * 1.3 + 1.07, 0, 0]])
    if extra_hydrogen:
        return chain + Atoms("H2", [[-0.55, 0.95, 0], [-0.55, -0.95, 0]])
    return chain + Atoms("H", [[-1.07, 0, 0]])


def carbene(first: str, second: str) -> Atoms:
    """C with two substituents, each an element or Me, at an angle of 115 degrees."""
    half = np.radians(115) / 2
    molecule = Atoms("C", [[0, 0, 0]])
    for substituent, sign in ((first, 1), (second, -1)):
        direction = np.array([np.cos(half), sign * np.sin(half), 0.0])  # [3]
        molecule += _substituent(substituent, direction)
    return molecule


def _substituent(name: str, direction: np.ndarray) -> Atoms:
    symbol = "C" if name == METHYL else name
    length = covalent_radii[6] + covalent_radii[atomic_numbers[symbol]]
    group = Atoms(symbol, [length * direction])
    if name != METHYL:
        return group
    across = np.array([0.0, 0.0, 1.0])
    other = np.cross(direction, across)
    for angle in np.radians([90, 210, 330]):
        outward = np.cos(angle) * across + np.sin(angle) * other  # [3]
        step = 1.09 * (np.cos(np.radians(70.5)) * direction + np.sin(np.radians(70.5)) * outward)
        group += Atoms("H", [length * direction + step])
    return group
