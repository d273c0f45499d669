"""What a model is made of: the `model:` section of a configuration."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

SIZES: dict[str, dict[str, int]] = {
    "small": {"channels": 32, "layers": 2, "l_max": 1},
    "medium": {"channels": 64, "layers": 2, "l_max": 2},
    "large": {"channels": 128, "layers": 3, "l_max": 2},
}
"""What `size` stands for; tests/benchmarks/core.md says what each gains and costs."""


class ModelConfig(BaseModel):
    """Sizes and physics of a potential.

    `size` names values of `channels`, `layers` and `l_max`; those that are given beside it hold. `core` is the form of
    messages and updates: `charon`, or `painn` and `egnn` for comparison (both have `l_max` 1).

    `electronic: none` withholds total charge and spin (the model is blind to the state); `charge_form` says
    where the unconstrained charges come from: `transfer`, antisymmetric transfers along edges (nothing is left
    over for neutral closed-shell fragments), or `free`, a number per atom.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff: float = Field(5.0, gt=0.5, le=20.0, description="reach of one message, A")
    core: Literal["charon", "painn", "egnn"] = Field("charon", description="form of messages and updates")
    size: Literal["small", "medium", "large"] | None = Field(None, description="names channels, layers and l_max")
    channels: int = Field(64, ge=2, le=1024, description="channels of the atomic states")
    layers: int = Field(2, ge=1, le=8, description="message layers")
    l_max: Literal[1, 2] = Field(2, description="highest rank of the directional states: 1 vectors, 2 also tensors")
    radial_functions: int = Field(8, ge=2, le=64, description="Bessel functions of the distance")
    knots: int = Field(40, ge=8, le=1024, description="intervals of the splines that carry the radial filters")
    electronic: Literal["equilibration", "none"] = Field("equilibration", description="how charge and spin enter")
    charge_form: Literal["transfer", "free"] = Field("transfer", description="source of the unconstrained charges")
    transfer_channels: int = Field(8, ge=1, le=256, description="channels of the transfers along edges")
    repulsion: Literal["none", "zbl", "trainable"] = Field(
        "zbl", description="screened nuclear repulsion inside the covalent radii: ZBL's, or one that starts from it"
    )

    @field_validator("repulsion", mode="before")
    @classmethod
    def _read_switch(cls, value: Any) -> Any:
        """Configurations stored earlier say true or false."""
        return {True: "zbl", False: "none"}[value] if isinstance(value, bool) else value

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        filled = {**SIZES.get(str(values.get("size")), {}), **values}
        return {"l_max": 1, **filled} if "size" not in values and values.get("core") in ("painn", "egnn") else filled

    @model_validator(mode="after")
    def _has_no_tensors(self) -> "ModelConfig":
        if self.core != "charon" and self.l_max != 1:
            raise ValueError(f"core '{self.core}' has vectors only: expected l_max 1, found {self.l_max}")
        return self

    def transfer_width(self) -> int:
        """Numbers per atom that the charge transfers exchange."""
        return 4 * self.transfer_channels if (self.electronic, self.charge_form) == ("equilibration", "transfer") else 0
