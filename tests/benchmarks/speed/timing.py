"""Best times of repeated calls, with a given number of threads."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Runs the body with `count` threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def best_seconds(function: Callable[[], object], warm_up: int = 3, seconds: float = 4.0) -> float:
    """Shortest time of one call, s: at least five calls, and as many as fit into `seconds`."""
    for _ in range(warm_up):
        function()
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)
