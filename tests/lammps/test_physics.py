"""What a simulator relies on: virial, conserved energy, units, sums over atoms, other styles beside this one."""

import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from charon.export import load_model

KCAL = 23.060549
"""kcal/mol per eV, the value that LAMMPS uses."""


# entry of the box matrix (vectors in rows) that a change_box keyword changes, and the length it is relative to
BOX_ENTRIES = {"x": (0, 0), "y": (1, 1), "z": (2, 2), "xy": (1, 0), "xz": (2, 0), "yz": (2, 1)}


def box_steps(entry: str, step: float) -> str:
    """Runs with one entry of the box matrix changed by +step and by -step of its length, then changes it back."""
    if len(entry) == 1:
        factors = [1 + step, (1 - step) / (1 + step), 1 / (1 - step)]
        plus, minus, back = (f"change_box all {entry} scale {factor!r} remap\n" for factor in factors)
    else:
        length = "l" + entry[1]
        plus, minus, back = (f"change_box all {entry} delta $({k}*{step}*{length}) remap\n" for k in (1, -2, 1))
    return plus + "run 0\n" + minus + "run 0\n" + back


def box_virial(atoms: Atoms, virial: np.ndarray, entry: str) -> float:
    """-dE/dstep of `box_steps`, from the virial: positions follow x' = x A^-1 (A + step dA)."""
    box = np.asarray(atoms.cell)
    row, column = BOX_ENTRIES[entry]
    change = np.zeros((3, 3))
    change[row, column] = box[row, row]
    full = virial[[[0, 3, 4], [3, 1, 5], [4, 5, 2]]]
    return float((full * (np.linalg.inv(box) @ change)).sum())


def test_virial_against_finite_differences(lammps, inputs, model_path):
    """-dE/dstrain by central differences of the energy inside LAMMPS, in a sheared cell, on two ranks."""
    case, step = inputs.cases["salt"], 3e-5
    data = lammps.data(case.atoms, case.elements)
    after = "run 0\n" + "".join(box_steps(entry, step) for entry in BOX_ENTRIES)
    outcome = lammps.succeed(inputs.script(data, model_path, " ".join(case.elements), after=after), ranks=2)
    energy, virial = outcome.thermo["PotEng"], outcome.virial(0)
    for k, entry in enumerate(BOX_ENTRIES):
        numerical = -(energy[1 + 2 * k] - energy[2 + 2 * k]) / (2 * step)
        analytic = box_virial(case.atoms, virial, entry)
        assert numerical == pytest.approx(analytic, rel=0, abs=1e-6 * np.abs(virial).max()), entry


def test_sums_over_atoms(lammps, inputs, model_path):
    """Energies and both kinds of virial per atom add up to the totals, on two ranks."""
    case = inputs.cases["salt"]
    data = lammps.data(case.atoms, case.elements)
    after = """
compute two all stress/atom NULL pair
compute centroid all centroid/stress/atom NULL pair
compute sums all reduce sum c_energy c_two[1] c_two[2] c_two[3] c_two[4] c_two[5] c_two[6]
compute centers all reduce sum c_centroid[1] c_centroid[2] c_centroid[3] c_centroid[4] c_centroid[5] c_centroid[6]
thermo_style custom step pe pxx pyy pzz pxy pxz pyz vol c_sums[*] c_centers[*]
thermo_modify format float %.17g
run 0
"""
    text = inputs.script(data, model_path, " ".join(case.elements), after=after)
    outcome = lammps.succeed(text, ranks=2)
    last = {name: values[-1] for name, values in outcome.thermo.items()}
    assert last["c_sums[1]"] == pytest.approx(last["PotEng"], rel=1e-12)
    virial = outcome.virial() * 1.6021765e6
    two = np.array([last[f"c_sums[{k}]"] for k in range(2, 8)])
    centroid = np.array([last[f"c_centers[{k}]"] for k in range(1, 7)])
    np.testing.assert_allclose(-two, virial, rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(-centroid, virial, rtol=1e-9, atol=1e-3)


def test_units_real(lammps, inputs, model_path, model):
    case = inputs.cases["molecule"]
    data = lammps.data(case.atoms, case.elements)
    text = inputs.script(data, model_path, "C H", state=case.state, boundary=case.boundary, units="real")
    outcome, expected = lammps.succeed(text), case.predict(model)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item() * KCAL, rel=1e-9)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy() * KCAL, atol=1e-7)
    np.testing.assert_allclose(outcome.atoms["q"], expected.charges.numpy(), atol=1e-10)


def test_hybrid_overlay_does_not_show_other_types_to_the_model(lammps, inputs, model_path, model):
    """Helium atoms interact by zbl only; the model sees the molecule alone, on any number of ranks."""
    case = inputs.cases["molecule"]
    helium = Atoms("He2", positions=[[3.0, 5.4, 3.2], [5.0, 1.5, 4.0]])
    everything = case.atoms[:4] + helium + case.atoms[4:]
    data = lammps.data(everything, ["C", "He", "H"])
    zbl = "zbl 1.5 3.0\n"
    zbl_pairs = "pair_coeff 1 1 zbl 6 6\npair_coeff 1 2 zbl 6 2\npair_coeff 2 2 zbl 2 2\npair_coeff 2 3 zbl 2 1\n"
    zbl_pairs += "pair_coeff 1 3 zbl 6 1\npair_coeff 3 3 zbl 1 1\n"
    both = f"pair_style hybrid/overlay charon {model_path} {case.state} {zbl}"
    both += f"pair_coeff * * charon C NULL H\n{zbl_pairs}"
    only = f"pair_style {zbl}" + zbl_pairs.replace(" zbl", "")
    alone = inputs.script(data, model_path, "", boundary="f f f", pair=only)
    alone = "\n".join(line for line in alone.splitlines() if not line.startswith(("fix state", "compute energy")))
    reference = lammps.succeed(alone.replace("c_energy f_state[1] f_state[2]", ""))
    expected = case.predict(model)
    seen = [0, 1, 2, 3, 6, 7, 8]
    for ranks in (1, 3):
        outcome = lammps.succeed(inputs.script(data, model_path, "", boundary="f f f", pair=both), ranks)
        total = reference.thermo["PotEng"][-1] + expected.energy.item()
        assert outcome.thermo["PotEng"][-1] == pytest.approx(total, rel=1e-9)
        extra = outcome.forces - reference.forces
        np.testing.assert_allclose(extra[seen], expected.forces.numpy(), atol=1e-8)
        np.testing.assert_allclose(extra[4:6], 0.0, atol=1e-8)
        np.testing.assert_allclose(outcome.atoms["q"][seen], expected.charges.numpy(), atol=1e-10)
        assert np.all(outcome.atoms["f_state[1]"][4:6] == 0.0)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_energy_is_conserved(lammps, inputs, model_path, model32_path, dtype):
    """NVE for 1 ps at 300 K: drift below 1 meV/atom/ns in float64; that of float32 is printed.

    Verlet's own fluctuation, which a fit over 1 ps takes for a drift, falls as the square of the time step:
    1.83, 0.47 and 0.11 meV/atom/ns at 0.5, 0.25 and 0.125 fs.
    """
    atoms = bulk("NaCl", "rocksalt", a=5.7, cubic=True)
    data = lammps.data(atoms, ["Na", "Cl"])
    path = model_path if dtype == "float64" else model32_path
    after = "undump 1\nunfix state\nvelocity all create 300 4928\ntimestep 0.00025\nthermo 10\nrun 4000\n"
    outcome = lammps.succeed(inputs.script(data, path, "Na Cl", after=after))
    total, time = outcome.thermo["TotEng"] / len(atoms), outcome.thermo["Step"] * 0.25e-6  # eV/atom, ns
    drift = 1000 * np.polyfit(time, total, 1)[0]
    print(f"NVE with a {dtype} model: drift {drift:.3f} meV/atom/ns, scatter {1000 * total.std():.1e} meV/atom")
    assert abs(drift) < (1.0 if dtype == "float64" else 100.0)


def test_single_precision_model(lammps, inputs, model32_path):
    """A float32 file on two ranks: equal to its own evaluation in Python within single precision."""
    case, model = inputs.cases["salt"], load_model(model32_path)
    data = lammps.data(case.atoms, case.elements)
    outcome = lammps.succeed(inputs.script(data, model32_path, " ".join(case.elements)), ranks=2)
    expected = case.predict(model)
    assert outcome.thermo["PotEng"][-1] == pytest.approx(expected.energy.item(), rel=1e-7)
    np.testing.assert_allclose(outcome.forces, expected.forces.numpy(), atol=2e-4)


def test_memory_does_not_grow(lammps, inputs, model_path):
    """Largest resident memory after 50 and after 250 steps with changing numbers of edges."""
    case = inputs.cases["molecule"]
    data = lammps.data(case.atoms, case.elements)
    after = "undump 1\nvelocity all create 300 4928\ntimestep 0.00005\nthermo 50\n"
    after += "run 50\ninfo memory\nrun 200\ninfo memory"
    text = inputs.script(data, model_path, "C H", state=case.state, boundary=case.boundary, after=after)
    resident = re.findall(r"Maximum resident set size: ([\d.]+) Mbyte", lammps.succeed(text).text)
    assert len(resident) == 2
    assert float(resident[1]) - float(resident[0]) < 4.0
