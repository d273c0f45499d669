"""`charon benchmark ko2021` on a small archive made here: sets, split, training, comparison, going on."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.units import Bohr, Hartree

from charon.benchmark import ko2021, run_ko2021
from charon.benchmark.archive import find_sets, recognized, split
from charon.benchmark.one_set import errors_on_test
from charon.benchmark.published import PEERS, SETS
from charon.cli import main
from charon.data import fingerprint, read_structures
from charon.errors import ConfigError, DataError
from charon.structure import Structure

TINY = ("model.channels=4", "model.layers=1", "model.l_max=1", "model.radial_functions=4", "training.epochs=3")


def input_data(frames) -> str:
    """Frames in atomic units, with the labels of their calculators."""
    lines = []
    for atoms in frames:
        results = atoms.calc.results
        forces, charges = results["forces"] * Bohr / Hartree, results["charges"]
        lines.append("begin")
        for atom, force, charge in zip(atoms, forces, charges, strict=True):
            numbers = [*(atom.position / Bohr), atom.symbol, charge, 0.0, *force]
            lines.append("atom " + " ".join(str(number) for number in numbers))
        lines += [f"energy {results['energy'] / Hartree}", f"charge {atoms.info['charge']}.0", "end"]
    return "\n".join(lines) + "\n"


def salt_clusters(count: int) -> str:
    """Cl8Na8+ and Cl8Na9+ in turn, displaced, in harmonic wells."""
    random = np.random.default_rng(1)
    cube = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat((2, 1, 1)).positions
    symbols = ["Na", "Cl"] * 8
    blocks = []
    for index in range(count):
        sodium = index % 2
        names = symbols + ["Na"] * sodium
        shift = random.normal(scale=0.1, size=(16 + sodium, 3))
        positions = np.concatenate([cube, np.array([[12.0, 0, 0]])[:sodium]]) + shift
        charges = [0.9 if name == "Na" else -0.9 for name in names]
        charges[0] += 1.0 - sum(charges)
        rows = [
            " ".join(str(x) for x in ("atom", *(r / Bohr), name, q, 0.0, *(-f * 0.05)))
            for r, name, q, f in zip(positions, names, charges, shift, strict=True)
        ]
        energy = -4000.0 - 160.0 * sodium + 0.025 * float((shift**2).sum()) / Bohr
        blocks.append("\n".join(["begin", *rows, f"energy {energy}", "charge 1.0", "end"]) + "\n")
    return "".join(blocks)


@pytest.fixture
def archive(tmp_path, sets) -> Path:
    """Two of the sets, and a file that is none of them."""
    folder = tmp_path / "datasets"
    for name, text in {
        "Ag_cluster": input_data(sets.trimers(30)),
        "NaCl": salt_clusters(20),
        "other": "begin\natom 0 0 0 He 0.1 0 0 0 1\nenergy -2\ncharge 0\nend\n",
    }.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "input.data").write_text(text)
    return folder


def test_sets_are_recognized_by_their_formulas():
    assert recognized(["C10H2", "C10H3"]) == "carbon_chain" and recognized(["Ag3"]) == "ag3"
    assert recognized(["Cl8Na8", "Cl8Na9"]) == "nacl" and recognized(["Cl8Na9"]) == "nacl"
    assert recognized(["Al3Au2Mg51O54", "Au2Mg54O54"]) == "au_mgo"
    assert recognized(["Ag3", "C10H2"]) is None and recognized(["C10H20"]) is None and recognized(["Cl8Na10"]) is None


def test_multiplicities_are_the_lowest(archive):
    found, remarks = find_sets(archive)
    assert sorted(found) == ["ag3", "nacl"]
    states = {(s.system, s.total_charge, s.spin_multiplicity) for s in found["nacl"]}
    assert states == {("Cl8Na8 (+1, 2)", 1, 2), ("Cl8Na9 (+1, 1)", 1, 1)}
    assert len(remarks) == 1 and "none of the sets, it has He" in remarks[0]


def test_every_peer_has_every_set():
    for peer in PEERS:
        assert sorted(peer.errors) == sorted(known.name for known in SETS)
        assert peer.from_memory == ("memory" in peer.source)


def test_split(sets):
    structures = [Structure.from_atoms(atoms) for atoms in sets.trimers(40)]
    train, test = split(structures, seed=3)
    assert (len(train), len(test)) == (36, 4)
    assert {id(s) for s in train} | {id(s) for s in test} == {id(s) for s in structures}
    assert fingerprint(split(structures, seed=3)[1]) == fingerprint(test) != fingerprint(split(structures, seed=4)[1])


def test_from_archive_to_table(archive, tmp_path, console, without_report, monkeypatch):
    """Trained on nine tenths, judged by the rest; the second call trains nothing."""
    output = tmp_path / "out"
    words = {"minutes": 1.0, "preset": None, "overrides": TINY, "console": console}
    assert run_ko2021(archive, output, **words)
    text = console.file.getvalue()
    counts = "frames found: 20 of Na8/9Cl8+, 30 of Ag3+/-; the peers' figures are of the whole archive"
    for expected in (
        "not found, left out: C10H2 / C10H3+, Au2-MgO",
        "Ag3 (+1, 1): 15 frames, charge +1",
        "CACE-LR*",
        counts,
    ):
        assert expected in text
    content = json.loads((output / "ko2021.json").read_text())
    ours = next(model for model in content["models"] if model["name"] == "Charon")["rmse"]
    assert content["frames"] == {"ag3": 30, "nacl": 20} and set(ours) == {"ag3", "nacl"}
    assert tuple(ours["nacl"].values()) == errors_on_test(output / "nacl")
    assert all(np.isfinite(value) for value in ours["ag3"].values()) and (output / "ko2021.png").stat().st_size > 1e4
    assert len(read_structures(output / "ag3" / "test.xyz.gz")) == 3

    split_of_run = json.loads((output / "ag3" / "run" / "split.json").read_text())
    assert [split_of_run[name]["frames"] for name in ("train", "validation", "test")] == [25, 2, 3]

    monkeypatch.setattr("charon.benchmark.one_set.train_from_file", lambda *a, **o: pytest.fail("trained again"))
    assert run_ko2021(archive, output, **words)
    with pytest.raises(ConfigError, match="nacl: was begun with something else: minutes 1.0, now 2.0, seed 0, now"):
        run_ko2021(archive, output, **words | {"minutes": 2.0, "seed": 5})


def test_it_goes_on_after_an_interruption(archive, tmp_path, console, without_report, monkeypatch):
    words = {"preset": None, "overrides": TINY, "console": console}
    with monkeypatch.context() as patch:
        patch.setattr("charon.train.loop.Trainer.run", lambda trainer, hooks: bool(hooks.save(trainer, "last")))
        assert not run_ko2021(archive, tmp_path / "out", **words)
    assert "interrupted; the same command goes on" in console.file.getvalue()
    assert run_ko2021(archive, tmp_path / "out", **words)
    assert "continues after step 0" in console.file.getvalue()
    assert (tmp_path / "out" / "ko2021.json").is_file()


def test_what_is_wrong_is_named(archive, tmp_path, console):
    with pytest.raises(DataError, match="nowhere: there is no such folder. Expected the .*archive"):
        find_sets(tmp_path / "nowhere")
    with pytest.raises(DataError, match="none of the sets C10H2 / C10H3.* in 1 files .*it has He"):
        find_sets(archive / "other")
    (archive / "copy_input.data").write_text((archive / "NaCl" / "input.data").read_text())
    with pytest.raises(DataError, match="input.data: the set nacl was found in .*input.data already. Keep one"):
        find_sets(archive)
    with pytest.raises(ConfigError, match="unknown key 'model.presett'"):
        run_ko2021(archive / "NaCl", tmp_path / "out", preset=None, overrides=["model.presett=nse"], console=console)
    with pytest.raises(ConfigError, match="'model.size'"):
        run_ko2021(archive / "NaCl", tmp_path / "out", preset=None, overrides=["model.size=none"], console=console)


@pytest.mark.parametrize(("finished", "code"), [(True, 0), (False, 130)])
def test_command_line(monkeypatch, finished, code):
    calls = []
    monkeypatch.setattr("charon.benchmark.run_ko2021", lambda *a, **o: calls.append((a, o)) or finished)
    words = ["benchmark", "ko2021", "--data", "d", "model.size=small", "--minutes", "5", "--seed", "2", "-o", "out"]
    assert main(words) == code
    (data, output), options = calls[0]
    assert (str(data), str(output)) == ("d", "out")
    assert options == {"minutes": 5.0, "preset": "nse", "seed": 2, "overrides": ["model.size=small"]}
    assert ko2021.Options(5.0, "nse", 2, ("model.size=small",)).words() == ["model.preset=nse", "model.size=small"]
