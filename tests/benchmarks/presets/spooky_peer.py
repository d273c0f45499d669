"""Trains SpookyNet (that of xnns) in an environment of its own, for a given time on given frames.

    python spooky_peer.py JOB.json

JOB names the frames (`sets.save_frames`), the folder of the outcome, minutes, seed and recipe. The folder gets
checkpoint.pt, from which the same call continues, predictions_validation.pt, predictions_test.pt and outcome.json.
Needs torch, ase and xnns, not charon.

The model is that of the paper: 6 modules of 128 features, 16 radial functions, 10 bohr, attention, charge and spin
embeddings, ZBL, electrostatics, D4. On the weights of the authors' code (github.com/OUnke/SpookyNet) xnns gives its
energies to 1e-7 eV and its forces to 1e-7 eV/A, but for D4 of Ag and Au, whose tables are newer.

Recipe of Unke et al., Nat. Commun. 12, 7273 (2021), as remembered: AMSGrad, averaged weights (0.999), the sum of the
RMS errors of energies (eV), forces (eV/A) and charges (e) with equal weights. The rate falls along a cosine to 1 % at
the end of the time, in place of being halved on plateaus.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from spooky_frames import Batch, Frames, collate, reference_energies
from torch import Tensor
from xnn.hybnn.models.spookynet import SpookyNet

EMA_DECAY = 0.999
WARM_UP, FINAL = 0.02, 0.01
BOHR = 0.529177210903
LONG_RANGE = 20.0 * BOHR
"""Reach of electrostatics and D4 in a crystal, A; in a molecule they have no end."""


def predict(model: SpookyNet, batch: Batch, training: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Energies [frames] above the references, forces [atoms, 3] and charges [atoms]."""
    found = model(batch.graph)
    gradient = torch.autograd.grad(found["energy"].sum(), batch.graph.pos, create_graph=training)[0]
    return found["energy"], -gradient, found["charges"]


def errors(prediction: tuple[Tensor, Tensor, Tensor], batch: Batch) -> Tensor:
    """Mean squares [3] over the frames: energy, forces (per atom), charges (per atom)."""
    energy, forces, charges = prediction
    segment, frames = batch.graph.batch, len(batch.energy)
    per_atom = torch.stack([(forces - batch.forces).square().sum(1), (charges - batch.charges).square()])
    weight = 1.0 / torch.bincount(segment, minlength=frames)[segment]  # [atoms]
    per_frame = per_atom.new_zeros(2, frames).index_add(1, segment, per_atom * weight)
    return torch.cat([(energy - batch.energy).square().mean().reshape(1), per_frame.mean(1)])


def loss(mean_squares: Tensor) -> Tensor:
    """Sum of the RMS errors; a number far below any error keeps the root differentiable."""
    return (mean_squares + 1e-16).sqrt().sum()


class Peer:
    """Model, averages, optimizer and position of a training."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.folder = job, Path(job["folder"])
        torch.manual_seed(job["seed"])
        periodic = Frames(job["frames"]["validation"], 1.0).periodic
        self.model = SpookyNet(
            n_features=job["features"], n_interactions=job["modules"], lr_cutoff=LONG_RANGE if periodic else None
        )
        self.frames = {split: Frames(path, self.model.cutoff) for split, path in job["frames"].items()}
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.average = [p.detach().clone() for p in self.weights]
        self.optimizer = torch.optim.Adam(self.weights, lr=job["learning_rate"], amsgrad=True, fused=True)
        self.references = self.fit_references()
        self.at = {"step": 0, "epoch": 0.0, "seconds": 0.0, "best_score": math.inf, "best_step": 0, "validated": 0.0}
        self.best = [w.clone() for w in self.average]

    def fit_references(self) -> Tensor:
        """What the fresh model, which has ZBL and D4 already, leaves of the energies, by element."""
        train = self.frames["train"]
        self.references = torch.zeros(87, dtype=torch.float64)
        members = list(range(0, train.count, math.ceil(train.count / 200)))
        own = [float(self.model(self.batch("train", [i]).graph)["energy"].detach()) for i in members]
        return reference_energies(train, members, train.arrays["energy"][members] - np.array(own))

    def batch(self, split: str, members: list[int]) -> Batch:
        """Frames of a split as one batch."""
        return collate(self.frames[split], members, self.references)

    def learning_rate(self, progress: float) -> float:
        """Warm-up, then a cosine."""
        if progress < WARM_UP:
            return self.job["learning_rate"] * max(progress / WARM_UP, 0.02)
        falling = 0.5 * (1.0 + math.cos(math.pi * min(1.0, (progress - WARM_UP) / (1.0 - WARM_UP))))
        return self.job["learning_rate"] * (FINAL + (1.0 - FINAL) * falling)

    def step(self, members: list[int], progress: float) -> None:
        """One step on the given training frames; it is left out if the gradients are not finite."""
        batch = self.batch("train", members)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(progress)
        value = loss(errors(predict(self.model, batch, True), batch))
        self.optimizer.zero_grad()
        torch.autograd.backward(value, inputs=self.weights)
        norm = torch.stack([p.grad.norm() for p in self.weights if p.grad is not None]).norm()
        self.at["step"] += 1
        if not torch.isfinite(norm):
            return
        self.optimizer.step()
        decay = min(EMA_DECAY, (1 + self.at["step"]) / (10 + self.at["step"]))
        torch._foreach_lerp_(self.average, [w.data for w in self.weights], 1.0 - decay)

    def run(self) -> None:
        """Trains until the time is over; validations count."""
        budget, size = 60.0 * self.job["minutes"], self.job["batch_size"]
        started, n = time.monotonic() - self.at["seconds"], self.frames["train"].count
        order: list[int] = []
        while self.at["seconds"] < budget:
            order = order or torch.randperm(n).tolist()
            members, order = order[:size], order[size:]
            self.step(members, self.at["seconds"] / budget)
            self.at["epoch"] += len(members) / n
            self.at["seconds"] = time.monotonic() - started
            if self.at["seconds"] >= min(self.next_validation(budget), budget):
                self.validate(started)
                self.save()

    def next_validation(self, budget: float) -> float:
        """Every 5 % of the time, or less often if validations would take more than a tenth of it."""
        cost = self.at.get("validation_seconds", 0.0)
        return self.at["validated"] + max(0.05 * budget, 10.0 * cost)

    def validate(self, started: float) -> None:
        """Keeps the averaged weights that are best on the validation set by the loss."""
        begun = time.monotonic()
        with self.carrying(self.average):
            score = float(loss(self.evaluate("validation")[1]))
        if score < self.at["best_score"]:
            self.at["best_score"], self.at["best_step"] = score, self.at["step"]
            self.best = [w.clone() for w in self.average]
        self.at["validation_seconds"] = time.monotonic() - begun
        self.at["seconds"] = self.at["validated"] = time.monotonic() - started
        print(f"{self.at['seconds']:7.1f} s, step {self.at['step']}, score {score:.5f}", flush=True)

    @contextmanager
    def carrying(self, values: list[Tensor]) -> Iterator[None]:
        """The model carries `values` inside the block."""
        weights = [w.data for w in self.weights]
        present = [w.clone() for w in weights]
        torch._foreach_copy_(weights, values)
        try:
            yield
        finally:
            torch._foreach_copy_(weights, present)

    def evaluate(self, split: str) -> tuple[dict[str, Tensor], Tensor]:
        """Predictions of all frames with the present weights, and the mean squares [3]."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        total, count, size = torch.zeros(3), self.frames[split].count, self.job["batch_size"]
        for start in range(0, count, size):
            batch = self.batch(split, list(range(start, min(start + size, count))))
            energy, forces, charges = (part.detach() for part in predict(self.model, batch, False))
            prediction = energy, forces, charges
            total += errors(prediction, batch) * len(batch.energy) / count
            found.append((prediction[0].double() + batch.reference, *prediction[1:]))
        energy, forces, charges = (torch.cat(parts) for parts in zip(*found, strict=True))
        return {"energy": energy, "forces": forces, "charges": charges}, total

    def save(self) -> None:
        """Writes checkpoint.pt."""
        content = {name: getattr(self, name) for name in ("at", "average", "best")}
        content |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        content["random"] = torch.get_rng_state()
        torch.save(content, self.folder / "checkpoint.partial")
        (self.folder / "checkpoint.partial").replace(self.folder / "checkpoint.pt")

    def load(self) -> None:
        """Continues from checkpoint.pt if there is one."""
        path = self.folder / "checkpoint.pt"
        if path.is_file():
            content = torch.load(path)
            self.at, self.average, self.best = content["at"], content["average"], content["best"]
            self.model.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
            torch.set_rng_state(content["random"])


def main() -> None:
    """Trains, then predicts the validation and test frames with the chosen weights."""
    torch.set_num_threads(1)
    peer = Peer(json.loads(Path(sys.argv[1]).read_text()))
    peer.load()
    peer.run()
    with peer.carrying(peer.best):
        for split in ("validation", "test"):
            arrays, _ = peer.evaluate(split)
            torch.save(arrays, peer.folder / f"predictions_{split}.pt")
    at = peer.at
    parameters = sum(w.numel() for w in peer.weights)
    outcome = {"parameters": parameters, "torch": str(torch.__version__), "trained_minutes": at["seconds"] / 60.0}
    outcome |= {"steps": at["step"], "epochs": at["epoch"], "best_step": at["best_step"]}
    (peer.folder / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    main()
