"""The loss: one scaled term per label that the data have."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from charon.batch import Batch
from charon.errors import ConfigError
from charon.model import Prediction
from charon.structure import Structure
from charon.train.config import LossConfig

LABELS = ("energy", "forces", "stress", "charges", "spins", "dipole")
TERMS = (*LABELS, "leftover")
LENGTH = 1.0
"""Length (A) that turns the scale of forces into a scale of energies."""
SMALLEST_DEVIATION = 0.005
"""Scale of charges (e) and spins that hardly differ within elements."""


@dataclass(frozen=True)
class Scales:
    """The unit of each label's error: RMS of the label in the training set (eV, A, e).

    Of charges and spins it is the RMS deviation from the mean of the element, since what is the same for all atoms of
    an element says nothing of the accuracy that counts; 5 me at least. Of energies it is RMS force x 1 A, an energy per
    sqrt(atom) that does not depend on reference energies; without forces it is the RMS of the energy above the
    references per sqrt(atom).
    """

    energy: float = 1.0
    forces: float = 1.0
    stress: float = 1.0
    charges: float = 1.0
    spins: float = 1.0
    dipole: float = 1.0

    def as_dict(self) -> dict[str, float]:
        """For the checkpoint."""
        return asdict(self)


def label_scales(structures: Sequence[Structure], elements: Sequence[int], references: Sequence[float]) -> Scales:
    """Scales from the training set; `references` are the energies (eV) of `elements` (atomic numbers)."""
    scales = {label: _rms([s.labels[label] for s in structures if label in s.labels]) for label in LABELS[1:]}
    scales |= {label: _deviation(label, structures, elements) for label in ("charges", "spins")}
    if any("forces" in s.labels for s in structures):
        scales["energy"] = scales["forces"] * LENGTH
    else:
        reference = dict(zip(elements, references, strict=True))
        above = [
            (float(s.labels["energy"]) - sum(reference[int(z)] for z in s.numbers)) / s.n_atoms**0.5
            for s in structures
            if "energy" in s.labels
        ]
        scales["energy"] = _rms([np.array(above)])
    return Scales(**scales)


def _deviation(label: str, structures: Sequence[Structure], elements: Sequence[int]) -> float:
    """RMS deviation of a label of atoms from its mean over the atoms of the same element."""
    labelled = [s for s in structures if label in s.labels]
    if not labelled:
        return 1.0
    numbers = np.concatenate([s.numbers for s in labelled])
    values = np.concatenate([s.labels[label] for s in labelled])
    deviations = [values[numbers == z] - values[numbers == z].mean() for z in elements if (numbers == z).any()]
    return max(_rms(deviations), SMALLEST_DEVIATION) if np.any(values) else 1.0


def _rms(values: Sequence[np.ndarray]) -> float:
    if not values:
        return 1.0
    rms = float(np.sqrt(np.mean(np.concatenate([np.ravel(value) for value in values]) ** 2)))
    return rms if rms > 1e-8 else 1.0


def resolve_weights(config: LossConfig, structures: Sequence[Structure], electronic: bool = True) -> LossConfig:
    """Weight 0 for labels that no training frame carries and, without `electronic`, for charges and spins.

    Raises ConfigError if the configuration itself gives such a label a positive weight, or if nothing is left
    to learn.
    """
    present = {label for structure in structures for label in structure.labels}
    missing = [label for label in LABELS if label not in present]
    for label in missing:
        if label in config.model_fields_set and getattr(config, label) > 0:
            raise ConfigError(
                f"loss.{label} is {getattr(config, label):g}, but no frame of the training set has the label "
                f"'{label}'; labels found: {', '.join(sorted(present)) or 'none'}. "
                f"Name its key in data.keys, or set loss.{label}=0"
            )
    unused = missing if electronic else [*missing, "charges", "spins", "leftover"]
    resolved = config.model_copy(update=dict.fromkeys(unused, 0.0))
    if not any(getattr(resolved, label) > 0 for label in LABELS):
        raise ConfigError(
            "every weight of the loss is 0 for the labels of the training set "
            f"({', '.join(sorted(present)) or 'none'}): there is nothing to learn"
        )
    return resolved


class Loss:
    """`sum_k w_k T_k`, each T_k a mean over the labelled frames or components of the batch.

    | term | T |
    |---|---|
    | energy | `(dE / sqrt(N) / scale)^2`, or `(dE / N / scale)^2` |
    | forces, stress, charges, spins, dipole | `(error / scale)^2` per component; dipoles of molecules only |
    | leftover | charge and spin left over before equilibration, squared, per atom |

    With `kind: huber`, `x^2` is replaced beyond `delta` by `delta (2 |x| - delta)`.
    """

    def __init__(self, config: LossConfig, scales: Scales) -> None:
        self.config, self.scales = config, scales
        self.active = [term for term in TERMS if getattr(config, term) > 0]
        self.weights = {term: float(getattr(config, term)) for term in self.active}

    def terms(self, prediction: Prediction, batch: Batch) -> dict[str, Tensor]:
        """Unweighted terms (0-d) of the labels that the batch has."""
        found: dict[str, Tensor] = {}
        for term in self.active:
            if term == "leftover":
                found[term] = (prediction.leftover.sum(1) / batch.n_atoms).mean()
                continue
            reference = batch.labels.get(term)
            if reference is not None:
                value = self._label_term(term, prediction, reference, batch)
                if value is not None:
                    found[term] = value
        return found

    def total(self, terms: dict[str, Tensor], energy_weight: float) -> Tensor:
        """The weighted sum; `energy_weight` rises in the course of the training."""
        return torch.stack(
            [value * (energy_weight if term == "energy" else self.weights[term]) for term, value in terms.items()]
        ).sum()

    def _label_term(self, term: str, prediction: Prediction, reference: Tensor, batch: Batch) -> Tensor | None:
        mask = batch.labels[f"{term}_mask"]  # [n_systems]
        if term == "dipole":
            mask = mask & ~batch.pbc.any(dim=1)
        error = (getattr(prediction, term) - reference) / getattr(self.scales, term)
        if term == "energy":
            error = (error / self._energy_size(batch)).to(batch.positions.dtype)
        if not bool(mask.all()):
            rows = mask if error.size(0) == mask.size(0) and term not in PER_ATOM else mask[batch.batch]
            error = error[rows]
        return self._penalty(error).mean() if error.numel() else None

    def _energy_size(self, batch: Batch) -> Tensor:
        atoms = batch.n_atoms.to(torch.float64)
        return atoms if self.config.energy_size == "atoms" else atoms.sqrt()

    def _penalty(self, error: Tensor) -> Tensor:
        if self.config.kind == "mse":
            return error * error
        delta = self.config.huber_delta
        size = error.abs()
        return torch.where(size <= delta, error * error, delta * (2.0 * size - delta))


PER_ATOM = ("forces", "charges", "spins")
