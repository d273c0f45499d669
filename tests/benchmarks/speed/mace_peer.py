"""Times MACE 64x0e in an environment of its own; prints one line of JSON.

    python mace_peer.py forces FILE.xyz THREADS      us per atom of energy and forces of the first frame
    python mace_peer.py training FILE.xyz THREADS    ms per training step of batches of five frames

Random weights, float32, r_max 5 A, 2 interactions, correlation 3, max_ell 3. Neighbor lists are made beforehand.
Needs mace-torch, not charon.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator

warnings.filterwarnings("ignore")

import ase.io  # noqa: E402
import mace  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from e3nn import o3  # noqa: E402
from e3nn.util import jit  # noqa: E402
from mace import data, modules, tools  # noqa: E402
from mace.tools import torch_geometric  # noqa: E402
from mace.tools.train import take_step  # noqa: E402

CUTOFF = 5.0
BATCH_SIZE = 5


def build_model(elements: list[int], mean_neighbors: float) -> torch.nn.Module:
    """ScaleShiftMACE with 64 invariant channels, otherwise with the defaults of `mace_run_train`."""
    torch.manual_seed(0)
    return modules.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        num_interactions=2,
        num_elements=len(elements),
        hidden_irreps=o3.Irreps("64x0e"),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=np.zeros((1, len(elements))),
        avg_num_neighbors=mean_neighbors,
        atomic_numbers=elements,
        correlation=3,
        gate=torch.nn.functional.silu,
        radial_MLP=[64, 64, 64],
        radial_type="bessel",
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )


def graphs(path: str) -> tuple[list[data.AtomicData], list[int], float]:
    """Graphs of all frames, the elements and the mean number of neighbors."""
    frames = ase.io.read(path, ":")
    keys = data.KeySpecification(info_keys={"energy": "REF_energy"}, arrays_keys={"forces": "REF_forces"})
    elements = sorted({int(z) for frame in frames for z in frame.numbers})
    table = tools.AtomicNumberTable(elements)
    found = [
        data.AtomicData.from_config(data.config_from_atoms(frame, keys), z_table=table, cutoff=CUTOFF)
        for frame in frames
    ]
    edges = sum(graph.edge_index.shape[1] for graph in found)
    return found, elements, edges / sum(len(frame) for frame in frames)


def best_seconds(function: Callable[[], object], warm_up: int = 4, seconds: float = 6.0) -> float:
    """Shortest time of one call, s."""
    for _ in range(warm_up):
        function()
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return min(times)


def forces(path: str) -> dict[str, float]:
    """us per atom of energy and forces: the model as it is, and as TorchScript (what LAMMPS runs)."""
    found, elements, mean_neighbors = graphs(path)
    batch = next(iter(torch_geometric.dataloader.DataLoader(found[:1], batch_size=1))).to_dict()
    model = build_model(elements, mean_neighbors).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    n_atoms = batch["positions"].shape[0]
    scripted = jit.compile(model)
    return {
        "neighbors": mean_neighbors,
        "eager": 1e6 * best_seconds(lambda: model(batch, compute_force=True)) / n_atoms,
        "torchscript": 1e6 * best_seconds(lambda: scripted(batch, compute_force=True)) / n_atoms,
    }


def training(path: str) -> dict[str, float]:
    """ms per step: batch assembly, forward, forces, loss, backward, clipping, Adam."""
    found, elements, mean_neighbors = graphs(path)
    model = build_model(elements, mean_neighbors)
    loss = modules.WeightedEnergyForcesLoss(energy_weight=1.0, forces_weight=100.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    outputs = {"forces": True, "virials": False, "stress": False}
    loader = torch_geometric.dataloader.DataLoader(found, batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
    batches: Iterator[torch_geometric.batch.Batch] = iter(())

    def step() -> None:
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(loader)
            batch = next(batches)
        take_step(model, loss, batch, optimizer, None, outputs, 10.0, torch.device("cpu"))

    return {"neighbors": mean_neighbors, "ms_per_step": 1e3 * best_seconds(step, warm_up=8)}


def main() -> None:
    """Runs what the first argument names."""
    what, path, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.set_default_dtype(torch.float32)
    result = {"forces": forces, "training": training}[what](path)
    versions = {"mace": mace.__version__, "torch": str(torch.__version__)}
    print(json.dumps({**result, "threads": torch.get_num_threads(), **versions}))


if __name__ == "__main__":
    main()
