"""Published benchmarks: their sets trained on, our errors beside those of their peers."""

from charon.benchmark.ko2021 import run_ko2021

__all__ = ["run_ko2021"]
