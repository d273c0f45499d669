"""Electrostatics of Gaussian charges: open, periodic in two and in three directions."""

from charon.model.electrostatics.config import ElectrostaticsConfig
from charon.model.electrostatics.coulomb import Coulomb
from charon.model.electrostatics.gathered import gather_open, gathered_rows
from charon.model.electrostatics.mesh import Mesh
from charon.model.electrostatics.reciprocal import Reciprocal

__all__ = ["Coulomb", "ElectrostaticsConfig", "Mesh", "Reciprocal", "gather_open", "gathered_rows"]
