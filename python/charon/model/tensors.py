"""Vectors and symmetric traceless tensors in Cartesian form.

A tensor of rank 2 is kept as its 5 components in an orthonormal basis of the symmetric traceless matrices, the
channels last: vectors `[n, 3, channels]`, tensors `[n, 5, channels]`.
"""

import math

import torch
from torch import Tensor

_A, _B = math.sqrt(0.5), math.sqrt(1.0 / 6.0)
_BASIS = [
    [[0.0, _A, 0.0], [_A, 0.0, 0.0], [0.0, 0.0, 0.0]],
    [[0.0, 0.0, 0.0], [0.0, 0.0, _A], [0.0, _A, 0.0]],
    [[0.0, 0.0, _A], [0.0, 0.0, 0.0], [_A, 0.0, 0.0]],
    [[_A, 0.0, 0.0], [0.0, -_A, 0.0], [0.0, 0.0, 0.0]],
    [[-_B, 0.0, 0.0], [0.0, -_B, 0.0], [0.0, 0.0, 2.0 * _B]],
]


def tensor_basis() -> Tensor:
    """Orthonormal basis of the symmetric traceless matrices, `[5, 3, 3]`, float64."""
    return torch.tensor(_BASIS, dtype=torch.float64)


def to_matrix(tensor: Tensor, basis: Tensor) -> Tensor:
    """Components `[n, 5, channels]` -> matrices `[n, 3, 3, channels]`."""
    n, channels = tensor.size(0), tensor.size(2)
    return torch.matmul(basis.flatten(1).t(), tensor).reshape(n, 3, 3, channels)


def traceless_part(matrix: Tensor, basis: Tensor) -> Tensor:
    """The symmetric traceless part of matrices `[n, 3, 3, channels]` as components `[n, 5, channels]`."""
    return torch.matmul(basis.flatten(1), matrix.flatten(1, 2))
