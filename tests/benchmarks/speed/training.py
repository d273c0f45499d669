"""Time of training steps: ours, ours with the operators of plain torch, and batches of small molecules."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from ase import Atoms

import charon.ops
from charon.batch import make_graphs
from charon.model import Potential, evaluate
from charon.structure import Structure
from charon.train.config import Config, DataConfig, TrainingConfig
from charon.train.loop import Hooks, Trainer
from charon.train.loss import Loss, label_scales, resolve_weights

from .ours import CUTOFF, HEADLINE, build_model, graph_batch
from .timing import best_seconds, torch_threads

BATCH_SIZE = 5
STEPS = 150


def reference_kernels() -> Callable[[], AbstractContextManager[None]] | None:
    """The context in which the operators are those of plain torch, if this charon has one."""
    return getattr(charon.ops, "reference_kernels", None)


def labelled(box: Atoms, copies: int) -> list[Atoms]:
    """Copies of a box with energies and forces drawn at random as labels."""
    random = np.random.default_rng(0)
    frames = []
    for _ in range(copies):
        atoms = box.copy()
        atoms.info["REF_energy"] = float(random.normal())
        atoms.arrays["REF_forces"] = random.normal(size=(len(atoms), 3))
        frames.append(atoms)
    return frames


def step_time(box: Atoms, seconds: float = 4.0) -> float:
    """us per atom of the gradient of a loss on energy and forces: four boxes, one thread, no optimizer."""
    potential = build_model(HEADLINE, box).train()
    batch = graph_batch(labelled(box, 4))
    weights = list(potential.parameters())

    def step() -> None:
        prediction = evaluate(potential, batch, create_graph=True)
        energy = (prediction.energy - batch.labels["energy"]) / batch.n_atoms
        forces = prediction.forces - batch.labels["forces"]
        potential.zero_grad(set_to_none=True)
        torch.autograd.backward(energy.square().mean() + forces.square().mean(), inputs=weights)

    with torch_threads(1):
        return 1e6 * best_seconds(step, warm_up=2, seconds=seconds) / batch.types.size(0)


def trainer_step_time(frames: list[Atoms], variant: str) -> tuple[float, float]:
    """ms per step of the training loop, batch assembly included, and of the optimizer in it: batches of five.

    One thread; the shortest of each, so that work of others on the machine counts as little as it can.
    """
    trainer = _trainer(build_model(variant, frames[0]), frames)
    ends: list[float] = []
    updates: list[float] = []
    update = trainer.optimizer.step

    def timed_update() -> None:
        started = time.perf_counter()
        update()
        updates.append(time.perf_counter() - started)

    trainer.optimizer.step = timed_update  # type: ignore[method-assign]
    hooks = Hooks(
        step=lambda *_: ends.append(time.perf_counter()),
        epoch=lambda *_: None,
        save=lambda *_: None,
    )
    with torch_threads(1):
        trainer.run(hooks)
    steps = [later - earlier for earlier, later in zip(ends[10:], ends[11:], strict=False)]
    return 1e3 * min(steps), 1e3 * min(updates[10:])


def _trainer(potential: Potential, frames: list[Atoms]) -> Trainer:
    structures = [Structure.from_atoms(atoms, source="benchmark") for atoms in frames]
    training = TrainingConfig(steps=STEPS, batch_size=BATCH_SIZE)
    config = Config(data=DataConfig(train="benchmark.xyz"), model=potential.config, training=training)
    electronic = config.model.electronic != "none"
    scales = label_scales(structures, potential.elements, [0.0] * len(potential.elements))
    loss = Loss(resolve_weights(config.loss, structures, electronic), scales)
    return Trainer(potential, config, loss, make_graphs(structures, potential.elements, CUTOFF), [])
