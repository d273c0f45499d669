"""What is compared: presets and variants of Charon, and SpookyNet in an environment of its own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """A model of Charon: overrides of `presets.yaml`."""

    name: str
    about: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Peer:
    """SpookyNet and its recipe; see `spooky_peer.py`."""

    name: str
    about: str
    learning_rate: float = 1e-3
    batch_size: int = 10
    features: int = 128
    modules: int = 6


Model = Preset | Peer


def _preset(name: str, about: str, *more: str) -> Preset:
    return Preset(name, about, (f"model.preset={name.partition('-')[0]}", *more))


MAIN: tuple[Model, ...] = (
    _preset("local", "no charge, no spin, no long range"),
    _preset("nse", "charge and spin equilibration, electrostatics, D4"),
    _preset("qeq", "charges that minimise an electrostatic energy"),
    _preset("hdnnp4g", "4G-HDNNP's use of charges, for comparison"),
    _preset("spooky", "SpookyNet's embeddings of charge and spin on Charon's core, for comparison"),
    _preset("learned", "charge and spin equilibration, propagator along bonds"),
    _preset("full", "nse and the propagator"),
    Peer("SpookyNet", "as published, by xnns"),
)
VARIANTS: tuple[Model, ...] = (
    Preset("default", "what the package does without a preset: charge and spin equilibration"),
    Preset(
        "attention",
        "charge and spin equilibration, attention within 12 A",
        ("model.preset=learned", "model.nonlocal=attention"),
    ),
    _preset("full-attention", "full and attention", "model.nonlocal=[propagator,attention]"),
    _preset("nse-free", "nse, charges as a number per atom", "model.charge_form=free"),
    _preset("nse-transfer", "nse, charges from transfers along edges", "model.charge_form=transfer"),
    *(
        _preset(f"{name}-pairs", f"{name}, taught with far pairs of its frames", "data.far_pairs=0.25")
        for name in ("nse", "learned", "full", "spooky")
    ),
    Peer("SpookyNet-lr5e-4", "learning rate 5e-4", learning_rate=5e-4),
    Peer("SpookyNet-lr2e-3", "learning rate 2e-3", learning_rate=2e-3),
    Peer("SpookyNet-b4", "batches of 4", batch_size=4),
    Peer("SpookyNet-64x3", "3 modules of 64 features, the default of the authors' code", features=64, modules=3),
)
MODELS = {model.name: model for model in (*MAIN, *VARIANTS)}
