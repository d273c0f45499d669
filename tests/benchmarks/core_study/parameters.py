"""Parameters of several models of one form side by side: one flat matrix [models, numbers], cut into named views."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Entry:
    """A named parameter; `std` of its random start (0: all `value`), `matrix`: orthogonalised by the optimizer."""

    shape: tuple[int, ...]
    std: float
    value: float
    matrix: bool

    @property
    def size(self) -> int:
        """Numbers in it."""
        return int(torch.Size(self.shape).numel())


@dataclass
class Layout:
    """Names, shapes and starts of a model's parameters."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def add(self, name: str, *shape: int, std: float = 0.0, value: float = 0.0, matrix: bool = False) -> None:
        """Registers a parameter."""
        self.entries[name] = Entry(shape, std, value, matrix)

    def linear(self, name: str, inputs: int, outputs: int, bias: bool = True, gain: float = 3.0**-0.5) -> None:
        """A matrix [inputs, outputs] with standard deviation gain / sqrt(inputs), and a bias `name_b`."""
        self.add(name, inputs, outputs, std=gain / inputs**0.5, matrix=outputs > 1)
        if bias:
            self.add(name + "_b", 1, outputs)

    @property
    def size(self) -> int:
        """Numbers in one model."""
        return sum(e.size for e in self.entries.values())

    def start(self, seeds: list[int]) -> Tensor:
        """Random start [models, numbers]."""
        rows = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            parts = [e.value + e.std * torch.randn(e.size, generator=generator) for e in self.entries.values()]
            rows.append(torch.cat(parts))
        return torch.stack(rows)

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """`flat` [models, numbers] -> named [models, *shape]."""
        pieces = flat.split([e.size for e in self.entries.values()], dim=1)
        return {n: x.reshape(-1, *e.shape) for (n, e), x in zip(self.entries.items(), pieces, strict=True)}

    def matrices(self) -> dict[tuple[int, int], Tensor]:
        """Shape (rows <= columns) -> places [matrices, rows * columns] in the flat vector, tall ones transposed."""
        found: dict[tuple[int, int], list[Tensor]] = {}
        offset = 0
        for e in self.entries.values():
            if e.matrix:
                place = torch.arange(offset, offset + e.size).reshape(e.shape)
                place = place.t() if e.shape[0] > e.shape[1] else place
                found.setdefault((place.shape[0], place.shape[1]), []).append(place.reshape(-1))
            offset += e.size
        return {shape: torch.stack(places) for shape, places in found.items()}


def apply_linear(p: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """[models, n, ..., inputs] -> [models, n, ..., outputs]."""
    models, inputs = x.shape[0], x.shape[-1]
    flat = x.reshape(models, -1, inputs)
    bias = p.get(name + "_b")
    y = torch.bmm(flat, p[name]) if bias is None else torch.baddbmm(bias, flat, p[name])
    return y.reshape(*x.shape[:-1], y.shape[-1])
