"""What a model is made of: the `model:` section of a configuration."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ModelConfig(BaseModel):
    """Sizes and physics of a potential.

    `electronic: none` withholds total charge and spin (the model is blind to the state); `charge_form` says
    where the unconstrained charges come from: `transfer`, antisymmetric transfers along edges (nothing is left
    over for neutral closed-shell fragments), or `free`, a number per atom.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff: float = Field(5.0, gt=0.5, le=20.0, description="reach of one message, A")
    channels: int = Field(32, ge=2, le=1024, description="channels of the atomic states")
    layers: int = Field(2, ge=1, le=8, description="message layers")
    l_max: Literal[1, 2] = Field(2, description="highest rank of the directional states: 1 vectors, 2 also tensors")
    radial_functions: int = Field(8, ge=2, le=64, description="Bessel functions of the distance")
    knots: int = Field(40, ge=8, le=1024, description="intervals of the splines that carry the radial filters")
    electronic: Literal["equilibration", "none"] = Field("equilibration", description="how charge and spin enter")
    charge_form: Literal["transfer", "free"] = Field("transfer", description="source of the unconstrained charges")
    transfer_channels: int = Field(8, ge=1, le=256, description="channels of the transfers along edges")
    repulsion: bool = Field(True, description="screened nuclear repulsion (ZBL) inside the covalent radii")

    def transfer_width(self) -> int:
        """Numbers per atom that the charge transfers exchange."""
        return 4 * self.transfer_channels if (self.electronic, self.charge_form) == ("equilibration", "transfer") else 0
