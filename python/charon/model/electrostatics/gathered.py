"""Rows of all atoms of each open system on every domain, for sums over all pairs."""

import torch
from torch import Tensor

from charon.ops import allsum, ranked_counts


def gather_open(positions: Tensor, batch: Tensor, n_systems: int) -> list[Tensor]:
    """The layout of `gathered_rows`: `[slot, present, padded]`.

    Each system has `n_max` slots, as many as the largest has atoms; its atoms fill the first of them, domain by domain.
    With `positions` [n_local, 3] and the system of each atom, `batch` [n_local]:

    - `slot` [n_local]: where each atom of this domain stands, `system * n_max + place`;
    - `present` [n_systems, n_max] bool: slots that hold an atom;
    - `padded` [n_systems, n_max, 3]: positions of all atoms, zero elsewhere.
    """
    own = torch.bincount(batch, minlength=n_systems)  # [n_systems]
    counts = ranked_counts(own)  # [2, n_systems]
    total = counts[1]
    n_max = max(int(total.max()), 1) if n_systems > 0 else 1
    first = torch.cumsum(own, 0) - own  # [n_systems], where each system's atoms would start if sorted
    order = torch.argsort(batch, stable=True)
    place = torch.empty_like(batch)
    place[order] = torch.arange(batch.size(0), device=batch.device)
    place = place - first.index_select(0, batch) + counts[0].index_select(0, batch)  # [n_local]
    slot = batch * n_max + place
    present = torch.arange(n_max, device=batch.device) < total.unsqueeze(1)  # [n_systems, n_max]
    return [slot, present, gathered_rows(positions, [slot, present])]


def gathered_rows(x: Tensor, layout: list[Tensor]) -> Tensor:
    """Rows `x` [n_local, ...] of the atoms of all domains in the slots of `layout`: [n_systems, n_max, ...].

    Slots without an atom are zero. Differentiable any number of times.
    """
    slot, present = layout[0], layout[1]
    rows = torch.zeros([present.numel()] + list(x.shape[1:]), dtype=x.dtype, device=x.device)
    rows = allsum(rows.index_add(0, slot, x))
    return rows.reshape(list(present.shape) + list(x.shape[1:]))
