"""Training of several models of one form side by side; the whole step is one CUDA graph on a GPU.

Members differ by seed, learning rate, weight decay and the last energy weight; they see the same batches.
"""

import math
from dataclasses import dataclass, field

import torch
from candidates import Candidate
from data import FrameSet
from form import Batch, Form
from radial import Geometry, geometry
from torch import Tensor

EMA = (0.0, 0.99, 0.998, 0.9995)  # 0: the weights themselves
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class Member:
    """One model of a job."""

    seed: int = 0
    lr: float = 5e-3
    decay: float = 0.0
    energy_weight: float = 5.0


@dataclass(frozen=True)
class Job:
    """One form on one set; `steps` is the aim, the schedule shortens itself to end in time."""

    name: str
    data: str
    form: Form = field(default_factory=Form)
    members: tuple[Member, ...] = (Member(0), Member(1))
    batch: int = 5
    steps: int = 20000
    muon: bool = True


def orthogonalized(x: Tensor) -> Tensor:
    """Approximate U V^T of wide matrices [matrices, rows, columns]."""
    a, b, c = NEWTON_SCHULZ
    x = x / x.flatten(1).norm(dim=1).clamp(min=1e-12).reshape(-1, 1, 1)
    for _ in range(5):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


class Trainer:
    """Parameters, optimizer and captured step of a job."""

    def __init__(self, job: Job, sets: dict[str, FrameSet], stream: "torch.cuda.Stream | None") -> None:
        self.job, self.sets, self.stream = job, sets, stream
        train = sets["train"]
        self.train, device = train, train.vector.device
        self.models = len(job.members)
        self.device = device
        n_types = int(train.types.max()) + 1
        with_state = bool((train.state != train.state[0]).any())
        self.candidate = Candidate(job.form, n_types, train.mean_neighbors, with_state, train.cutoff, device)
        self.unit = train.force_rms
        self.flat = self.candidate.layout.start([m.seed for m in job.members]).to(device)

        def column(name: str) -> Tensor:
            return torch.tensor([[getattr(m, name)] for m in job.members], device=device)

        self.lr, self.decay, self.last_weight = column("lr"), column("decay"), column("energy_weight")
        self.first, self.second = torch.zeros_like(self.flat), torch.zeros_like(self.flat)
        self.ema = self.flat.expand(len(EMA), -1, -1).clone()
        self.ema_decay = torch.tensor(EMA, device=device).reshape(-1, 1, 1)
        self.usual = torch.zeros(self.models, 1, device=device)
        self.count = torch.zeros((), device=device)
        self.rate, self.late = torch.zeros((), device=device), torch.zeros((), device=device)
        self.matrices = self.candidate.layout.matrices() if job.muon else {}
        self.matrices = {shape: place.to(device) for shape, place in self.matrices.items()}
        self.is_matrix = torch.zeros(1, self.flat.shape[1], device=device)
        for place in self.candidate.layout.matrices().values():
            self.is_matrix[0, place.reshape(-1).to(device)] = 1.0
        rows = max(1, math.ceil(job.steps / (train.frames // job.batch)))
        epochs = [torch.randperm(train.frames)[: train.frames // job.batch * job.batch] for _ in range(min(rows, 2000))]
        self.order = torch.cat(epochs).reshape(-1, job.batch).to(device)
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.steps_done = 0

    def frames(self, part: FrameSet, index: Tensor) -> tuple[Batch, Geometry, Tensor]:
        """The frames `index` as a batch; the flat places of reverse edges [edges]."""
        b = index.shape[0]
        step = torch.arange(b, device=index.device).reshape(-1, 1, 1)
        neighbor = part.neighbor.index_select(0, index) + step * part.atoms
        reverse = part.reverse.index_select(0, index) + step * (part.atoms * part.width)
        types = part.types.index_select(0, index).reshape(-1)
        batch = Batch(types, neighbor.reshape(-1, part.width), part.state.index_select(0, index), b)
        vector = part.vector.index_select(0, index).reshape(-1, 3)
        return batch, geometry(vector, self.job.form.knots, part.cutoff), reverse.reshape(-1)

    def predict(self, flat: Tensor, part: FrameSet, index: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """Energies [models, frames] and forces [models, atoms, 3] in units of the training forces' mean."""
        batch, g, reverse = self.frames(part, index)
        spline = g.spline.expand(self.models, -1, -1).detach().requires_grad_()
        direction = g.direction.expand(self.models, -1, -1).detach().requires_grad_()
        energy = self.candidate.energy(self.candidate.layout.views(flat), batch, spline, direction)
        by_spline, by_direction = torch.autograd.grad(energy.sum(), [spline, direction], create_graph=training)
        edge = (by_spline * g.slope).sum(2, keepdim=True) * g.unit  # [models, edges, 3]
        edge = edge + (by_direction.unsqueeze(3) * g.turn).sum(2)
        edge = edge - edge.index_select(1, reverse)
        return energy, edge.reshape(self.models, -1, part.width, 3).sum(2)

    def gradient(self, flat: Tensor, index: Tensor, late: Tensor) -> Tensor:
        """Gradient [models, numbers] of each model's loss on the frames `index`."""
        flat = flat.detach().requires_grad_()
        energy, force = self.predict(flat, self.train, index, True)
        target = self.train.force.index_select(0, index).reshape(-1, 3) / self.unit
        n = self.train.count.index_select(0, index)
        error = (energy - self.train.energy.index_select(0, index) / self.unit).square() / n
        weight = 0.3 * (self.last_weight / 0.3) ** late
        loss = (force - target).square().sum((1, 2)) / (3.0 * n.sum()) + weight.squeeze(1) * error.mean(1)
        return torch.autograd.grad(loss.sum(), flat)[0]

    def step(self) -> None:
        """One step on the next batch; no synchronisation, nothing but tensors decides."""
        index = self.order.index_select(0, self.place).reshape(-1)
        self.place.add_(1).remainder_(self.order.shape[0])
        gradient = self.gradient(self.flat, index, self.late)
        with torch.no_grad():
            self._advance(gradient)

    def _advance(self, gradient: Tensor) -> None:
        norm = gradient.norm(dim=1, keepdim=True)
        self.usual.copy_(torch.where(self.usual == 0.0, norm, self.usual))
        allowed = torch.minimum(norm, 2.0 * self.usual)
        gradient = torch.nan_to_num(gradient * (allowed / norm.clamp(min=1e-20)), 0.0, 0.0, 0.0)
        self.usual.lerp_(torch.nan_to_num(allowed, 0.0, 0.0, 0.0), 0.01)
        self.count.add_(1.0)
        momentum = 0.9 if not self.matrices else 0.95
        ahead = gradient.lerp(self.first.lerp_(gradient, 1.0 - momentum), momentum)
        self.second.lerp_(gradient.square(), 0.002)
        update = self.first / (1.0 - momentum**self.count)
        update = update / ((self.second / (1.0 - 0.998**self.count)).sqrt() + 1e-8)
        for (rows, columns), place in self.matrices.items():
            matrices = ahead.index_select(1, place.reshape(-1)).reshape(-1, rows, columns)
            matrices = orthogonalized(matrices) * (0.2 * math.sqrt(max(rows, columns)))
            update.index_copy_(1, place.reshape(-1), matrices.reshape(self.models, -1))
        self.flat.sub_(self.lr * self.rate * (update + self.decay * self.is_matrix * self.flat))
        decay = torch.minimum(self.ema_decay, (1.0 + self.count) / (10.0 + self.count))
        self.ema.lerp_(self.flat.expand_as(self.ema), (1.0 - decay).expand_as(self.ema))

    def prepare(self) -> None:
        """Warm-up at learning rate 0 and, on a GPU, the capture."""
        if self.stream is None:
            return
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            for _ in range(2):
                self.step()
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            self.step()
        self.graph = graph
        torch.cuda.synchronize()

    def set_progress(self, progress: float) -> None:
        """Learning rate (2 % warm-up, cosine) and energy weight (rising over the second half)."""
        if self.stream is not None:
            torch.cuda.set_stream(self.stream)
        self.rate.fill_(min(progress / 0.02, 1.0) * 0.5 * (1.0 + math.cos(math.pi * progress)))
        self.late.fill_(min(max(2.0 * progress - 1.0, 0.0), 1.0))

    def advance(self, steps: int, progress: float) -> None:
        """`steps` steps at one place of the schedule; on a GPU without waiting for them."""
        self.set_progress(progress)
        for _ in range(steps):
            if self.graph is not None:
                self.graph.replay()
            else:
                self.step()
        self.steps_done += steps

    def errors(self, split: str, most: int = 1000, chunk: int = 25) -> list[list[list[float]]]:
        """RMSE [weights of EMA][member][E meV per frame, F meV/A] on the first `most` frames of a split."""
        part = self.sets[split]
        used = min(most, part.frames)
        out = []
        for flat in self.ema.unbind(0):
            total = torch.zeros(self.models, 2, device=self.device)
            for index in torch.arange(used, device=self.device).split(chunk):
                energy, force = self.predict(flat, part, index, False)
                target = part.force.index_select(0, index).reshape(-1, 3)
                real = (part.types.index_select(0, index).reshape(-1, 1) > 0).float()
                energy_error = energy.detach() * self.unit - part.energy.index_select(0, index)
                force_error = (force.detach() * self.unit - target) * real
                total += torch.stack([energy_error.square().sum(1), force_error.square().sum((1, 2))], 1)
            counts = torch.stack([torch.tensor(float(used)), 3.0 * part.count[:used].sum().cpu()]).to(self.device)
            out.append((1000.0 * (total / counts).sqrt()).tolist())
        return out
