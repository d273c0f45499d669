"""Cost of the presets in LAMMPS and how it grows with the number of atoms; writes `results/preset_cost.json`.

Water at 1 g/cm3 and its replicas, size `medium`, cutoff 5 A, float32, random weights, two cores. The aims are ratios to
`local` in the same run; a timing never fails a run.
"""

import json
from pathlib import Path

import pytest

from .speed.run_lammps import LammpsBench, LammpsFailure
from .speed.systems import water_box

RESULTS = Path(__file__).parent / "results" / "preset_cost.json"
MEDIUM, LARGE = 12288, 98304
PRESETS = ("local", "nse", "qeq", "learned", "full")
AIMS = {"learned": 1.6, "full": 2.5}
"""Times the cost of `local` at 12,288 atoms."""


@pytest.fixture(scope="module")
def lammps(tmp_path_factory: pytest.TempPathFactory) -> LammpsBench:
    return LammpsBench(tmp_path_factory.mktemp("presets"), water_box())


def seconds(lammps: LammpsBench, preset: str, atoms: int) -> float:
    """Per step, on two ranks of one thread; all that was found so far goes to the file."""
    run = lammps.run(atoms, 2, 1, f"preset {preset}")
    runs = [
        {"preset": variant.removeprefix("preset "), "atoms": run.atoms, "ranks": run.ranks, "us": run.us_per_atom}
        for (variant, *_), run in lammps.found.items()
    ]
    RESULTS.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    return run.seconds / run.steps


@pytest.mark.parametrize("preset", PRESETS)
def test_cost(preset: str, lammps: LammpsBench) -> None:
    local, found = seconds(lammps, "local", MEDIUM), seconds(lammps, preset, MEDIUM)
    aim = f", aim {AIMS[preset]}" if preset in AIMS else ""
    print(f"\n{preset}: {1e6 * found / MEDIUM:.1f} us per atom and step, {found / local:.2f} times local{aim}")


@pytest.mark.parametrize("preset", ["nse", "full"])
def test_growth(preset: str, lammps: LammpsBench) -> None:
    try:
        growth = seconds(lammps, preset, LARGE) / seconds(lammps, preset, MEDIUM)
    except LammpsFailure as failure:
        pytest.skip(f"{preset}: {LARGE} atoms: {failure}")
    print(f"\n{preset}: {LARGE} atoms cost {growth:.1f} times as much as {MEDIUM}, aim 10")
