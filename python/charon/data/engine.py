"""Reference methods that label a structure: one class per program."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import Bohr, Hartree, kB

from charon.errors import ConfigError, DataError

METHODS = ("GFN1-xTB", "GFN2-xTB")


class NotConverged(RuntimeError):
    """The engine gave no result for a structure; the message is the engine's."""


@dataclass
class TbliteEngine:
    """Single points with tight binding, by the library tblite.

    Args:
        method: one of `METHODS`.
        electronic_temperature: of the Fermi occupation, K.
        spin_polarized: whether alpha and beta densities may differ. A closed shell has the same
            energy either way; an open shell does not.
        max_iterations: of the self-consistent field.

    Raises:
        ConfigError: a method that tblite does not have, or tblite is not installed.

    Source: GFN1-xTB 10.1021/acs.jctc.7b00118, GFN2-xTB 10.1021/acs.jctc.8b01176,
        spin polarization 10.1002/jcc.27185 (unscaled).
    """

    method: str = "GFN2-xTB"
    electronic_temperature: float = 300.0
    spin_polarized: bool = False
    max_iterations: int = 250
    accuracy: float = 1.0
    name: str = field(default="tblite", init=False)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method: expected one of {', '.join(METHODS)}, found {self.method!r}")
        try:
            import tblite.interface  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"the engine tblite cannot be loaded ({error}); install it by: pip install tblite"
            ) from error

    def single_point(self, atoms: Atoms, charge: int, multiplicity: int) -> dict[str, np.ndarray]:
        """Labels of one structure: energy, forces, charges, and stress, dipole, spins if they exist.

        The dipole is taken about the center of geometry, `sum_i q_i (x_i - x_0)` plus atomic dipoles.

        Args:
            atoms: positions in A; open, or periodic in three directions.
            charge: total charge in e.
            multiplicity: 2S+1.

        Returns:
            energy [] eV, forces [n, 3] eV/A, charges [n] e; stress [3, 3] eV/A^3 if periodic,
            dipole [3] e*A if open, spins [n] unpaired electrons if spin-polarized.

        Raises:
            NotConverged: with the reason that tblite gives.
            DataError: a structure periodic in one or two directions.
        """
        from tblite.exceptions import TBLiteRuntimeError

        try:
            calculator = self._calculator(atoms, charge, multiplicity)
            result = calculator.singlepoint()
        except TBLiteRuntimeError as error:
            raise NotConverged(" ".join(str(error).split())) from error
        labels = {
            "energy": np.asarray(result["energy"]) * Hartree,  # []
            "forces": -result["gradient"] * Hartree / Bohr,  # [n_atoms, 3]
            "charges": result["charges"],  # [n_atoms]
        }
        if atoms.pbc.any():
            labels["stress"] = result["virial"] * Hartree / atoms.get_volume()  # [3, 3]
        else:
            center = atoms.positions.mean(axis=0)  # [3]
            labels["dipole"] = result["dipole"] * Bohr - charge * center  # [3]
        if self.spin_polarized:
            labels["spins"] = _spin_populations(calculator, result)  # [n_atoms]
        if not all(np.isfinite(value).all() for value in labels.values()):
            raise NotConverged("a result is not a number")
        return labels

    def _calculator(self, atoms: Atoms, charge: int, multiplicity: int) -> Any:
        from tblite.interface import Calculator

        if atoms.pbc.any() and not atoms.pbc.all():
            raise DataError(
                f"{atoms.get_chemical_formula()}: tblite knows molecules and bulk, "
                f"found pbc {atoms.pbc.tolist()}; set pbc to all or to none of the directions"
            )
        cell = {"lattice": atoms.cell.array / Bohr, "periodic": atoms.pbc} if atoms.pbc.all() else {}
        calculator = Calculator(
            self.method, atoms.numbers, atoms.positions / Bohr, float(charge), multiplicity - 1, **cell
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", self.accuracy)
        calculator.set("temperature", self.electronic_temperature * kB / Hartree)
        calculator.set("max-iter", self.max_iterations)
        if self.spin_polarized:
            calculator.add("spin-polarization", 1.0)
            calculator.set("save-integrals", 1)
        return calculator


def _spin_populations(calculator: Any, result: Any) -> np.ndarray:
    """Mulliken spins `m_i = sum_(mu in i) [(P_alpha - P_beta) S]_mu,mu`  [n_atoms]."""
    alpha, beta = result["density-matrix"]  # [n_orbitals, n_orbitals] each
    spin_of_orbital = ((alpha - beta) * result["overlap-matrix"]).sum(axis=1)  # [n_orbitals]
    atom_of_orbital = calculator.get("shell-map")[calculator.get("orbital-map")]  # [n_orbitals]
    return np.bincount(atom_of_orbital, weights=spin_of_orbital)
