"""The model: one file per physical idea; `potential.py` adds the energy terms up."""

from charon.model.config import ModelConfig
from charon.model.evaluate import Prediction, evaluate
from charon.model.potential import Potential, build_potential
from charon.model.reference import Statistics, fit_reference_energies, statistics

__all__ = [
    "ModelConfig",
    "Potential",
    "Prediction",
    "Statistics",
    "build_potential",
    "evaluate",
    "fit_reference_energies",
    "statistics",
]
