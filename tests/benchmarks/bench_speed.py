"""Speed and memory of `pair_style charon` and of training, beside the machine's floor, PaiNN and MACE.

Two cores, float32, cutoff 5 A, 64 channels, 3 layers; water at 1 g/cm3, of 192 atoms and its replicas. Best of a few
repeats. A timing never fails a run: the table has ratios, and a figure that cannot be had is null with a reason.
`results/speed.json` is written unless `-k` selects some of the measurements.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from .speed.floor import COMPILE, kernel_floor, layers_time
from .speed.op_shares import model_time, operator_shares
from .speed.ours import CUTOFF, DOUBLE, HEADLINE, VARIANTS, export_variant, graph_batch, mean_neighbors
from .speed.painn import scripted_painn
from .speed.peers import PeerMissing, run_mace
from .speed.report import Record
from .speed.run_lammps import COMMAND, INPUT, LammpsBench, LammpsFailure
from .speed.systems import acetylacetone, water_box
from .speed.timing import best_seconds, torch_threads
from .speed.training import reference_kernels, step_time, trainer_step_time

SMALL, MEDIUM, LARGE = 192, 12288, 98304
SIZES = (1536, MEDIUM, LARGE)
CORES = 2


@pytest.fixture(scope="module")
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    found = Record()
    found.details = {
        "us_per_atom": {},
        "commands": {"kernel floor": COMPILE, "lammps": COMMAND, "input": INPUT},
        "lammps": [],
    }
    yield found
    print("\n\n" + found.times() + "\n\n" + found.table())
    if not request.config.getoption("keyword") and not any("::" in argument for argument in request.config.args):
        found.write()


@pytest.fixture(scope="module")
def lammps(tmp_path_factory: pytest.TempPathFactory, record: Record) -> Iterator[LammpsBench]:
    bench = LammpsBench(tmp_path_factory.mktemp("lammps"), water_box())
    yield bench
    for (variant, *_), run in bench.found.items():
        what = f"{variant}: {run.atoms} atoms, {run.ranks} ranks x {run.threads} threads"
        record.details["us_per_atom"][what] = run.us_per_atom
        record.details["lammps"].append({"variant": variant, "us_per_atom": run.us_per_atom, **asdict(run)})


def test_time_in_lammps(record: Record, lammps: LammpsBench) -> None:
    box = lammps.box
    record.details["model"] = {"channels": 64, "layers": 3, "cutoff": CUTOFF, "neighbors": mean_neighbors(box)}
    record.details["variants"] = VARIANTS
    lammps.best(SMALL)
    record.figures["us_per_atom"] = lammps.best(MEDIUM).us_per_atom
    record.figures["ratio_two_ranks"] = lammps.run(MEDIUM, 1, 1).us_per_atom / lammps.run(MEDIUM, 2, 1).us_per_atom


def test_flatness(record: Record, lammps: LammpsBench) -> None:
    best = lammps.best(MEDIUM)
    try:
        times = [lammps.run(atoms, best.ranks, best.threads).us_per_atom for atoms in SIZES]
    except LammpsFailure as failure:
        record.missing("flatness", f"no run of all sizes: {failure}")
    else:
        record.figures["flatness"] = max(times) / min(times) - 1


def test_memory(record: Record, lammps: LammpsBench) -> None:
    try:
        medium, large = (lammps.run(atoms, 1, CORES).peak_bytes for atoms in (MEDIUM, LARGE))
    except LammpsFailure as failure:
        record.missing("bytes_per_atom", f"no run of {LARGE} atoms: {failure}")
    else:
        record.figures["bytes_per_atom"] = (large - medium) / (LARGE - MEDIUM)
        record.details["peak_bytes"] = {MEDIUM: medium, LARGE: large}


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != HEADLINE])
def test_variant(record: Record, lammps: LammpsBench, variant: str) -> None:
    best = lammps.best(MEDIUM)
    for atoms in (SMALL, MEDIUM):
        try:
            lammps.run(atoms, best.ranks, best.threads, variant)
        except LammpsFailure as failure:
            record.notes[f"{variant}, {atoms} atoms"] = str(failure)


def test_floor(record: Record, lammps: LammpsBench, tmp_path: Path) -> None:
    ours = lammps.best(MEDIUM).us_per_atom
    sizes = kernel_floor(tmp_path, CORES)
    floor, aligned = layers_time(sizes, 4096, 16), layers_time(sizes, 4096, 0)
    record.figures["ratio_floor"] = ours / floor
    record.details["floor"] = {"ratio_aligned": ours / aligned, "sizes": sizes}
    record.details["us_per_atom"]["kernel floor"] = floor
    record.details["us_per_atom"]["kernel floor, arrays aligned to cache lines"] = aligned


def test_painn(record: Record, lammps: LammpsBench) -> None:
    batch, model = graph_batch([lammps.box]), scripted_painn(2)
    with torch_threads(CORES):
        seconds = best_seconds(lambda: model(batch.types, batch.edge_index, batch.edge_vector), warm_up=5)
    time = 1e6 * seconds / SMALL
    record.figures["ratio_painn_torchscript"] = time / lammps.best(SMALL).us_per_atom
    record.details["painn"] = {"ratio_12288": time / lammps.best(MEDIUM).us_per_atom}
    record.details["us_per_atom"]["PaiNN 64x3 in TorchScript, 192 atoms, 2 threads"] = time


def test_mace(record: Record, lammps: LammpsBench, tmp_path: Path) -> None:
    try:
        found = run_mace("forces", [lammps.box], CORES, tmp_path)
    except PeerMissing as missing:
        record.missing("ratio_mace", str(missing))
        return
    time = min(found["eager"], found["torchscript"])
    record.figures["ratio_mace"] = time / lammps.best(SMALL).us_per_atom
    record.details["mace"] = {**found, "ratio_12288": time / lammps.best(MEDIUM).us_per_atom}
    record.details["us_per_atom"]["MACE 64x0e, the faster of eager and TorchScript, 192 atoms, 2 threads"] = time


def test_training_twin(record: Record) -> None:
    ours = step_time(water_box())
    record.details["us_per_atom"]["gradient of a loss on forces, 4 boxes, 1 thread"] = ours
    twin = reference_kernels()
    if twin is None:
        record.missing("ratio_train_twin", "charon.ops has no reference_kernels()")
        return
    with twin():
        reference = step_time(water_box())
    record.details["us_per_atom"]["the same through the operators of plain torch"] = reference
    record.figures["ratio_train_twin"] = reference / ours


def test_training_mace(record: Record, tmp_path: Path) -> None:
    frames = acetylacetone(100)
    times = {variant: trainer_step_time(frames, variant) for variant in VARIANTS if variant != DOUBLE}
    ours = {variant: step for variant, (step, _) in times.items()}
    record.details["training_ms_per_step"] = {"threads": 1, "batch_size": 5, "atoms": 75, **ours}
    record.details["optimizer_ms_per_step"] = {variant: update for variant, (_, update) in times.items()}
    try:
        found = run_mace("training", frames, 1, tmp_path)
    except PeerMissing as missing:
        record.missing("ratio_train_mace", str(missing).splitlines()[0])
        return
    record.details["training_ms_per_step"]["MACE 64x0e"] = found["ms_per_step"]
    record.figures["ratio_train_mace"] = found["ms_per_step"] / ours[HEADLINE]


def test_shares(record: Record, lammps: LammpsBench) -> None:
    path, atoms = export_variant(HEADLINE, lammps.box, lammps.folder), lammps.box.repeat(4)
    run = lammps.run(MEDIUM, 1, CORES)
    kinds, operators = operator_shares(path, atoms, CORES)
    pair = run.sections["Pair"]
    model = min(pair, model_time(path, atoms, CORES) / run.us_per_atom)
    rest = {name: share for name, share in run.sections.items() if name not in ("Pair", "Neigh", "Comm")}
    record.details["shares"] = {
        "neighbor list": run.sections["Neigh"],
        "communication of LAMMPS": run.sections["Comm"],
        "edges and model input": pair - model,
        **{f"model: {kind}": model * share for kind, share in kinds.items()},
        "integration and output": sum(rest.values()),
    }
    record.details["operators"] = operators
