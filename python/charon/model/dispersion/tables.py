"""Published tables of the dispersion models, in eV, A, e; see model/reference_data/README.md."""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree

FOLDER = Path(__file__).parents[1] / "reference_data"
FREQUENCY_WEIGHTS = np.array(
    [0.0249995, 0.0499995, 0.075, *[0.1] * 8, 0.15, *[0.2] * 4, 0.35, 0.5, 0.75, 1.0, 1.75, 2.5, 1.25]
)
"""Trapezoidal weights of the 23 imaginary frequencies, Hartree (Caldeweyher et al. 2019)."""
CHARGE_HEIGHT, CHARGE_STEEPNESS = 3.0, 2.0
"""Of D4's charge scaling."""
GFN2_LAST = 86
"""Radon: the last element of GFN2-xTB."""


@dataclass(frozen=True)
class References:
    """Reference atoms of a model's elements; `n` of them per element, those that do not exist masked.

    Args:
        mask: which exist, [n_elements, n] bool.
        coordination: their coordination numbers, [n_elements, n].
        gaussians: how many Gaussians weight each, [n_elements, n]: 1 or 3 (D4), 1 (D3).
        charge: their charges plus the effective nuclear charge, [n_elements, n] e; D4 only, otherwise 1.
        c6: of all pairs, [n_elements, n, n_elements, n] eV A^6, 0 where masked.
        effective_charge, hardness: of D4's charge scaling, [n_elements].
        covalent_radius: with the factor 4/3, [n_elements] A.
        r4r2: sqrt(Q), [n_elements] A; C8 = 3 C6 sqrt(Q_i) sqrt(Q_j).
        electronegativity: Pauling's, [n_elements].
    """

    mask: np.ndarray
    coordination: np.ndarray
    gaussians: np.ndarray
    charge: np.ndarray
    c6: np.ndarray
    effective_charge: np.ndarray
    hardness: np.ndarray
    covalent_radius: np.ndarray
    r4r2: np.ndarray
    electronegativity: np.ndarray


@cache
def _damping_table() -> dict[str, dict[str, dict[str, float]]]:
    return tomllib.loads((FOLDER / "damping.toml").read_text())


def damping_parameters(kind: str, functional: str) -> tuple[float, float, float, float]:
    """s6, s8, a1 and a2 (A) of a functional.

    Raises:
        ValueError: a functional that the table does not have.
    """
    known = _damping_table()[kind]
    name = functional.lower()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"dispersion {kind}: unknown functional {functional!r}.{hint} Known: {', '.join(known)}.")
    values = known[name]
    return values["s6"], values["s8"], values["a1"], values["a2"] * Bohr


def references(kind: str, elements: list[int], functional: str) -> References:
    """The reference atoms of these atomic numbers; D4's with the charges of GFN2-xTB if the functional is `gfn2`.

    Raises:
        ValueError: an element without references.
    """
    table = dict(np.load(FOLDER / f"{kind}.npz"))
    number = table["number"]  # [n_references]
    if (kind, functional.lower()) == ("d4", "gfn2"):
        number = np.where(number <= GFN2_LAST, number, 0)
        table |= {name: table[f"{name}_gfn2"] for name in ("charge", "polarisability")}
    missing = [chemical_symbols[z] for z in elements if z not in number]
    if missing:
        raise ValueError(
            f"dispersion {kind} has no reference atoms of {', '.join(missing)}: its elements are H to "
            f"{chemical_symbols[number.max()]}. Set dispersion to none."
        )
    rows = [np.flatnonzero(number == z) for z in elements]  # per element, the indices of its references
    width = max(len(row) for row in rows)
    index = np.array([[*row, *[row[0]] * (width - len(row))] for row in rows])  # [n_elements, n]
    mask = np.array([[slot < len(row) for slot in range(width)] for row in rows])  # [n_elements, n]
    c6 = _c6(table, index.ravel()).reshape(*index.shape, *index.shape) * (mask[:, :, None, None] & mask)
    general = {name: array[elements] for name, array in np.load(FOLDER / "elements.npz").items()}
    ones = np.ones(index.shape)
    effective = table["effective_charge"][elements] if kind == "d4" else np.ones(len(elements))
    return References(
        mask=mask,
        coordination=table["coordination"][index],
        gaussians=table["gaussians"][index].astype(float) if kind == "d4" else ones,
        charge=table["charge"][index] + effective[:, None] if kind == "d4" else ones,
        c6=c6 * Hartree * Bohr**6,
        effective_charge=effective,
        hardness=table["hardness"][elements] if kind == "d4" else np.zeros(len(elements)),
        covalent_radius=general["covalent_radius"] * Bohr,
        r4r2=general["r4r2"] * Bohr,
        electronegativity=general["electronegativity"],
    )


def _c6(table: dict[str, np.ndarray], index: np.ndarray) -> np.ndarray:
    """C6 of all pairs of these references, [n, n], atomic units: tabulated (D3), or by Casimir and Polder (D4)."""
    if "c6" in table:
        first, second = np.maximum(index[:, None], index), np.minimum(index[:, None], index)
        return 1e-4 * table["c6"][first * (first + 1) // 2 + second]
    alpha = table["polarisability"][index]  # [n, 23]
    return 3.0 / np.pi * (alpha * FREQUENCY_WEIGHTS) @ alpha.T
