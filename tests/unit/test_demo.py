"""The demonstration's arithmetic: pair distributions, drift, pressure, scans, plans, and what it reads."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from demonstration.analysis import (
    Distribution,
    block_mean,
    energy_drift,
    first_peak,
    mean_distribution,
    pair_distribution,
    pressure,
    weighted_mean,
)
from demonstration.figures import course_figure, distributions_figure, scan_figure
from demonstration.melt import Evaluated, plan_steps
from demonstration.processes import Process
from demonstration.salt import second_halves
from demonstration.scans import SCANS, ScanResult, triatomic
from demonstration.simulation import last_step, read_dump, read_thermo, step_seconds, write_data
from demonstration.stages import Stages
from demonstration.summary import family, pooled
from demonstration.training import progress

from charon.errors import CharonError
from charon.metrics import error_table
from charon.structure import Structure
from charon.train.config import Config

LOG = """\
run 2
Per MPI rank memory allocation (min/avg/max) = 3.1 | 3.1 | 3.1 Mbytes
   Step          Time           Temp          TotEng          CPU
         0   0              1300          -100.5         0
         1   0.002          1290.5        -100.25        3.0
WARNING: something odd
         2   0.004          1280          -100           4.0
Loop time of 4.25 on 2 procs for 2 steps with 4096 atoms
run 1
   Step          Time           Temp          TotEng          CPU
         2   0.004          1280          -100           0
         3   0.006          1270          -99            1.0
Loop time of 1.5 on 2 procs for 1 steps with 4096 atoms
"""

DUMP = """\
ITEM: TIMESTEP
0
ITEM: NUMBER OF ATOMS
2
ITEM: BOX BOUNDS pp pp pp
0.0 5.0
0.0 5.0
0.0 5.0
ITEM: ATOMS id type x y z fx fy fz q
2 2 2.5 0.0 0.25 0.5 0.0 0.0 -0.75
1 1 0.0 0.0 0.0 -0.5 0.0 0.0 0.75
"""


def gas(n_ions: int, side: float, seed: int) -> Atoms:
    positions = np.random.default_rng(seed).uniform(0.0, side, size=(n_ions, 3))
    return Atoms(["Na", "Cl"] * (n_ions // 2), positions, cell=[side] * 3, pbc=True)


def rock_salt() -> Atoms:
    return bulk("NaCl", "rocksalt", a=5.64, cubic=True)


def test_ideal_gas_has_no_structure():
    frames = [gas(200, 20.0, seed) for seed in range(20)]
    unlike = mean_distribution([frames], ("Na", "Cl"), 9.0, block=1, width=1.0)
    like = mean_distribution([frames], ("Na", "Na"), 9.0, block=1, width=1.0)
    assert np.abs(unlike.g - 1.0)[3:] == pytest.approx(0.0, abs=0.03)
    assert np.abs(like.g - 0.99)[3:] == pytest.approx(0.0, abs=0.03)  # 1 - 1 / 100: an atom is no pair
    assert np.all(np.abs(unlike.g - 1.0)[3:] < 5 * unlike.error[3:])


@pytest.mark.parametrize(
    ("pair", "distance", "neighbors"), [(("Na", "Cl"), 2.82, 6), (("Na", "Na"), 5.64 / 2**0.5, 12)]
)
def test_crystal_has_its_coordination_numbers(pair, distance, neighbors):
    atoms, width = rock_salt(), 0.05
    edges = np.arange(101) * width
    g = pair_distribution(atoms, pair, 5.0, width)
    density = 4 / atoms.get_volume()
    counted = np.cumsum(g * density * 4 / 3 * np.pi * np.diff(edges**3))
    shell = int(distance / width)
    assert counted[shell - 1] == pytest.approx(0 if pair[0] != pair[1] else counted[shell - 2])
    assert counted[shell] == pytest.approx(neighbors)


def test_distribution_does_not_depend_on_the_cell_that_is_repeated():
    once, eight_times = rock_salt(), rock_salt().repeat(2)
    for pair in (("Na", "Na"), ("Na", "Cl")):
        assert pair_distribution(eight_times, pair, 6.0) == pytest.approx(pair_distribution(once, pair, 6.0))


def test_peak_of_a_smooth_curve_is_found_between_the_bins():
    r = np.arange(0.025, 6.0, 0.05)
    g = 3.5 * np.exp(-(((r - 2.712) / 0.5) ** 2))
    position, height = first_peak(Distribution(r, g, np.zeros_like(r)), reach=0.15)
    assert position == pytest.approx(2.712, abs=0.002)
    assert height == pytest.approx(3.5, rel=0.01)


def test_error_of_blocks():
    values = np.array([1.0, 3.0])
    mean, error = weighted_mean(values, np.array([5, 5]))
    assert mean == pytest.approx(2.0)
    assert error == pytest.approx(values.std(ddof=1) / 2**0.5)
    noise = np.random.default_rng(0).normal(size=10000)
    assert block_mean([noise], block=10)[1] == pytest.approx(0.01, rel=0.1)
    assert block_mean([np.ones(4)], block=10) == (1.0, 0.0)


def test_drift_of_a_straight_line_with_a_ripple():
    time = np.linspace(0.0, 0.3, 151)
    ripple = 1e-3 * np.cos(40 * np.pi * time / 0.3)
    drift = energy_drift(time, -500.0 + 0.2 * time + ripple, n_atoms=100)
    assert drift.slope == pytest.approx(2.0, rel=0.01)  # 0.2 eV/ps of 100 atoms
    assert drift.scatter == pytest.approx(0.01 / 2**0.5, rel=0.02)
    assert 0 < drift.error < 0.05


def test_pressure_is_kinetic_plus_static():
    cell = 10.0 * np.eye(3)
    kinetic = 64 * units.kB * 1300.0 / 1000.0 / units.GPa
    assert pressure(np.zeros((3, 3)), cell, 64, 1300.0) == pytest.approx(kinetic)
    squeezed = -2.0 * units.GPa * np.eye(3)  # ASE's sign: negative under pressure
    assert pressure(squeezed, cell, 64, 0.0) == pytest.approx(2.0)


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 600), (0.123, 480), (10.0, 150), (0.001, 1000)], ids=str)
def test_steps_fit_the_budget_within_bounds(seconds, expected):
    assert plan_steps(seconds, budget=120.0) == expected


def test_scans_move_one_coordinate():
    silver, carbene = SCANS
    for length in silver.values:
        atoms = silver.build(length)
        assert atoms.get_distance(0, 1) == pytest.approx(2.7)
        assert atoms.get_distance(0, 2) == pytest.approx(length)
    angles = [carbene.build(angle).get_angle(1, 0, 2) for angle in carbene.values]
    assert angles == pytest.approx(carbene.values)
    assert (angles[0], angles[-1]) == pytest.approx((80.0, 180.0))
    assert triatomic("CH2", 1.1, 1.1, 90.0).get_distance(1, 2) == pytest.approx(1.1 * 2**0.5)


def test_gap_between_states_is_compared_not_the_zero():
    scan = SCANS[1]
    first, second = (state.name for state in scan.states)
    line = np.linspace(0.0, 1.0, len(scan.values))
    reference = {first: line, second: line + 1.0}
    shifted = ScanResult(scan, reference, {first: line + 5.0, second: line + 6.0})
    wider = ScanResult(scan, reference, {first: line, second: line + 1.25})
    assert shifted.gap_error() == pytest.approx(0.0)
    assert wider.gap_error() == pytest.approx(0.25)


def test_thermodynamic_output_is_read_by_run(tmp_path):
    log = tmp_path / "log.lammps"
    log.write_text(LOG)
    first, second = read_thermo(log)
    assert first["Step"] == pytest.approx([0, 1, 2])
    assert second["TotEng"] == pytest.approx([-100, -99])
    assert step_seconds(first) == pytest.approx(2.0)


def test_last_step_ignores_an_unfinished_line():
    assert last_step("") == 0
    assert last_step(LOG) == 3
    assert last_step(LOG[: LOG.index("         2   0.004") + 12]) == 1


def test_data_file_and_dump_keep_the_elements(tmp_path):
    write_data(tmp_path / "start.data", Atoms("ClNa", [[0, 0, 0], [2.5, 0, 0]], cell=[5] * 3, pbc=True))
    text = (tmp_path / "start.data").read_text()
    assert "2 atom types" in text
    assert "22.98" in text
    assert "35.4" in text
    (tmp_path / "melt.dump").write_text(DUMP)
    (atoms,) = read_dump(tmp_path / "melt.dump")
    assert atoms.get_chemical_symbols() == ["Na", "Cl"]
    assert atoms.get_forces()[:, 0] == pytest.approx([-0.5, 0.5])
    assert atoms.get_initial_charges() == pytest.approx([0.75, -0.75])


def test_second_half_of_each_part():
    frames = [Atoms("Na", [[float(step), 0, 0]]) for step in range(0, 310, 10)]
    nvt, nve = second_halves(frames, steps=150)
    assert [atoms.positions[0, 0] for atoms in nvt] == [80, 90, 100, 110, 120, 130, 140, 150]
    assert [atoms.positions[0, 0] for atoms in nve] == [230, 240, 250, 260, 270, 280, 290, 300]


def test_difference_of_two_evaluations():
    forces = np.zeros((2, 3))
    moved = forces.copy()
    moved[1, 2] = -1e-8
    agreement = Evaluated(-10.0, forces).against(Evaluated(-10.5, moved), "two ways", "float64")
    assert agreement.energy_difference == pytest.approx(0.5)
    assert agreement.force_difference == pytest.approx(1e-8)


def test_stage_stands_until_its_inputs_change(tmp_path):
    source = tmp_path / "source.txt"
    source.write_text("one")
    Stages(tmp_path).finished("work", ["text", source])
    assert Stages(tmp_path).stands("work", ["text", source])
    assert not Stages(tmp_path).stands("work", ["other text", source])
    assert not Stages(tmp_path).stands("other work", ["text", source])
    source.write_text("two")
    assert not Stages(tmp_path).stands("work", ["text", source])


def test_fresh_forgets_all_stages(tmp_path):
    Stages(tmp_path).finished("work", ["text"])
    assert not Stages(tmp_path, fresh=True).stands("work", ["text"])


def test_failed_program_shows_the_end_of_its_output(tmp_path):
    process = Process(["sh", "-c", "echo it broke; exit 3"], tmp_path / "out.txt")
    process.child.wait()
    with pytest.raises(CharonError, match=r"ended with status 3; the last lines of .*out\.txt:\n  it broke"):
        process.running()


@pytest.mark.parametrize(("epoch", "minutes", "expected"), [(10, 1.0, 0.25), (30, 1.0, 0.3), (200, 9.0, 1.0)])
def test_progress_goes_by_what_ends_first(epoch, minutes, expected):
    config = Config.model_validate({"data": {"train": "x.xyz"}, "training": {"epochs": 100, "max_minutes": 4.0}})
    assert progress({"epoch": epoch, "minutes": minutes}, config) == pytest.approx(expected)


def test_families_of_the_cluster_set():
    systems = ("Ag3-", "Na9Cl8+", "C10H3+", "CClMe- doublet", "CHF+ doublet", "CH2 triplet")
    expected = ["Ag3", "NaCl clusters", "carbon chains", "carbenes", "carbenes", "carbenes"]
    assert [family(system) for system in systems] == expected


def test_pooled_error_is_that_of_the_frames_together():
    structures = [
        Structure.from_atoms(
            Atoms("H" * n, np.arange(3.0 * n).reshape(n, 3), info={"charge": -n % 2, "spin": 1, "system": name})
        )
        for n, name in ((2, "a"), (4, "b"), (6, "c"))
    ]
    for structure in structures:
        structure.labels["forces"] = np.ones((structure.n_atoms, 3))
    predictions = [{"forces": np.full((s.n_atoms, 3), 1.0 + s.n_atoms)} for s in structures]
    row = pooled(error_table(structures, predictions), "forces", ["a", "b"])
    assert row is not None
    assert row.mae == pytest.approx(1000 * (2 * 2 + 4 * 4) / 6)
    assert pooled([], "forces", ["a"]) is None


def test_figures_are_drawn(tmp_path: Path):
    scan = SCANS[0]
    low, high = (state.name for state in scan.states)
    curve = (scan.values - 2.7) ** 2
    far_apart = {low: curve, high: curve + 17.0}
    assert len(scan_figure(ScanResult(scan, far_apart, far_apart)).axes) == 3  # a broken axis, and the errors
    close = {low: curve, high: curve + 0.5}
    assert len(scan_figure(ScanResult(scan, close, close)).axes) == 2
    r = np.arange(0.025, 6.0, 0.05)
    flat = {"Na-Cl": Distribution(r, np.ones_like(r), np.full_like(r, 0.1))}
    distributions_figure(flat, {"NVE": flat}).savefig(tmp_path / "distributions.png")
    time = np.linspace(0.0, 0.3, 50)
    run = {"Time": time, "Temp": time, "Press": time, "TotEng": time}
    course_figure([run, run], 64, 1300.0, (0.1, 0.01)).savefig(tmp_path / "course.png")
