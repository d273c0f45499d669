"""The native operators; importing this module loads them.

The couplings between atoms of different domains are `halo_forward`, `halo_reverse` and `allsum`: every exchange of a
model is one of them, so that it is exact on any number of domains. `message` is the sum over an atom's neighbors. The
functions here are the documented face of `torch.ops.charon.*` and work inside `torch.jit.script`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

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


def ranked_counts(counts: Tensor) -> Tensor:
    """Sums of `counts` [m] int64 over the domains before this one, and over all domains: [2, m] int64."""
    return torch.ops.charon.ranked_counts(counts)


def all_rows(x: Tensor) -> Tensor:
    """Rows of all domains, in the order of the domains.

    `x` [n_local, ...] any float type, all but the first dimension alike in each domain (RuntimeError otherwise).
    Returns [n_total, ...]; differentiable any number of times. Each domain then holds everything: for open systems of
    up to some 10^4 atoms.
    """
    return torch.ops.charon.all_rows(x)


_plain_torch = False


@contextmanager
def reference_kernels() -> Iterator[None]:
    """Inside the block `message` runs in plain torch, as on devices without kernels; for tests and comparisons."""
    global _plain_torch
    before, _plain_torch = _plain_torch, True
    try:
        yield
    finally:
        _plain_torch = before


def instruction_set() -> str:
    """The kernels in use: `avx512`, `avx2` or `portable`; the environment variable CHARON_KERNELS may choose less."""
    return torch.ops.charon._instruction_set()


def edge_lists(edge_index: Tensor, n_local: int, n_all: int) -> list[Tensor]:
    """What `message` needs of a list of edges, made once per evaluation.

    `edge_index` [2, n_edges] int64, center and neighbor, sorted by center (RuntimeError otherwise). Returns, int32:
    first edge of each center [n_local + 1], neighbors [n_edges], and the edges sorted by neighbor: first slot of each
    neighbor [n_all + 1], center and edge of each slot [n_edges].
    """
    return torch.ops.charon.edge_lists(edge_index, n_local, n_all)


def message(
    sent: Tensor,
    table: Tensor,
    edge_vector: Tensor,
    edge_index: Tensor,
    lists: list[Tensor],
    n_local: int,
    l_max: int,
    first: bool,
    spacing: float,
) -> Tensor:
    """Filtered neighbor states and directions, summed over the edges of each atom.

    `A0 = sum w0 h0`, `A1 = sum w1 h1 Y1 + w_(l_max+1) v`, `A2 = sum w2 h2 Y2 + w4 t`, with Y1 = sqrt(3) u, Y2 =
    sqrt(15/2) (uu)_0 of the unit vector u from center to neighbor, and the filters w cubic B-splines of the distance.

    Args:
        sent: rows h0 .. h_l_max of every atom, then v (3) and t (5) unless `first`: [n_all, rows, channels].
        table: spline coefficients [segments + 3, filters, channels], of knots from -spacing; the last three zero for
            filters that end with two continuous derivatives at `segments * spacing`.
        edge_vector: [n_edges, 3] A.
        edge_index: [2, n_edges], sorted by center.
        lists: of `edge_lists`.
        n_local: owned atoms, the centers.
        l_max: 0 (scalars only, `first` must be true), 1 or 2.
        first: neighbors have no vectors and tensors yet: l_max + 1 filters instead of 2 l_max + 1.
        spacing: of the knots, A.

    Returns:
        [n_local, (l_max + 1)^2, channels]; differentiable twice by kernels, further by plain torch.
    """
    if not torch.jit.is_scripting():
        if _plain_torch:
            return torch.ops.charon.message_reference(
                sent, table, edge_vector, edge_index, n_local, l_max, first, spacing
            )
    return torch.ops.charon.message(sent, table, edge_vector, edge_index, lists, n_local, l_max, first, spacing)


def update(state: Tensor, message: Tensor, types: Tensor, weights: list[Tensor], l_max: int) -> Tensor:
    """The update of states by products of irreps, evaluated block by block; see `charon.model.update`.

    `state`, `message` [n, (l_max + 1)^2, channels], `types` [n], `weights` in the order of `Gates.weights`. Returns
    the new state; differentiable twice, but gradients of weights only once (RuntimeError beyond).
    """
    return torch.ops.charon.update(state, message, types, weights, l_max)


def layer(
    state: Tensor,
    types: Tensor,
    edge_vector: Tensor,
    lists: list[Tensor],
    weights: list[Tensor],
    l_max: int,
    first: bool,
    spacing: float,
) -> Tensor:
    """What atoms send, its exchange, `message` and `update` as one operator of the CPU, differentiable once.

    `state` [n_local, (l_max + 1)^2, channels], `types` [n_all], the others as of `message`. `weights`, all contiguous:
    source [channels, rows channels] and its bias (`first`: the rows that each element sends, [n_elements, rows
    channels], and the embedding, of which `state` consists), the table, the weights of `update` and
    `torch.ops.charon.flipped_matrices` of them. Returns the new state, whose graph can be used once.
    Raises RuntimeError where shapes disagree, and if a derivative of its gradients is asked for.
    """
    return torch.ops.charon.layer(state, types, edge_vector, lists, weights, l_max, first, spacing)


def has_kernels(x: Tensor) -> bool:
    """Whether fused kernels work on this tensor: on the CPU, outside of `reference_kernels`."""
    if not torch.jit.is_scripting():
        if _plain_torch:
            return False
    return x.device.type == "cpu"
