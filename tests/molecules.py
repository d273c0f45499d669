"""Molecules of tests and studies, each at one geometry with its charge and multiplicity."""

import numpy as np
from ase import Atoms


def bent(center: str, ends: str, length: float, degrees: float) -> Atoms:
    """Symmetric bent molecule XY2 in a plane."""
    half = np.radians(degrees) / 2
    y, z = length * np.sin(half), length * np.cos(half)
    return Atoms([center, ends, ends], positions=[[0, 0, 0], [0, y, z], [0, -y, z]])


def methylene(charge: int, spin: int) -> Atoms:
    """CH2 at its measured geometry: 1.107 A, 102.4 degrees (singlet); 1.077 A, 134.0 degrees (open shells)."""
    atoms = bent("C", "H", *((1.107, 102.4) if spin == 1 else (1.077, 134.0)))
    atoms.info.update(charge=charge, spin=spin)
    return atoms


def silver_trimer(charge: int) -> Atoms:
    """Ag3+ is a triangle, Ag3- is linear."""
    side = 2.72
    triangle = [[0, 0, 0], [side, 0, 0], [side / 2, side * 3**0.5 / 2, 0]]
    line = [[-2.65, 0, 0], [0, 0, 0], [2.65, 0, 0]]
    return Atoms("Ag3", positions=triangle if charge > 0 else line, info={"charge": charge, "spin": 1})


def polyyne(carbons: int) -> Atoms:
    """C_nH2 on a line, triple bonds of 1.21 A and single ones of 1.36 A between."""
    lengths = [1.21 if k % 2 == 0 else 1.36 for k in range(carbons - 1)]
    z = np.cumsum([0.0, *lengths])
    return Atoms(f"C{carbons}H2", [[0, 0, h] for h in (*z, -1.06, z[-1] + 1.06)], info={"charge": 0, "spin": 1})


def cumulene(carbons: int, degrees: float) -> Atoms:
    """C_nH4 on a line, C=C 1.28 A, one end turned about the axis."""
    z = 1.28 * np.arange(carbons)
    places = [[0.0, 0.0, height] for height in z]
    for height, angle in ((z[0] - 0.57, 0.0), (z[-1] + 0.57, np.radians(degrees))):
        side = 0.93 * np.array([np.cos(angle), np.sin(angle), 0.0])
        places += [side + [0, 0, height], -side + [0, 0, height]]
    return Atoms(f"C{carbons}H4", places, info={"charge": 0, "spin": 1})
