"""The golden sample: inputs and outputs kept in the file, run again by whoever loads it."""

import json
from typing import Any

import torch
from torch import Tensor

from charon.batch import Batch, collate, make_graph
from charon.errors import ModelFileError
from charon.export.module import INPUTS, OUTPUTS, run
from charon.export.samples import sample_structure

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Largest error of an output over the largest entry of that output (at least 1)."""


def golden_batch(elements: list[int], cutoff: float, dtype: torch.dtype) -> Batch:
    """Six atoms in a sheared periodic cell."""
    return collate([make_graph(sample_structure(elements, 6, True, 0, seed=11), elements, cutoff)], dtype)


def golden_sample(module: torch.jit.ScriptModule, batch: Batch) -> str:
    """JSON of a batch's inputs and of the outputs that `module` gives for them."""
    inputs = {name: tensor.tolist() for name, tensor in zip(INPUTS, batch.inputs(), strict=True)}
    outputs = {name: tensor.tolist() for name, tensor in zip(OUTPUTS, run(module, batch.inputs()), strict=True)}
    return json.dumps({"inputs": inputs, "outputs": outputs})


def check_golden_sample(module: torch.jit.ScriptModule, text: str, dtype: torch.dtype, path: str) -> None:
    """Runs the sample again. Raises ModelFileError if an output differs from the one in the file."""
    golden = json.loads(text)
    inputs = [_tensor(name, golden["inputs"][name], dtype) for name in INPUTS]
    for name, found in zip(OUTPUTS, run(module, inputs), strict=False):  # old files lack the last
        expected = torch.tensor(golden["outputs"][name], dtype=torch.float64).reshape(found.shape)
        error = relative_error(found, expected)
        if not error <= TOLERANCE[dtype]:
            raise ModelFileError(
                f"{path}: the golden sample's {name} differ by {error:.1e} (relative) from those in the file, allowed "
                f"{TOLERANCE[dtype]:.0e}: this torch ({torch.__version__}) computes another energy than the one that "
                "wrote the file. Export the model again with this installation."
            )


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected entry, at least 1; 0 for empty tensors."""
    if expected.numel() == 0:
        return 0.0
    difference = (found.to(torch.float64) - expected.to(torch.float64)).abs().max()
    return float(difference / expected.abs().max().clamp(min=1.0))


def _tensor(name: str, values: Any, dtype: torch.dtype) -> Tensor:
    if name in ("types", "edge_index", "batch"):
        return torch.tensor(values, dtype=torch.int64)
    return torch.tensor(values, dtype=torch.bool if name == "pbc" else dtype)
