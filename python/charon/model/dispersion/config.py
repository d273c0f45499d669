"""The `dispersion:` section of a model's configuration."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from charon.model.dispersion.tables import damping_parameters


class DispersionConfig(BaseModel):
    """Which dispersion a model has, damped for which functional.

    `kind` d3: coordination numbers only (Grimme et al. 2010, 2011); d4: two-body part of D4, which also follows the
    model's charges (Caldeweyher et al. 2019). `trainable` lets s8, a1 and a2 move from the published values. Periodic
    systems are summed over wave vectors: plainly (`ewald`), on a `mesh`, or (`auto`) on a mesh if they have more than
    `mesh_above` atoms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["d3", "d4"] = Field("d4", description="d3, or d4 with the model's charges")
    functional: str = Field("pbe", description="density functional whose damping parameters are taken")
    trainable: bool = Field(False, description="train s8, a1 and a2")
    method: Literal["auto", "ewald", "mesh"] = Field("auto", description="sum over periodic images")
    mesh_above: int = Field(500, ge=0, description="atoms of a system above which `auto` takes the mesh")

    @model_validator(mode="after")
    def _is_known(self) -> "DispersionConfig":
        damping_parameters(self.kind, self.functional)
        return self
