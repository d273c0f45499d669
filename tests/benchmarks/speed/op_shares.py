"""Where the time of an exported model goes, by kind of operator."""

from pathlib import Path

import torch
from ase import Atoms

from charon.export import load_model
from charon.export.module import run

from .ours import graph_batch
from .timing import best_seconds, torch_threads

KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "matmul", "linear", "einsum", "mv", "addmv"),
    "gather and scatter": ("index", "index_select", "index_add", "index_add_", "index_put_", "_index_put_impl_"),
    "copies": ("copy_", "cat", "stack", "clone", "contiguous", "fill_", "zero_", "zeros", "empty", "empty_strided"),
    "elementwise": (
        *("mul", "mul_", "add", "add_", "sub", "div", "neg", "pow", "sqrt", "rsqrt", "exp", "sin", "cos", "where"),
        *("silu", "silu_backward", "sigmoid", "sigmoid_backward", "tanh", "sum", "reciprocal", "softplus"),
    ),
}
"""Operators of `aten::` by kind; `charon::` is a kind of its own, the rest is `other`."""


def kind_of(operator: str) -> str:
    """Kind of an operator by its qualified name."""
    if "charon::" in operator:  # also the nodes of autograd
        return "charon operators"
    namespace, _, name = operator.partition("::")
    return next((kind for kind, names in KINDS.items() if namespace == "aten" and name in names), "other")


def model_time(path: Path, atoms: Atoms, threads: int) -> float:
    """us per atom of one evaluation of an exported model, neighbor list and halo excluded."""
    module, inputs = load_model(path).module, graph_batch([atoms]).inputs()
    with torch_threads(threads):
        return 1e6 * best_seconds(lambda: run(module, inputs), warm_up=2, seconds=2.0) / len(atoms)


def operator_shares(path: Path, atoms: Atoms, threads: int) -> tuple[dict[str, float], dict[str, float]]:
    """Share of each kind in the time of one evaluation, and that of the ten most expensive operators."""
    module, inputs = load_model(path).module, graph_batch([atoms]).inputs()
    with torch_threads(threads):
        for _ in range(2):
            run(module, inputs)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            run(module, inputs)
    times = {event.key: float(event.self_cpu_time_total) for event in profile.key_averages()}
    total = sum(times.values())
    kinds = dict.fromkeys(("charon operators", *KINDS, "other"), 0.0)
    for operator, time in times.items():
        kinds[kind_of(operator)] += time / total
    top = sorted(times, key=lambda operator: -times[operator])[:10]
    return kinds, {operator: times[operator] / total for operator in top}
