"""Constant potential: the total charge at which the electrons have a given chemical potential.

    -dE/dQ = mu,      Omega = E + mu Q

Forces and stress at that charge are the derivatives of the grand potential Omega at constant mu. The charge is found
by the secant method on the model's own derivative: it is exact for every model, whatever its charges are made from.
"""

from dataclasses import dataclass, field, replace

import torch

from charon.batch import Batch
from charon.errors import StateError
from charon.export import LoadedModel
from charon.model import Prediction

LARGEST_STEP = 0.5
"""e; between charges that are tried."""
TRIALS = 40
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}
"""eV, of the chemical potential."""


@dataclass
class ChargeSearch:
    """Finds the charge at which dE/dQ has the target value; keeps charge and hardness for the next step of a run.

    Args:
        target: of dE/dQ, eV/e.
        charge: to begin with, e.
        hardness: guess of d2E/dQ2, eV/e^2.
    """

    target: float
    charge: float = 0.0
    hardness: float = 5.0
    _last: tuple[float, float] | None = field(default=None, repr=False)

    def begin(self) -> None:
        """Before the first trial of a new geometry: the slope measured there is not comparable with older ones."""
        self._last = None

    def improve(self, slope: float) -> None:
        """Moves the charge, knowing dE/dQ = `slope` at the present one."""
        if self._last is not None and self.charge != self._last[0]:
            hardness = (slope - self._last[1]) / (self.charge - self._last[0])
            self.hardness = hardness if hardness > 0.0 else self.hardness
        self._last = (self.charge, slope)
        step = (self.target - slope) / self.hardness
        self.charge += max(-LARGEST_STEP, min(LARGEST_STEP, step))


def at_potential(model: LoadedModel, batch: Batch, search: ChargeSearch) -> Prediction:
    """Prediction for a batch of one system at the charge that `search` finds; its energy is E, not Omega.

    Raises StateError if no such charge is found: dE/dQ may not rise with Q, or not reach the potential; and for a model
    that knows no charge, or whose file gives no dE/dQ.
    """
    if model.metadata["electronic"] == "none":
        raise StateError("this model knows no charge, so it has no chemical potential: leave out mu.")
    if "state_gradient" not in model.metadata["outputs"]:
        raise StateError("mu needs dE/dQ, which a file of op schema 1 does not give: export the model again.")
    search.begin()
    for _ in range(TRIALS):
        charge = torch.full_like(batch.total_charge, search.charge)
        prediction = model.evaluate(replace(batch, total_charge=charge))
        slope = float(prediction.state_gradient[0, 0])
        if abs(slope - search.target) <= TOLERANCE[model.dtype]:
            return prediction
        search.improve(slope)
    raise StateError(
        f"no total charge with mu = {-search.target:g} eV was found in {TRIALS} trials; at {search.charge:+.3f} e it "
        f"is {-slope:.4f} eV. Choose mu within what the model's charges can reach (its training saw charges "
        f"{model.metadata['charge_range'][0]} to {model.metadata['charge_range'][1]})."
    )
