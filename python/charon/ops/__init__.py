"""The three couplings between atoms of different domains; importing this module loads the native operators.

Every exchange of a model is one of them, so that it is exact on any number of domains. The operators are
`torch.ops.charon.halo_forward`, `.halo_reverse` and `.allsum`; the functions here are their documented face and
work inside `torch.jit.script`.
"""

import torch
from torch import Tensor

from charon.native import BUILD_HINT, library_directory


def _load() -> None:
    library = library_directory() / "libcharon.so"
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        raise ImportError(
            f"{library} does not load into torch {torch.__version__} ({error}): it was built against another "
            f"torch; {BUILD_HINT}"
        ) from error


_load()


def halo_forward(x: Tensor, n_all: int) -> Tensor:
    """Rows of owned atoms, followed by the rows of ghosts, copied from their owners.

    out_a = x_owner(a)

    `x` [n_local, ...] any float type; `n_all` = owned atoms + ghosts. Returns [n_all, ...], fresh and contiguous.
    Without a domain backend on this thread there are no ghosts and n_all must be n_local (RuntimeError).
    """
    return torch.ops.charon.halo_forward(x, n_all)


def halo_reverse(g: Tensor, n_local: int) -> Tensor:
    """Rows of owned atoms, each with the rows of its ghosts in all domains added: the adjoint of `halo_forward`.

    out_i = g_i + sum_{a: owner(a) = i} g_a

    `g` [n_all, ...] any float type. Returns [n_local, ...], fresh and contiguous.
    """
    return torch.ops.charon.halo_reverse(g, n_local)


def allsum(x: Tensor) -> Tensor:
    """Sum of `x`, of the same shape in each domain, over all domains: its own adjoint."""
    return torch.ops.charon.allsum(x)
