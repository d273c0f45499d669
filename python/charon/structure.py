"""One system: nuclei, cell, total charge, spin multiplicity and the labels that are known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.formula import Formula
from ase.stress import full_3x3_to_voigt_6_stress

from charon.errors import DataError
from charon.labels import check_keys, convert_labels, find_labels, frame_keys
from charon.neighbors import check_finite_geometry
from charon.state import CHARGE_KEYS, SPIN_KEYS, DefaultSpin, check_state, complete_state, read_state
from charon.units import UnitSystem


@dataclass(frozen=True, eq=False)
class Structure:
    """One system in one electronic state, in eV, A and e.

    Args:
        numbers: atomic numbers, [n_atoms] int64.
        positions: [n_atoms, 3] float64, in A.
        cell: cell vectors in rows, [3, 3] float64, in A; zeros when open.
        pbc: periodic directions, [3] bool.
        total_charge: in e.
        spin_multiplicity: 2S+1.
        labels: energy [] (eV), forces [n_atoms, 3] (eV/A), stress [3, 3] (eV/A^3, ASE's sign), charges
            [n_atoms] (e), spins [n_atoms] (unpaired electrons), dipole [3] (e*A); float64; what is known.
        system: name of the system, by which errors are grouped.
        source: file and frame.
        unread_keys: keys of the frame that are neither state nor label, for messages.
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    total_charge: int
    spin_multiplicity: int
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    system: str = ""
    source: str = ""
    unread_keys: tuple[str, ...] = ()

    @property
    def n_atoms(self) -> int:
        return len(self.numbers)

    @property
    def unpaired(self) -> int:
        """Number of unpaired electrons, 2S."""
        return self.spin_multiplicity - 1

    @classmethod
    def from_atoms(
        cls,
        atoms: Atoms,
        *,
        source: str = "atoms",
        keys: Mapping[str, str] | None = None,
        units: UnitSystem | Mapping[str, str] | None = None,
        default_charge: int | None = None,
        default_spin: DefaultSpin = None,
        labels: bool = True,
    ) -> Structure:
        """Structure of an ASE Atoms object, with its state and labels.

        Args:
            atoms: nuclei, cell, `info` and calculator results.
            source: file and frame, for messages.
            keys: {label: key} to read instead of the usual names.
            units: units of the positions, cell and labels; eV, A, e if not given.
            default_charge, default_spin: state of a frame that carries none; a multiplicity, or "lowest".
            labels: False leaves the labels unread.

        Raises:
            StateError: state missing, contradictory or impossible.
            DataError: geometry or labels that are not what they must be.
        """
        keys, units = check_keys(keys), UnitSystem.from_mapping(units)
        geometry = read_geometry(atoms, source, units.factor("length"))
        found = read_state(atoms.info, source, keys.get("charge"), keys.get("spin"))
        charge, spin = complete_state(*found, source, default_charge, default_spin, atoms.numbers)
        check_state(atoms.numbers, charge, spin, atoms.pbc, source)
        raw = find_labels(atoms, source, keys) if labels else {}
        used = {*(key for key, _ in raw.values()), *CHARGE_KEYS, *SPIN_KEYS, *keys.values(), "system"}
        return cls(
            **geometry,
            total_charge=charge,
            spin_multiplicity=spin,
            labels=convert_labels(raw, atoms, source, units),
            system=str(atoms.info.get("system", state_name(atoms, charge, spin))),
            source=source,
            unread_keys=tuple(key for key in frame_keys(atoms) if key not in used) if labels else (),
        )

    def to_atoms(self) -> Atoms:
        """ASE Atoms with charge, spin and system in `info`, and the labels in a SinglePointCalculator."""
        info = {"charge": self.total_charge, "spin": self.spin_multiplicity, "system": self.system}
        atoms = Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc, info=info)
        names = {"spins": "magmoms"}
        results: dict[str, Any] = {names.get(name, name): value.copy() for name, value in self.labels.items()}
        if "energy" in results:
            results["energy"] = float(results["energy"])
        if "stress" in results:
            results["stress"] = full_3x3_to_voigt_6_stress(results["stress"])
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        return atoms


def read_geometry(atoms: Atoms, source: str, length: float) -> dict[str, np.ndarray]:
    """Numbers, positions (A), cell (A) and pbc of Atoms, checked.

    Raises:
        DataError: no atoms, or positions or cell that are not finite.
    """
    if len(atoms) == 0:
        raise DataError(f"{source}: the frame has no atoms. Remove it.")
    positions = np.array(atoms.positions, dtype=np.float64) * length  # [n_atoms, 3]
    pbc = np.array(atoms.pbc, dtype=bool)
    cell = np.array(atoms.cell, dtype=np.float64) * length if pbc.any() else np.zeros((3, 3))
    check_finite_geometry(positions, cell, pbc, source)
    numbers = np.array(atoms.numbers, dtype=np.int64)  # [n_atoms]
    return {"numbers": numbers, "positions": positions, "cell": cell, "pbc": pbc}


def state_name(atoms: Atoms, charge: int, spin: int) -> str:
    """Formula with charge and multiplicity, as 'CH2 (0, 3)'."""
    formula = Formula.from_list(atoms.get_chemical_symbols()).format("hill")
    return f"{formula} ({charge:+d}, {spin})" if charge else f"{formula} (0, {spin})"
