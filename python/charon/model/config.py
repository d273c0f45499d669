"""What a model is made of: the `model:` section of a configuration."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from charon.model.dispersion import DispersionConfig
from charon.model.electrostatics import ElectrostaticsConfig

SIZES: dict[str, dict[str, int]] = {
    "small": {"channels": 32, "layers": 2, "l_max": 1},
    "medium": {"channels": 64, "layers": 2, "l_max": 2},
    "large": {"channels": 128, "layers": 3, "l_max": 2},
}
"""What `size` stands for; tests/benchmarks/core.md says what each gains and costs."""

PRESETS: dict[str, dict[str, Any]] = {
    "local": {"electronic": "none", "dispersion": {"kind": "d3"}},
    "nse": {"electronic": "equilibration", "electrostatics": {}, "dispersion": {"kind": "d4"}},
    "qeq": {
        "electronic": "equilibration",
        "charge_solver": "flow",
        "field_steps": 1,
        "electrostatics": {},
        "dispersion": {"kind": "d4"},
    },
    "hdnnp4g": {"electronic": "hdnnp4g", "charge_solver": "equilibration", "electrostatics": {}},
    "spooky": {
        "electronic": "spooky",
        "electrostatics": {},
        "dispersion": {"kind": "d4"},
    },
    "learned": {"electronic": "equilibration", "nonlocal": "propagator"},
    "full": {
        "electronic": "equilibration",
        "nonlocal": "propagator",
        "electrostatics": {},
        "dispersion": {"kind": "d4"},
    },
}
"""What `preset` stands for; `hdnnp4g` and `spooky` take charge and spin as those models do, for comparison."""


class ModelConfig(BaseModel):
    """Sizes and physics of a potential.

    `preset` names the physics and `size` values of `channels`, `layers` and `l_max`; what is given beside them holds.
    `core` is the form of messages and updates: `charon`, or `painn` and `egnn` for comparison (both have `l_max` 1).

    `electronic: none` withholds total charge and spin (the model is blind to the state). With `equilibration` they are
    constraints in each layer; `charge_form` says where the unconstrained charges come from: `transfer`, antisymmetric
    transfers along edges (nothing is left over for neutral closed-shell fragments), or `free`, a number per atom.
    `hdnnp4g` takes the total charge in the charge solver only and knows no spin, `spooky` takes both as features of
    the atoms. `nonlocal` is `none`, a mechanism or a list of them: `propagator` along bonds, `attention` through space
    with a finite reach, or, for comparison, the linear attention over all atoms of `spooky`. `charge_solver` finds the
    charges of the last layer: `equilibration` under one common potential, `flow` along bonds only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)

    preset: Literal["local", "nse", "qeq", "learned", "full", "hdnnp4g", "spooky"] | None = Field(
        None, description="names the physics"
    )
    cutoff: float = Field(5.0, gt=0.5, le=20.0, description="reach of one message, A")
    core: Literal["charon", "painn", "egnn"] = Field("charon", description="form of messages and updates")
    size: Literal["small", "medium", "large"] | None = Field(None, description="names channels, layers and l_max")
    channels: int = Field(64, ge=2, le=1024, description="channels of the atomic states")
    layers: int = Field(2, ge=1, le=8, description="message layers")
    l_max: Literal[1, 2] = Field(2, description="highest rank of the directional states: 1 vectors, 2 also tensors")
    radial_functions: int = Field(8, ge=2, le=64, description="Bessel functions of the distance")
    knots: int = Field(40, ge=8, le=1024, description="intervals of the splines that carry the radial filters")
    electronic: Literal["equilibration", "hdnnp4g", "spooky", "none"] = Field(
        "equilibration", description="how charge and spin enter"
    )
    charge_form: Literal["transfer", "free"] = Field("transfer", description="source of the unconstrained charges")
    transfer_channels: int = Field(8, ge=1, le=256, description="channels of the transfers along edges")
    state_channels: int = Field(0, ge=0, description="further shares of charge and spin that an atom is told")
    electrostatics: ElectrostaticsConfig | None = Field(None, description="of Gaussian charges; null: none")
    charge_solver: Literal["none", "equilibration", "flow"] = Field("none", description="of the last layer's charges")
    solver_iterations: int = Field(20, ge=1, le=200, description="conjugate gradient steps of the charge solver")
    field_steps: int = Field(0, ge=0, description="layers after which potential and field re-enter, but not the last")
    nonlocal_: tuple[Literal["propagator", "attention", "spooky"], ...] = Field(
        (), alias="nonlocal", description="what is learned beyond the reach of messages, between layers: one or several"
    )
    propagator_channels: int = Field(8, ge=1, le=256, description="channels of the propagator")
    propagator_ranks: tuple[Literal[0, 1, 2], ...] = Field(
        (0, 1, 2), min_length=1, description="ranks of the states that it carries: 2 for orientation"
    )
    propagator_steps: int = Field(20, ge=1, le=64, description="hops that the propagator follows")
    attention_channels: int = Field(4, ge=1, le=256, description="channels of each head of the attention")
    attention_reaches: tuple[Annotated[float, Field(ge=2.0, le=24.0)], ...] = Field(
        (8.0, 12.0), min_length=1, description="where the kernel of each head of the attention ends, A"
    )
    attention_mesh_above: int = Field(500, ge=0, description="atoms of a periodic system above which it takes a mesh")
    dispersion: DispersionConfig | None = Field(None, description="D3(BJ) or two-body D4; null: none")
    repulsion: Literal["none", "zbl", "trainable"] = Field(
        "trainable", description="screened nuclear repulsion at short range: ZBL's, or one that starts from it"
    )
    repulsion_reach: float = Field(1.0, gt=0.0, le=1.5, description="of it, over the sum of the covalent radii")

    @field_validator("nonlocal_", mode="before")
    @classmethod
    def _read_one(cls, value: Any) -> Any:
        """One mechanism by its name, or none."""
        return ({"none": ()}.get(value, (value,))) if isinstance(value, str) else value

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
        named = {**SIZES.get(str(values.get("size")), {}), **PRESETS.get(str(values.get("preset")), {})}
        if "size" not in values and values.get("core") in ("painn", "egnn"):
            named["l_max"] = 1
        return {**named, **values}

    @model_validator(mode="after")
    def _has_no_tensors(self) -> "ModelConfig":
        if self.core != "charon" and self.l_max != 1:
            raise ValueError(f"core '{self.core}' has vectors only: expected l_max 1, found {self.l_max}")
        return self

    @model_validator(mode="after")
    def _physics_fits(self) -> "ModelConfig":
        needs = {
            "charge_solver": self.charge_solver != "none",
            "field_steps": self.field_steps > 0,
            "electronic": self.electronic == "hdnnp4g",
        }
        for key, needed in needs.items():
            if needed and self.electrostatics is None:
                raise ValueError(f"{key} {getattr(self, key)!r} needs electrostatics, for example electrostatics: {{}}")
        if self.electronic == "none" and (self.electrostatics is not None or self.charge_solver != "none"):
            raise ValueError("electronic 'none' has no charges: expected electrostatics null and charge_solver 'none'")
        if self.electronic == "none" and self.dispersion is not None and self.dispersion.kind == "d4":
            raise ValueError("electronic 'none' has no charges, which D4 needs: expected dispersion kind 'd3'")
        if self.electronic == "hdnnp4g" and self.charge_solver == "none":
            raise ValueError("electronic 'hdnnp4g' gets its charges from a solver: set charge_solver 'equilibration'")
        if self.field_steps > 0 and (self.electronic != "equilibration" or self.field_steps >= self.layers):
            raise ValueError(
                f"field steps stand between layers that have charges: expected electronic 'equilibration' and at most "
                f"layers - 1 = {self.layers - 1}, found electronic {self.electronic!r} and {self.field_steps}"
            )
        return self

    def transfer_width(self) -> int:
        """Numbers per atom that the charge transfers exchange."""
        return 2 * self.transfer_channels if (self.electronic, self.charge_form) == ("equilibration", "transfer") else 0
