"""Trains the jobs of a group in turn, 20 steps each, and writes OUT; on a GPU each has a stream of its own.

python tests/benchmarks/core_study/run.py DATA.npz OUT.json --group acac32 --only D2a --seconds 180
"""

import argparse
import json
import sys
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402
from cost import cost  # noqa: E402
from data import FrameSet, load_set  # noqa: E402
from plan import plan  # noqa: E402
from trainer import EMA, Job, Trainer  # noqa: E402


class Study:
    """The jobs of a group, their state and results."""

    def __init__(self, jobs: list[Job], data: Path, out: Path, device: torch.device) -> None:
        self.device, self.out = device, out
        self.sets: dict[str, dict[str, FrameSet]] = {}
        for job in jobs:
            if job.data not in self.sets:
                self.sets[job.data] = load_set(data, job.data, device)
        self.results: dict[str, dict] = {}

    def prepare(self, job: Job) -> Trainer:
        """Builds and captures."""
        stream = torch.cuda.Stream() if self.device.type == "cuda" else None
        trainer = Trainer(job, self.sets[job.data], stream)
        trainer.prepare()
        return trainer

    def train(self, trainers: list[Trainer], seconds: float) -> None:
        """Equal steps for equal aims: all end together, at their aims or when the time is over."""
        start, longest = time.time(), max(t.job.steps for t in trainers)
        shares = [max(1, round(20 * t.job.steps / longest)) for t in trainers]
        told = start
        while True:
            spent = time.time() - start
            progress = max(max(t.steps_done / t.job.steps for t in trainers), spent / seconds)
            if progress >= 1.0:
                break
            for t, share in zip(trainers, shares, strict=True):
                t.advance(share, progress)
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            if time.time() > told + 30.0:
                told = time.time()
                print(f"{spent:6.1f} s steps " + " ".join(str(t.steps_done) for t in trainers), flush=True)
        if self.device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.default_stream())
        for t in trainers:
            self.judge(t, spent)

    def judge(self, trainer: Trainer, seconds: float) -> None:
        """Errors on all splits; the test splits are looked at here only, after training."""
        job = trainer.job
        edge, atom = cost(job.form)
        result = {
            "job": asdict(job),
            "ema": EMA,
            "steps": trainer.steps_done,
            "seconds": seconds,
            "device": self.device.type,
            "parameters": trainer.flat.shape[1],
            "per_edge": edge,
            "per_atom": atom,
            "neighbors": trainer.train.mean_neighbors,
        }
        for split in trainer.sets:
            most = 20 if job.data == "water" else 100 if split == "train" else 1000
            result[split] = trainer.errors(split, most, {"water": 4, "dipeptides": 20}.get(job.data, 130))
        self.results[job.name] = result
        self.out.write_text(json.dumps(self.results))


def table(results: dict[str, dict]) -> str:
    """A line a member: the EMA that is best on val (by F), errors as E/F in meV per frame and meV/A."""
    lines = []
    for name, r in sorted(results.items()):
        for m, member in enumerate(r["job"]["members"]):
            best = min(range(len(EMA)), key=lambda e: r["val"][e][m][1])
            pairs = {s: r[s][best][m] for s in ("train", "val", "test300", "test600", "test") if s in r}
            errors = " ".join(f"{s} {e:.2f}/{f:.2f}" for s, (e, f) in pairs.items())
            changed = f"s{member['seed']} lr{member['lr']:g} wd{member['decay']:g} w{member['energy_weight']:g}"
            lines.append(f"{name:22} {changed:22} {r['steps']:6} ema{EMA[best]:<7} {errors}")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--group", default="acac")
    parser.add_argument("--only", default="", help="the job with this name")
    parser.add_argument("--seconds", type=float, default=180.0, help="most training time")
    parser.add_argument("--steps", type=int, default=0, help="aim in place of the plan's")
    parser.add_argument("--cpu", action="store_true")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu")
    jobs = [job for job in plan(arguments.group) if arguments.only in ("", job.name)]
    jobs = [replace(job, steps=arguments.steps or job.steps) for job in jobs]
    study = Study(jobs, arguments.data, arguments.out, device)
    trainers = []
    for job in jobs:
        try:
            trainers.append(study.prepare(job))
        except Exception:
            traceback.print_exc()
            if not trainers:  # most likely all would fail
                raise
    study.train(trainers, arguments.seconds)
    print(table(study.results))


if __name__ == "__main__":
    main()
