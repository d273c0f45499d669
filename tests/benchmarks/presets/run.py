"""Trains presets of Charon and SpookyNet on the sets, each run for the same time on one thread.

    export CHARON_BENCH_DATA=<folder> CHARON_BENCH_SPOOKY_PYTHON=<environment>/bin/python
    python -m tests.benchmarks.presets.run --minutes 20                              all of them
    python -m tests.benchmarks.presets.run --sets ag3 --presets nse,qeq --minutes 3  some of them
    python -m tests.benchmarks.presets.run ... --override model.channels=32          of Charon's configuration
    python -m tests.benchmarks.presets.run --steps 1000 --seeds 0 1 2 ...            equal steps, not equal time

From the root of the repository. Two runs at a time. A run that has ended is not repeated, one that was interrupted
continues, one that failed is recorded with its error and begins again the next time. Figures go to
`results/presets.json`; `report.py` makes `presets.md` of them.
"""

import argparse
import fcntl
import json
import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from charon.errors import CharonError

from ..frames import SetMissing
from ..speed.peers import PeerMissing
from .jobs import Job, Length
from .plan import MAIN, MODELS, Peer
from .sets import SETS

ROOT = Path(__file__).parents[3]
RESULTS = Path(__file__).parents[1] / "results" / "presets.json"
INTERRUPTED = (130, -2, -15)

Record = dict[str, Any]


def main() -> None:
    """Command line."""
    options = parser().parse_args()
    length = Length(options.minutes) if options.steps is None else Length(steps=options.steps)
    jobs = [
        Job(SETS[name], MODELS[preset], length, seed, options.work.resolve(), tuple(options.override))
        for name in options.sets.split(",")
        for seed in options.seeds
        for preset in options.presets.split(",")
    ]
    with ThreadPoolExecutor(options.parallel) as pool:
        try:
            list(pool.map(lambda job: attend(job, options.results), jobs))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def parser() -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--sets", default=",".join(SETS), help="names, default: %(default)s")
    names = ",".join(model.name for model in MAIN)
    more = ", ".join(name for name in MODELS if name not in names.split(","))
    found.add_argument("--presets", default=names, help=f"names, default: %(default)s; variants: {more}")
    found.add_argument("--minutes", type=float, default=20.0, help="of training per run, default: %(default)s")
    found.add_argument("--steps", type=int, help="of training per run, in place of minutes; not for SpookyNet")
    found.add_argument("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    found.add_argument("--parallel", type=int, default=2, help="runs at a time, default: %(default)s")
    found.add_argument("--override", action="append", default=[], metavar="key=value", help="of the configuration")
    found.add_argument("--work", type=Path, default=ROOT / "runs" / "presets", help="folder of the runs")
    found.add_argument("--results", type=Path, default=RESULTS, help="file of the figures")
    return found


def attend(job: Job, results: Path) -> Record | None:
    """Runs a job unless it has ended before; prints a line and records. None where there is nothing to record."""
    ended = job.folder / "record.json"
    if ended.is_file():
        record = json.loads(ended.read_text(encoding="utf-8"))
        tell(job, f"{job.title}: has ended before")
        merge(results, record)
        return record
    try:
        record = run_job(job)
    except (SetMissing, PeerMissing) as missing:
        tell(job, f"{job.title}: left out: {missing}")
        return None
    except InterruptedError:
        tell(job, f"{job.title}: interrupted; the same command continues it")
        return None
    if "error" not in record:
        ended.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    tell(job, f"{job.title}: {summary(record)}")
    merge(results, record)
    return record


def run_job(job: Job) -> Record:
    """Trains and evaluates; a failure becomes the `error` of the record. Raises InterruptedError."""
    record = {**job.key, **settings(job)}
    try:
        record |= execute(job.command(), job)
        record |= job.figures()
    except (CharonError, OSError, RuntimeError, KeyError) as error:
        if isinstance(error, InterruptedError):
            raise
        record["error"] = without_paths(str(error))
    return record


def settings(job: Job) -> Record:
    """How the model was trained."""
    if isinstance(job.model, Peer):
        peer = job.model
        size = f"{peer.modules} modules of {peer.features}"
        return {"settings": f"{size}, learning rate {peer.learning_rate:g}, batch at most {peer.batch_size}"}
    return {"settings": " ".join([*job.model.overrides, *job.extra])}


def execute(command: list[str], job: Job) -> Record:
    """Runs a command on one thread, its output in run.log; minutes of the clock and of the processor.

    Raises RuntimeError with the last lines if it fails or takes far too long, InterruptedError.
    """
    log, started = job.folder / "run.log", time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        limit = threading.Timer(job.length.limit or threading.TIMEOUT_MAX, process.kill)
        limit.daemon = True
        limit.start()
        _, status, usage = os.wait4(process.pid, 0)
        limit.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode in INTERRUPTED:
        raise InterruptedError(job.title)
    if process.returncode != 0:
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
        raise RuntimeError(f"exit status {process.returncode}: " + "\n".join(lines[-4:]))
    wall = (time.monotonic() - started) / 60.0
    return {"wall_minutes": wall, "cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60.0}


def without_paths(text: str) -> str:
    """Names of files in place of their paths, so that results say nothing of the machine."""
    return re.sub(r"(?:/[\w.@+-]+)+/([\w.@+-]+)", r"\1", text)


def summary(record: Record) -> str:
    """The test errors of a run, or its error."""
    if "error" in record:
        return "FAILED: " + record["error"].splitlines()[-1]
    names = ("meV/atom", "meV/A", "me", "mmuB")
    test = record["test"].values()
    errors = ", ".join("-" if e is None else f"{e:.3f} {name}" for e, name in zip(test, names, strict=False))
    share = record["cpu_minutes"] / record["wall_minutes"]
    return f"{errors}; {record['steps']} steps, {100 * share:.0f} % of a core"


_telling = threading.Lock()


def tell(job: Job, line: str) -> None:
    """Prints a line and appends it to the log of all runs."""
    with _telling:
        print(line, flush=True)
        job.work.mkdir(parents=True, exist_ok=True)
        with (job.work / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def merge(path: Path, record: Record) -> None:
    """Puts a record into the file of results, in place of an earlier one of the same run."""
    key = ("set", "preset", "seed", "minutes", "equal_steps")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        records = [r for r in (json.loads(text) if text else []) if any(r.get(k) != record.get(k) for k in key)]
        records = sorted([*records, record], key=lambda r: tuple(str(r.get(k)) for k in key))
        file.truncate(0)
        file.write(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
