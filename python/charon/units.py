"""Units at the border: inside, everything is in eV, A, e; a `units:` block converts on reading."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from ase import units as ase_units

from charon.errors import ConfigError

COULOMB = 14.399645
"""e^2 / (4 pi epsilon_0), eV A."""

ENERGIES = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": ase_units.Hartree,
    "Ry": ase_units.Rydberg,
    "kcal/mol": ase_units.kcal / ase_units.mol,
    "kJ/mol": ase_units.kJ / ase_units.mol,
}
LENGTHS = {"A": 1.0, "Bohr": ase_units.Bohr, "nm": ase_units.nm}
CHARGES = {"e": 1.0, "C": ase_units.C}
DIPOLES = {"e*A": 1.0, "e*Bohr": ase_units.Bohr, "Debye": ase_units.Debye}
FORCES = {f"{energy}/{length}": e / a for energy, e in ENERGIES.items() for length, a in LENGTHS.items()}
PRESSURES = {
    "GPa": ase_units.GPa,
    "kbar": 0.1 * ase_units.GPa,
    "bar": 1e-4 * ase_units.GPa,
    "Pa": ase_units.Pascal,
}
STRESSES = PRESSURES | {
    f"{energy}/{length}^3": e / a**3 for energy, e in ENERGIES.items() for length, a in LENGTHS.items()
}


@dataclass(frozen=True)
class UnitSystem:
    """Units of a data file.

    Args:
        energy: eV, meV, Hartree, Ry, kcal/mol or kJ/mol; also of virials.
        length: A, Bohr or nm; of positions and cell.
        charge: e or C.
        dipole: e*A, e*Bohr or Debye.
        forces: as Hartree/Bohr; energy/length unless given.
        stress: as eV/A^3, or GPa, kbar, bar, Pa; energy/length^3 unless given.

    Raises:
        ConfigError: a unit that is not in these lists.
    """

    energy: str = "eV"
    length: str = "A"
    charge: str = "e"
    dipole: str = "e*A"
    forces: str | None = None
    stress: str | None = None

    def __post_init__(self) -> None:
        for quantity, table in _TABLES.items():
            unit = getattr(self, quantity)
            if unit is not None and unit not in table:
                raise ConfigError(f"units.{quantity}: unknown unit {unit!r}.{_hint(str(unit), table)}")

    @classmethod
    def from_mapping(
        cls, units: Mapping[str, str] | UnitSystem | None, own: Mapping[str, str] | None = None
    ) -> UnitSystem:
        """The `units:` block of a configuration; what is left out is in the format's own units, or eV, A, e."""
        if isinstance(units, UnitSystem):
            return units
        for key in units or {}:
            if key not in _TABLES:
                raise ConfigError(f"units: unknown key {key!r}.{_hint(key, _TABLES)}")
        return cls(**{**(own or {}), **(units or {})})

    def factor(self, quantity: str) -> float:
        """Factor from the file's unit to eV, A, e of a label, or of `length` or `virial`."""
        energy, length = ENERGIES[self.energy], LENGTHS[self.length]
        return {
            "length": length,
            "energy": energy,
            "virial": energy,
            "forces": FORCES[self.forces] if self.forces else energy / length,
            "stress": STRESSES[self.stress] if self.stress else energy / length**3,
            "charges": CHARGES[self.charge],
            "dipole": DIPOLES[self.dipole],
            "spins": 1.0,
        }[quantity]


_TABLES: dict[str, dict[str, float]] = {
    "energy": ENERGIES,
    "length": LENGTHS,
    "charge": CHARGES,
    "dipole": DIPOLES,
    "forces": FORCES,
    "stress": STRESSES,
}


def _hint(name: str, known: Mapping[str, object]) -> str:
    folded = {key.casefold(): key for key in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return (f" Did you mean {folded[near[0]]!r}?" if near else "") + f" Known: {', '.join(known)}."
