"""Cost of the electrostatics on a mesh, and how it grows with the number of charges; a timing never fails a run.

Molten-like NaCl, charges of +-1 e, cutoff 5 A, float32, two threads: energy and its derivatives by edges and positions,
without the neighbor list. The sum over pairs and wave vectors (`method: ewald`) beside it where it is affordable.
Writes `results/electrostatics.json`.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from ase import Atoms
from ase.build import bulk

from charon.batch import Batch, collate, make_graph
from charon.model.electrostatics import Coulomb, ElectrostaticsConfig
from charon.structure import Structure

RESULTS = Path(__file__).parent / "results" / "electrostatics.json"
CUTOFF, ELEMENTS = 5.0, [11, 17]
SIZES = {1728: 6, 13824: 12, 110592: 24}
"""Ions of the cube of so many conventional cells."""
Record = dict[str, float | int | str]


def ions(cells: int) -> Atoms:
    """Rock salt at the density of the melt, its ions moved by 0.3 A."""
    atoms = bulk("NaCl", "rocksalt", a=6.0, cubic=True).repeat(cells)
    atoms.rattle(0.3, seed=0)
    atoms.info.update(charge=0, spin=1)
    return atoms


def seconds(batch: Batch, method: str, repeats: int = 3) -> float:
    """The fastest evaluation."""
    coulomb = Coulomb(ELEMENTS, CUTOFF, ElectrostaticsConfig(method=method)).float()
    charges = 1.0 - 2.0 * batch.types.float()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        edges, positions = (t.clone().requires_grad_() for t in (batch.edge_vector, batch.positions))
        inputs = (batch.types, batch.edge_index, edges, positions, batch.cell, batch.pbc, batch.batch)
        energy = 0.5 * (charges * coulomb.potential(charges, coulomb.prepare(*inputs))).sum()
        torch.autograd.grad(energy, (edges, positions), materialize_grads=True)
        found.append(time.perf_counter() - started)
    return min(found)


@pytest.fixture(scope="module")
def record() -> Iterator[list[Record]]:
    found: list[Record] = []
    yield found
    if len({r["ions"] for r in found}) < len(SIZES):
        return  # some were not asked for, or failed
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    mesh = {int(r["ions"]): float(r["seconds"]) for r in found if r["method"] == "mesh"}
    small, middle, large = SIZES
    print(f"\nmesh: {large} ions cost {mesh[large] / mesh[middle]:.1f} times as much as {middle}, aim 10")
    print(f"mesh: {middle} ions cost {mesh[middle] / mesh[small]:.1f} times as much as {small}")


@pytest.mark.parametrize("n_ions", SIZES)
def test_cost(n_ions: int, record: list[Record]) -> None:
    structure = Structure.from_atoms(ions(SIZES[n_ions]), source="benchmark")
    batch = collate([make_graph(structure, ELEMENTS, CUTOFF)], torch.float32)
    for method in ("mesh", "ewald") if n_ions < 5000 else ("mesh",):
        found = seconds(batch, method)
        record.append({"method": method, "ions": n_ions, "seconds": found})
        print(f"\n{method}, {n_ions} ions: {found:.3f} s, {1e6 * found / n_ions:.1f} us per ion")
