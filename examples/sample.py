"""Remake the shipped data: sample geometries by dynamics, label them, write one file per split.

    python examples/sample.py clusters
    python examples/sample.py salt

The trajectories are the tables in `sampling/clusters.py` and `sampling/salt.py`. Geometries are kept
in the folder of --work, one file per trajectory; a second call goes on with those that are missing.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
from rich.progress import track
from sampling import clusters, salt

from charon.data.label import label_file

SPLITS = ("train", "validation", "test")


def main() -> None:
    """Sample in parallel, then label each split."""
    options = parse()
    folder, target = options.work / options.set, options.out / options.set
    folder.mkdir(parents=True, exist_ok=True)
    jobs, run, method = plan(options.set)
    with ProcessPoolExecutor(options.jobs) as pool:
        results = pool.map(partial(run, folder=folder), jobs)
        paths = list(track(results, description=f"sampling {options.set}", total=len(jobs)))
    for split in SPLITS:
        geometries = folder / f"{split}.xyz"
        parts = [path for path in paths if path.name.startswith(f"{options.set}-{split}-")]
        ase.io.write(geometries, [atoms for path in parts for atoms in ase.io.read(path, ":")])
        label_file(geometries, target / f"{split}.xyz.xz", method=method, overwrite=True)


def plan(name: str) -> tuple[list[Any], Callable[..., Path], str]:
    """Jobs, the function that runs one, and the method of the labels."""
    if name == "salt":
        return salt.TRAJECTORIES, salt.run, salt.METHOD
    jobs = [(state, split) for state in clusters.STATES for split in SPLITS]
    return jobs, clusters.run, clusters.METHOD


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Sample and label the shipped data.")
    parser.add_argument("set", choices=["clusters", "salt"])
    parser.add_argument("--jobs", type=int, default=2, help="trajectories at once, default: %(default)s")
    parser.add_argument("--work", type=Path, default=Path("build/sampling"), help="default: %(default)s")
    here = Path(__file__).parent / "data"
    parser.add_argument("--out", type=Path, default=here, help="default: examples/data")
    return parser.parse_args()


if __name__ == "__main__":
    main()
