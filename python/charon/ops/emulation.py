"""Domains of one process, to test exact parallelism without MPI.

`IndexMapBackend`: one domain whose ghosts are copies of its own atoms, such as periodic images.
`run_domains`: N threads are N domains that meet in each exchange.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

import charon.ops  # noqa: F401  (loads the library that has the classes used here)

Result = TypeVar("Result")
COUNTERS = ("halo_forward", "halo_reverse", "allsum", "widest_row")


class Domain:
    """One domain of a group; as a context manager it serves the exchanges of the thread that enters it."""

    def __init__(self, group: torch.ScriptObject, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._native = torch.classes.charon.Domain(group, rank)

    def set_ghosts(self, domains: Tensor | Sequence[int], indices: Tensor | Sequence[int]) -> None:
        """Ghost a is a copy of atom `indices[a]` of domain `domains[a]`; both [n_ghosts]."""
        self._native.set_ghosts(torch.as_tensor(domains).tolist(), torch.as_tensor(indices).tolist())

    def __enter__(self) -> "Domain":
        self._native.enter()
        return self

    def __exit__(self, *exception: object) -> None:
        self._native.leave()


class IndexMapBackend(Domain):
    """One domain whose ghost a is a copy of its own atom `owner[a]`, `owner` [n_ghosts]; a context manager."""

    def __init__(self, owner: Tensor | Sequence[int]) -> None:
        super().__init__(torch.classes.charon.DomainGroup(1, 0.0), 0, 1)
        indices = torch.as_tensor(owner, dtype=torch.int64)
        self.set_ghosts(torch.zeros_like(indices), indices)


class _Runner(Generic[Result]):
    """Runs one function on each domain and keeps results and errors."""

    def __init__(self, size: int, function: Callable[[Domain], Result], timeout: float) -> None:
        self.group = torch.classes.charon.DomainGroup(size, timeout)
        self.size, self.function = size, function
        self.results: dict[int, Result] = {}
        self.errors: list[tuple[int, BaseException]] = []  # in order of time: the first is the cause

    def run(self, rank: int) -> None:
        try:
            with Domain(self.group, rank, self.size) as domain:
                self.results[rank] = self.function(domain)
        except BaseException as error:  # noqa: B036  (whatever ends a thread is raised again by run_domains)
            self.errors.append((rank, error))
            self.group.abort(f"domain {rank} failed: {error}")
        finally:
            self.group.finish(rank)


def run_domains(size: int, function: Callable[[Domain], Result], timeout: float = 30.0) -> list[Result]:
    """Results of `function(domain)` of `size` domains, one thread each, in the order of their ranks.

    The function calls `domain.set_ghosts` and then evaluates; its exchanges and sums meet those of the others. An
    error of one domain ends all and is raised here; so do domains whose exchanges differ in kind or width, and a
    domain that waits longer than `timeout` seconds (RuntimeError).
    """
    runner = _Runner(size, function, timeout)
    threads = [threading.Thread(target=runner.run, args=(rank,), name=f"domain-{rank}") for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if runner.errors:
        rank, error = runner.errors[0]
        error.add_note(f"in domain {rank} of {size}")
        raise error
    return [runner.results[rank] for rank in range(size)]


def counters() -> dict[str, int]:
    """Exchanges of this thread since the last reset, and the widest row exchanged."""
    return dict(zip(COUNTERS, torch.ops.charon._counters(), strict=True))


def reset_counters() -> None:
    """Set this thread's counters to zero."""
    torch.ops.charon._reset_counters()
