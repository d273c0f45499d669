"""The model on a GPU against the CPU: agreement, time per atom, time of a training step; prints JSON.

    python tests/benchmarks/gpu.py

On a GPU the operators run in plain torch (`message_reference`), optionally compiled by torch.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule

from charon import ops
from charon.batch import Batch, collate, make_graph
from charon.model import ModelConfig, Potential, Statistics, build_potential, evaluate
from charon.structure import Structure

BOX, CUTOFF = 12.42, 5.0  # A: 64 molecules of water at 1 g/cm3


def water(cells: int) -> Structure:
    """A box of water of random orientation on a lattice, replicated."""
    random = np.random.default_rng(0)
    box = Atoms(cell=[BOX] * 3, pbc=True)
    for site in np.ndindex(4, 4, 4):
        one = molecule("H2O")
        one.euler_rotate(*random.uniform(0, 360, 3), center="COP")
        one.positions += (np.array(site) + 0.5) * BOX / 4 - one.positions.mean(0)
        box += one
    box = box.repeat(cells)
    box.info.update(charge=0, spin=1)
    return Structure.from_atoms(box, source="water")


def model(dtype: torch.dtype, **changes: Any) -> Potential:
    """64 channels, 3 layers, random weights."""
    torch.manual_seed(0)
    config = ModelConfig(cutoff=CUTOFF, channels=64, layers=3, **changes)
    return build_potential(config, [1, 8], Statistics((-13.0, -400.0), 54.0)).to(dtype)


def seconds(action: Callable[[], Any], repeats: int = 5) -> float:
    """The fastest of several runs, after two for warming up."""
    best = float("inf")
    for k in range(repeats + 2):
        start = time.perf_counter()
        action()
        torch.cuda.synchronize()
        if k > 1:
            best = min(best, time.perf_counter() - start)
    return best


def agreement(dtype: torch.dtype, structure: Structure) -> dict[str, float]:
    """Largest relative difference of energies and forces between the devices."""
    batch = collate([make_graph(structure, [1, 8], CUTOFF)], dtype)
    potential = model(dtype)
    here = evaluate(potential, batch)
    there = evaluate(potential.to("cuda"), batch.to("cuda")).to("cpu")
    scale = here.forces.abs().max()
    return {
        "forces": float((here.forces - there.forces).abs().max() / scale),
        "energies": float((here.energies - there.energies).abs().max()),
        "charges": float((here.charges - there.charges).abs().max()),
    }


def evaluation_time(batch: Batch, **changes: Any) -> float:
    """us per atom of energy and forces on the GPU, float32."""
    potential = model(torch.float32, **changes).to("cuda").eval()
    for parameter in potential.parameters():
        parameter.requires_grad_(False)
    return 1e6 * seconds(lambda: evaluate(potential, batch)) / batch.types.size(0)


def training_time(batch: Batch, **changes: Any) -> float:
    """us per atom of the gradient of a loss on energy and forces on the GPU, float32."""
    potential = model(torch.float32, **changes).to("cuda").train()
    weights = list(potential.parameters())
    target = torch.randn_like(batch.positions)

    def step() -> None:
        prediction = evaluate(potential, batch, create_graph=True)
        loss = (prediction.forces - target).square().mean() + prediction.energy.square().mean()
        torch.autograd.backward(loss, inputs=weights)

    return 1e6 * seconds(step, 3) / batch.types.size(0)


def message_times(batch: Batch) -> dict[str, float]:
    """us per atom of one message of l_max 2 and its gradients of states and edges: plain torch, and compiled."""
    n, random = batch.types.size(0), torch.Generator("cuda").manual_seed(0)

    def rows(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device="cuda", generator=random)

    sent, vector = rows(n, 11, 64).requires_grad_(), batch.edge_vector.clone().requires_grad_()
    table, upstream = rows(43, 5, 64), rows(n, 9, 64)

    def plain(sent: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        return torch.ops.charon.message_reference(sent, table, vector, batch.edge_index, n, 2, False, CUTOFF / 40)

    def gradient(function: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(function(sent, vector), [sent, vector], upstream)

    compiled = torch.compile(plain, dynamic=False)
    found = {}
    for name, function in (("plain", plain), ("compiled", compiled)):
        found[name] = 1e6 * seconds(partial(gradient, function)) / n
    reference, other = gradient(plain), gradient(compiled)
    found["difference"] = float(max((a - b).abs().max() / a.abs().max() for a, b in zip(reference, other, strict=True)))
    return found


def main() -> None:
    """Every figure, each printed as soon as it is known."""
    small, large = water(1), water(4)
    batches = {
        len(s.numbers): collate([make_graph(s, [1, 8], CUTOFF)], torch.float32).to("cuda") for s in (small, large)
    }
    steps: dict[str, Callable[[], Any]] = {
        "device": lambda: torch.cuda.get_device_name(),
        "cpu kernels": ops.instruction_set,
        "float64, GPU against CPU, 192 atoms": lambda: agreement(torch.float64, small),
        "float32, GPU against CPU, 192 atoms": lambda: agreement(torch.float32, small),
    }
    for n, batch in batches.items():
        for l_max in (1, 2):
            name = f"l_max {l_max}, {n} atoms"
            steps[f"energy and forces, us/atom, {name}"] = partial(
                evaluation_time, batch, l_max=l_max, electronic="none"
            )
            steps[f"gradient of a loss on forces, us/atom, {name}"] = partial(
                training_time, batch, l_max=l_max, electronic="none"
            )
    steps["one message with gradients, us/atom, 12288 atoms"] = lambda: message_times(batches[12288])
    for name, step in steps.items():
        try:
            print(json.dumps({name: step()}), flush=True)
        except (RuntimeError, torch.cuda.OutOfMemoryError) as error:
            print(json.dumps({name: f"failed: {str(error).splitlines()[0]}"}), flush=True)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
