"""Charon: an interatomic potential with total charge, spin and non-local interactions."""

__version__ = "0.1.0"


def __getattr__(name: str):
    if name == "Calculator":
        from charon.calculator import Calculator

        return Calculator
    raise AttributeError(f"module 'charon' has no attribute {name!r}")
