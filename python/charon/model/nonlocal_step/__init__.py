"""What atoms learn of each other beyond the reach of messages, between layers."""

from charon.model.nonlocal_step.step import NonLocalStep

__all__ = ["NonLocalStep"]
