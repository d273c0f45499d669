"""Smooth ends of sums: of wave vectors, of pairs and of the share of a grid."""

from torch import Tensor


def rising(x: Tensor) -> Tensor:
    """0 below 0, 1 above 1, with four continuous derivatives."""
    x = x.clamp(0.0, 1.0)
    return x**5 * (126.0 - x * (420.0 - x * (540.0 - x * (315.0 - x * 70.0))))


def window(squared: Tensor, end: float) -> Tensor:
    """1 up to 0.9 `end`, 0 from `end`, with four continuous derivatives; `squared` is the square of the variable."""
    low = (0.9 * end) ** 2
    return 1.0 - rising((squared - low) / (end * end - low))


def window_slope(squared: Tensor, end: float) -> Tensor:
    """Derivative of `window` with respect to the variable, divided by the variable."""
    low = (0.9 * end) ** 2
    x = ((squared - low) / (end * end - low)).clamp(0.0, 1.0)
    return -1260.0 / (end * end - low) * (x * (1.0 - x)) ** 4
