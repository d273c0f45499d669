"""Compiles and runs `kernel_floor.cpp`: the time of the edge kernels alone, as fast as this machine does them."""

import json
import os
import subprocess
from pathlib import Path

COMPILE = "c++ -std=c++20 -O3 -march=native -ffast-math -fopenmp kernel_floor.cpp -o kernel_floor"


def kernel_floor(folder: Path, threads: int) -> list[dict[str, float]]:
    """Times of each size in us per atom; `layers` is that of three layers, forward and backward."""
    program = folder / "kernel_floor"
    words = COMPILE.split()[:-1]
    subprocess.run([*words, program], cwd=Path(__file__).parent, check=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["sizes"]


def layers_time(sizes: list[dict[str, float]], atoms: int, offset: int) -> float:
    """us per atom of three layers of 64 channels; `offset` (bytes) says where arrays begin in a cache line."""
    wanted = (64, atoms, offset)
    return next(size["layers"] for size in sizes if (size["channels"], size["atoms"], size["offset"]) == wanted)
