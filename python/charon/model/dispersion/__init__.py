"""Dispersion: D3(BJ), and two-body D4 with the model's charges."""

from charon.model.dispersion.config import DispersionConfig
from charon.model.dispersion.dispersion import Dispersion

__all__ = ["Dispersion", "DispersionConfig"]
