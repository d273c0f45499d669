"""ASE calculator of an exported model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from charon.batch import collate, make_graph
from charon.constant_potential import ChargeSearch, at_potential
from charon.errors import StateError
from charon.export import LoadedModel, load_model
from charon.model import Prediction
from charon.state import CHARGE_KEYS, SPIN_KEYS, parity_problem, read_state
from charon.structure import Structure


class Calculator(AseCalculator):
    """Energy, forces, stress, charges, magnetic moments and dipole of ASE Atoms.

    The state is read from `atoms.info["charge"]` (e) and `atoms.info["spin"]` (multiplicity 2S+1), or given
    here for atoms that carry none. Stress exists for cells that are periodic in three directions, the dipole
    for open systems, charges and moments for models that have them.

    Args:
        model: exported file (.pt), or what `charon.export.load_model` returned.
        charge: total charge in e.
        spin: multiplicity 2S+1.
        mu: chemical potential of the electrons in eV, in place of a total charge: the charge is found by
            `charon.constant_potential`, `energy` is the grand potential E + mu Q, `charges` sum to Q.

    Raises:
        StateError: on calculation, where a state is missing, impossible, or contradicts the one given here.
        DataError: on calculation, for an element that the model lacks or positions that are not finite.
        ModelFileError: `model` is no exported model.
    """

    name = "charon"
    implemented_properties = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "charges",
        "magmoms",
        "dipole",
    ]
    ignored_changes = {"initial_charges", "initial_magmoms"}

    def __init__(
        self,
        model: str | Path | LoadedModel,
        charge: int | None = None,
        spin: int | None = None,
        mu: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = load_model(model) if isinstance(model, str | Path) else model
        given = {key: value for key, value in (("charge", charge), ("spin", spin)) if value is not None}
        self.charge, self.spin = read_state(given, "Calculator")
        if mu is not None and charge is not None:
            raise StateError("Calculator: mu and charge cannot both be given: at a given mu the charge is a result.")
        self._search = None if mu is None else ChargeSearch(-mu)
        self._warned: set[str] = set()

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What changed since the last calculation; charge and spin in `info` count too."""
        changes = super().check_state(atoms, tol=tol)
        if self.atoms is not None and _state_entries(self.atoms) != _state_entries(atoms):
            changes.append("info")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Evaluate the model; fills `results` with all that it gives."""
        super().calculate(atoms, properties, system_changes)
        structure = self.structure(self.atoms)
        if self._search is None:
            self._warn_of_unusual_state(structure)
        batch = collate([make_graph(structure, self.model.elements, self.model.cutoff)], self.model.dtype)
        if self._search is None:
            self.results = self._results(structure, self.model.evaluate(batch))
            return
        self.results = self._results(structure, at_potential(self.model, batch, self._search))
        self.results["energy"] = self.results["free_energy"] = (
            self.results["energy"] - self._search.target * self._search.charge
        )

    def structure(self, atoms: Atoms) -> Structure:
        """The atoms in their state, as the model sees them.

        Raises:
            StateError: missing, impossible, or other in `info` than given to the calculator.
        """
        source = f"Atoms {atoms.get_chemical_formula()}"
        charge, spin = read_state(atoms.info, source)
        default_charge = self.charge
        if self._search is not None:
            if charge is not None:
                raise StateError(
                    f"{source}: has a charge, {charge}, but the calculator was given mu. Keep one of them."
                )
            if spin is None:
                spin = self.spin
            # a stand-in that fits the parity; the charge of the calculation is any real number
            charge = default_charge = int(atoms.numbers.sum() - (spin or 1) + 1) % 2
        for name, own, found in (("charge", self.charge, charge), ("spin", self.spin, spin)):
            if own is not None and found is not None and own != found:
                raise StateError(
                    f"{source}: the calculator was given {name}={own}, atoms.info says {found}. Keep one of them."
                )
            if own is None and found is None:
                raise StateError(
                    f"{source}: {name} not given. Nothing is guessed: use Calculator(..., charge=0, spin=1), "
                    "or set atoms.info['charge'] (in e) and atoms.info['spin'] (the multiplicity 2S+1)."
                )
        return Structure.from_atoms(
            atoms, source=source, default_charge=default_charge, default_spin=self.spin, labels=False
        )

    def _results(self, structure: Structure, prediction: Prediction) -> dict[str, Any]:
        energy = float(prediction.energy.detach()[0])
        results: dict[str, Any] = {
            "energy": energy,
            "free_energy": energy,
            "energies": _array(prediction.energies),
            "forces": _array(prediction.forces),
        }
        if structure.pbc.all():
            results["stress"] = full_3x3_to_voigt_6_stress(_array(prediction.stress)[0])
        if self.model.metadata["electronic"] != "none":
            results["charges"] = _array(prediction.charges)
            results["magmoms"] = _array(prediction.spins)
            if not structure.pbc.any():
                results["dipole"] = _array(prediction.dipole)[0]
        return results

    def _warn_of_unusual_state(self, structure: Structure) -> None:
        """One warning for each state that the training has not seen, or that a molecule could not have."""
        metadata = self.model.metadata
        charge, spin = structure.total_charge, structure.spin_multiplicity
        for name, value, (low, high) in (
            ("charge", charge, metadata["charge_range"]),
            ("spin multiplicity", spin, metadata["spin_range"]),
        ):
            if not low <= value <= high:
                self._warn_once(
                    f"{name} {value} is outside of the range {low} to {high} on which the model was trained."
                )
        if problem := parity_problem(structure.numbers, charge, spin):
            self._warn_once(f"{structure.source}: unusual state of a periodic system: {problem}.")

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, stacklevel=4)


def _state_entries(atoms: Atoms) -> dict[str, Any]:
    return {key: np.asarray(atoms.info[key]).tolist() for key in CHARGE_KEYS + SPIN_KEYS if key in atoms.info}


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float64)
