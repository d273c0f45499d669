"""How the electrostatics of a model is summed: the `electrostatics:` section of a configuration."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ElectrostaticsConfig(BaseModel):
    """Method and accuracy of the sums over periodic images, and the widths of the charges.

    `method` decides for periodic systems only: `ewald`, a plain sum over wave vectors; `mesh`, B-splines and Fourier
    transforms of a grid; `auto`, the mesh for systems of more than `mesh_above` atoms. Open systems are summed over all
    pairs.

    `widths` is the standard deviation of the Gaussian charge of each element: `covalent`, its covalent radius, or a
    factor times that; 0 makes them point charges, whose self energy is left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["auto", "ewald", "mesh"] = Field("auto", description="sum over periodic images")
    mesh_above: int = Field(3000, ge=0, description="atoms of a system above which `auto` takes the mesh")
    mesh_order: Literal[4, 6, 8] = Field(6, description="order of the B-splines of the mesh")
    mesh_spacing: float | None = Field(
        None, gt=0.05, le=3.0, description="largest grid spacing, A; by default a fraction of the smearing"
    )
    accuracy: float = Field(
        1e-9, ge=1e-13, le=1e-3, description="what Ewald sums cut off, relative to 1/r: sets the smearing by the cutoff"
    )
    mesh_accuracy: float = Field(1e-6, ge=1e-13, le=1e-3, description="the same for the mesh, as exact as its grid")
    widths: Literal["covalent"] | float = Field("covalent", description="Gaussian widths, or a factor of them")
    charged_slab: bool = Field(False, description="allow slabs that are not neutral, whose energy is conventional")
