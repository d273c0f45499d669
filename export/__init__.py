"""From a trained potential to one file for LAMMPS and ASE, and back."""

from charon.export.load import LoadedModel, load_model
from charon.export.write import export_model, export_run

__all__ = ["LoadedModel", "export_model", "export_run", "load_model"]
