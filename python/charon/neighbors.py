"""Full neighbor lists of molecules, slabs and crystals, for cells of any size and shape."""

from __future__ import annotations

import numpy as np
from matscipy.neighbours import neighbour_list as matscipy_neighbour_list

from charon.errors import DataError


def neighbor_list(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""All pairs of atoms, periodic images included, that are closer than the cutoff.

    .. math:: r_{ij} = x_j - x_i + S_{ij}, \qquad |r_{ij}| < r_c

    The list is full: (i, j, S) implies (j, i, -S). It is sorted by center, then neighbor, then shift. Atoms
    may lie outside of the cell. Cell vectors of open directions are not used, and may be zero.

    Args:
        positions: Cartesian positions x, shape [n_atoms, 3], in A.
        cell: cell vectors in rows, shape [3, 3], in A.
        pbc: which directions are periodic, shape [3].
        cutoff: cutoff radius r_c in A.

    Returns:
        edge_index: [2, n_edges] int64; row 0 the centers i, row 1 the neighbors j.
        edge_shift: [n_edges, 3] float64, Cartesian shift S of the neighbor in A.

    Raises:
        DataError: positions or cell that are not finite, periodic cell vectors that are linearly dependent.
    """
    positions = np.ascontiguousarray(positions, dtype=np.float64).reshape(-1, 3)  # [n_atoms, 3]
    cell = np.asarray(cell, dtype=np.float64).reshape(3, 3)
    pbc = np.asarray(pbc, dtype=bool).reshape(3)
    if not cutoff > 0:
        raise DataError(f"The cutoff of a neighbor list must be positive, found {cutoff} A.")
    check_finite_geometry(positions, cell, pbc)
    if len(positions) == 0:
        return np.zeros((2, 0), dtype=np.int64), np.zeros((0, 3))
    box = periodic_box(cell, pbc)
    wrapped, image = wrap(positions, box, pbc, cutoff)
    box, origin = enclose(wrapped, box, pbc, cutoff)
    center, neighbor, shift = matscipy_neighbour_list(
        "ijS", positions=wrapped, cell=box, pbc=pbc, cutoff=float(cutoff), cell_origin=origin
    )
    shift = shift + image[center] - image[neighbor]  # [n_edges, 3], of the atoms where they were
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], neighbor, center))
    edge_index = np.stack([center, neighbor]).astype(np.int64)[:, order]  # [2, n_edges]
    return edge_index, shift[order] @ box


def edge_vectors(positions: np.ndarray, edge_index: np.ndarray, edge_shift: np.ndarray) -> np.ndarray:
    """Vectors from center to neighbor, x_neighbor - x_center + shift: [n_edges, 3] in A."""
    center, neighbor = edge_index
    return positions[neighbor] - positions[center] + edge_shift


def check_finite_geometry(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, where: str = "") -> None:
    """Refuse positions or cell vectors that are NaN or infinite, and periodic vectors that span no volume.

    Raises:
        DataError: saying which atom, or which cell vectors, after `where` (file and frame).
    """
    where = f"{where}: " if where else ""
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise DataError(
            f"{where}positions must be finite numbers, found {positions[bad[0]]} at atom {bad[0]} "
            f"({len(bad)} of {len(positions)} atoms). Correct or remove this frame."
        )
    if not np.isfinite(cell).all():
        raise DataError(f"{where}cell vectors must be finite numbers, found {cell.tolist()}.")
    periodic = cell[pbc]  # [n_periodic, 3]
    lengths = np.linalg.norm(periodic, axis=1)
    volume = np.sqrt(max(np.linalg.det(periodic @ periodic.T), 0.0))  # length, area or volume
    if not lengths.all() or volume < 1e-6 * lengths.prod():
        raise DataError(
            f"{where}periodic directions need cell vectors that are not zero and not linearly dependent; "
            f"found pbc {pbc.tolist()} with cell {cell.tolist()}. Set pbc to False where the system is open."
        )


def periodic_box(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Cell with each open direction replaced by a unit vector normal to the periodic ones: [3, 3]."""
    box = cell.copy()
    if not pbc.all():
        _, _, basis = np.linalg.svd(cell[pbc]) if pbc.any() else (None, None, np.eye(3))
        box[~pbc] = basis[pbc.sum() :]
    return box


def wrap(positions: np.ndarray, box: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Move atoms into the box where it is periodic, and together where it is open.

    Two atoms that a gap wider than two cutoffs separates in an open direction are no neighbors, nor after the
    gap is narrowed to two cutoffs; without this a few far atoms would need a search grid as wide as their
    distance.

    Returns:
        Positions [n_atoms, 3] and the images subtracted from them, [n_atoms, 3] integers.
    """
    fractional = positions @ np.linalg.inv(box)  # [n_atoms, 3]
    image = np.where(pbc, np.floor(fractional), 0.0).astype(np.int64)
    fractional = fractional - image
    for direction in np.flatnonzero(~pbc):
        order = np.argsort(fractional[:, direction], kind="stable")
        gaps = np.diff(fractional[order, direction])
        if (gaps > 2 * cutoff).any():
            closed = np.concatenate([[0.0], np.cumsum(np.minimum(gaps, 2 * cutoff))])
            fractional[order, direction] = closed
    return fractional @ box, image


def enclose(positions: np.ndarray, box: np.ndarray, pbc: np.ndarray, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """Stretch the open directions of the box so that all atoms lie inside: box [3, 3] and its origin [3]."""
    fractional = positions @ np.linalg.inv(box)  # [n_atoms, 3]; in A where open
    low = np.where(pbc, 0.0, fractional.min(axis=0) - cutoff)
    width = np.where(pbc, 1.0, np.ptp(fractional, axis=0) + 2 * cutoff)
    return box * width[:, None], low @ box
