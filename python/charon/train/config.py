"""The schema of a training configuration; the descriptions of its fields are its documentation."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from charon.model import ModelConfig


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_paths(value: Any) -> Any:
    return [value] if isinstance(value, str | Path) else value


Paths = Annotated[tuple[Path, ...], BeforeValidator(_as_paths)]
Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class DataConfig(Section):
    """Files of labelled structures; paths are relative to the configuration file."""

    train: Paths = Field(min_length=1, description="one file or several")
    validation: Annotated[float, Field(gt=0.0, lt=1.0)] | Paths = Field(
        (), description="files, or the fraction of each system of the training set that is held out"
    )
    test: Paths = Field((), description="files, evaluated once at the end")
    units: dict[str, str] = Field({}, description="units of the files; else eV, A, e (input.data: Hartree, Bohr)")
    keys: dict[str, str] = Field({}, description="label: key in the file, where it is not a usual one")
    charge: int | None = Field(None, description="total charge of sets that do not say it, e")
    spin: Annotated[int, Field(ge=1)] | Literal["lowest"] | None = Field(
        None, description="multiplicity 2S+1 of sets that do not say it; lowest: that fits the electrons of each frame"
    )
    far_pairs: Fraction = Field(
        0.0,
        description="far pairs of molecules added to train and validation, over their frames; one has charge or spin",
    )
    on_error: Literal["raise", "skip"] = Field("raise", description="an unreadable frame stops, or is left out")


class LossConfig(Section):
    """Weights of the loss terms, each scaled to be a number of order one; see `charon.train.loss`."""

    kind: Literal["mse", "huber"] = Field("mse", description="square, or linear beyond huber_delta")
    huber_delta: float = Field(0.1, gt=0.0, description="where huber turns linear, in units of the label's scale")
    energy: Weight = Field(5.0, description="weight at the end of training")
    energy_start: Weight = Field(0.3, description="weight up to energy_ramp; then it rises to `energy`")
    energy_ramp: Fraction = Field(0.5, description="fraction of the training at which the energy weight starts to rise")
    energy_size: Literal["sqrt_atoms", "atoms"] = Field(
        "sqrt_atoms", description="what an energy error is divided by: sqrt(N) weighs every atom the same"
    )
    forces: Weight = 1.0
    stress: Weight = 0.3
    charges: Weight = Field(1.0, description="with 0.1 their errors are up to four times as large")
    spins: Weight = 0.1
    dipole: Weight = Field(0.1, description="of molecules")
    leftover: Weight = Field(0.001, description="penalty on charge and spin that no atom claimed")


class TrainingConfig(Section):
    """How the weights are found."""

    seed: int = Field(0, ge=0, description="of the fresh weights and of the order of the batches")
    epochs: int = Field(200, ge=1)
    steps: int | None = Field(None, ge=1, description="total number of steps, in place of epochs")
    max_minutes: float | None = Field(None, gt=0.0, description="the schedule is shortened to end within this time")
    batch_size: int = Field(5, ge=1, description="structures per step")
    optimizer: Literal["adamw", "muon"] = Field(
        "muon", description="muon: orthogonalized momentum for matrices, AdamW for the rest"
    )
    learning_rate: float = Field(5e-3, gt=0.0)
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    warmup: Fraction = Field(0.02, description="fraction of the training in which the learning rate rises")
    final_factor: Fraction = Field(0.01, description="last learning rate of cosine and plateau over the first")
    plateau_patience: int = Field(10, ge=1, description="validations without gain before the rate is halved")
    weight_decay: float = Field(0.0, ge=0.0, description="decoupled, of matrices")
    ema_decay: float = Field(0.998, ge=0.0, lt=1.0, description="of the averaged weights, which are the result")
    clip_norm: float | None = Field(None, gt=0.0, description="largest norm of a gradient")
    clip_factor: float | None = Field(2.0, gt=1.0, description="largest norm over its running mean")
    validate_every: int = Field(1, ge=1, description="epochs")
    checkpoint_every: int = Field(1, ge=1, description="epochs")
    dtype: Literal["float32", "float64"] = "float32"
    device: Literal["cpu", "cuda"] = Field("cpu", description="cuda: on a GPU, in plain torch")
    threads: int = Field(1, ge=1, description="of torch; more help large batches on free cores only")


class Config(Section):
    """A whole configuration: `data`, `model`, `loss`, `training`."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()

    @model_validator(mode="after")
    def _plateau_needs_validation(self) -> "Config":
        if self.training.schedule == "plateau" and not self.data.validation:
            raise ValueError("training.schedule 'plateau' needs data.validation")
        return self
