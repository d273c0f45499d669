"""The exported file: the same numbers as the trained model, and a clear word for every other file."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from charon.batch import collate, make_graph
from charon.errors import ModelFileError
from charon.export import export_model, load_model
from charon.export.samples import verification_samples
from charon.model import ModelConfig, Statistics, build_potential, evaluate
from charon.structure import Structure

CONFIGS = {
    "tensors": ModelConfig(cutoff=4.0, channels=8),
    "vectors": ModelConfig(cutoff=4.0, channels=8, l_max=1, layers=3),
    "free charges": ModelConfig(cutoff=4.0, channels=8, charge_form="free"),
    "blind": ModelConfig(cutoff=4.0, channels=8, electronic="none", repulsion="none"),
    "trained repulsion": ModelConfig(cutoff=4.0, channels=8, electronic="none", repulsion="trainable"),
}
INFO = {"charge_range": (-1, 1), "spin_range": (1, 3), "data_fingerprint": "abc"}


def random_potential(name: str, dtype: torch.dtype):
    torch.manual_seed(5)
    return build_potential(CONFIGS[name], [11, 17], Statistics((-100.0, -120.0), 12.0, -4.0)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", list(CONFIGS))
def test_the_file_gives_the_numbers_of_the_model(name, dtype, tmp_path):
    potential = random_potential(name, dtype)
    loaded = export_model(potential, tmp_path / "model.pt", info=INFO)
    allowed = 1e-12 if dtype == torch.float64 else 2e-5
    for structure in verification_samples([11, 17], (-1, 1)):
        batch = collate([make_graph(structure, loaded.elements, loaded.cutoff)], loaded.dtype)
        found, expected = loaded.evaluate(batch), evaluate(potential, batch)
        for output in ("energy", "energies", "forces", "stress", "charges", "spins", "dipole"):
            difference = getattr(found, output) - getattr(expected, output)
            assert float(difference.abs().max()) <= allowed, (structure.system, output)


def test_a_trained_repulsion_survives_export(tmp_path):
    potential = random_potential("trained repulsion", torch.float64)
    before = export_model(potential, tmp_path / "before.pt", info=INFO)
    with torch.no_grad():
        potential.repulsion.free += 0.3
    after = export_model(potential, tmp_path / "after.pt", info=INFO)
    pair = Structure(
        np.array([11, 17]), np.array([[0.0, 0, 0], [0, 0, 0.9]]), np.zeros((3, 3)), np.zeros(3, bool), 0, 1
    )
    batch = collate([make_graph(pair, [11, 17], 4.0)], torch.float64)
    expected = float(evaluate(potential, batch).energy)
    assert float(after.evaluate(batch).energy) == pytest.approx(expected, abs=1e-9)
    assert abs(float(before.evaluate(batch).energy) - expected) > 1.0


def test_a_batch_of_several_systems_is_evaluated_at_once(tmp_path):
    loaded = export_model(random_potential("tensors", torch.float64), tmp_path / "model.pt", info=INFO)
    graphs = [make_graph(s, loaded.elements, loaded.cutoff) for s in verification_samples([11, 17], (-1, 1))]
    together = loaded.evaluate(collate(graphs, loaded.dtype))
    alone = [float(loaded.evaluate(collate([graph], loaded.dtype)).energy) for graph in graphs]
    assert together.energy.tolist() == pytest.approx(alone, abs=1e-10)


def test_export_in_another_precision_leaves_the_potential_alone(tmp_path):
    potential = random_potential("tensors", torch.float64)
    loaded = export_model(potential, tmp_path / "model.pt", dtype=torch.float32, info=INFO)
    assert loaded.metadata["dtype"] == "float32"
    assert all(parameter.dtype == torch.float64 for parameter in potential.parameters())
    assert all(parameter.requires_grad for parameter in potential.parameters())


def test_metadata(tmp_path):
    metadata = export_model(random_potential("vectors", torch.float32), tmp_path / "m.pt", info=INFO).metadata
    assert metadata["elements"] == ["Na", "Cl"] and metadata["reference_energies"] == [-100.0, -120.0]
    assert metadata["charge_range"] == [-1, 1] and metadata["spin_range"] == [1, 3]
    assert metadata["cutoff"] == 4.0 and metadata["electronic"] == "equilibration"
    assert metadata["exchange_width"] == 5 * 8  # two filtered scalars and three vector components per channel
    assert metadata["data_fingerprint"] == "abc"


@pytest.fixture(scope="module")
def good_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.pt"
    export_model(random_potential("tensors", torch.float64), path, info=INFO)
    return path


def rewritten(good: Path, target: Path, name: str, change) -> Path:
    """A copy of the archive in which the JSON file `name` is changed."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(target, "w") as copy:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith(f"extra/{name}"):
                content = json.dumps(change(json.loads(content))).encode()
            copy.writestr(entry, content)
    return target


def test_missing_file():
    with pytest.raises(ModelFileError, match="nowhere.pt: no such file"):
        load_model("nowhere.pt")


def test_truncated_file(good_file, tmp_path):
    path = tmp_path / "cut.pt"
    path.write_bytes(good_file.read_bytes()[:20000])
    with pytest.raises(ModelFileError, match="cut.pt: is truncated: its end is missing"):
        load_model(path)


def test_file_that_is_no_model(tmp_path):
    path = tmp_path / "notes.pt"
    path.write_text("energies of yesterday")
    with pytest.raises(ModelFileError, match="notes.pt: is no model file; expected what `charon export"):
        load_model(path)


def test_checkpoint_in_place_of_an_exported_file(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="weights.pt: holds weights.*charon export RUN -o model.pt"):
        load_model(path)


def test_torchscript_of_something_else(tmp_path):
    path = tmp_path / "linear.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(ModelFileError, match="is TorchScript, but no model of charon"):
        load_model(path)


@pytest.mark.parametrize(
    ("key", "found", "known"),
    [("format", 99, "format 1"), ("op_schema", 99, "op_schema 1 to 2"), ("op_schema", 0, "op_schema 1 to 2")],
)
def test_another_version(good_file, tmp_path, key, found, known):
    path = rewritten(good_file, tmp_path / "new.pt", "metadata.json", lambda m: {**m, key: found})
    message = rf"new.pt: {key} {found}, written by charon [\d.]+; this charon \([\d.]+\) reads {known}\. Load it with"
    with pytest.raises(ModelFileError, match=message):
        load_model(path)


def test_a_newer_version_is_named_before_its_operators_are_looked_for(good_file, tmp_path):
    path = tmp_path / "new.pt"
    with zipfile.ZipFile(good_file) as source, zipfile.ZipFile(path, "w") as copy:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith("metadata.json"):
                content = content.replace(b'"op_schema": 2', b'"op_schema": 3')
            copy.writestr(entry, content.replace(b"ops.charon.layer", b"ops.charon.laser"))
    with pytest.raises(ModelFileError, match="op_schema 3, .* reads op_schema 1 to 2"):
        load_model(path)
    with pytest.raises(RuntimeError, match="its op_schema is version 3, .* reads versions 1 to 2"):
        torch.classes.charon.RuntimeModel(str(path))


def test_files_of_the_first_operators_still_load():
    loaded = load_model(Path(__file__).parents[1] / "benchmarks" / "models" / "acac_short.pt")
    assert loaded.metadata["op_schema"] == 1 and loaded.elements == [1, 6, 8]


def test_golden_sample_that_does_not_fit(good_file, tmp_path):
    def change(golden):
        golden["outputs"]["energies"][0] += 1e-3
        return golden

    path = rewritten(good_file, tmp_path / "changed.pt", "golden.json", change)
    with pytest.raises(ModelFileError, match="golden sample's energies differ by"):
        load_model(path)


def test_a_file_that_differs_from_the_model_is_not_kept(monkeypatch, tmp_path):
    from charon.export import write

    def shifted(potential, batch):
        prediction = evaluate(potential, batch)
        prediction.forces = prediction.forces + 1e-3
        return prediction

    monkeypatch.setattr(write, "evaluate", shifted)
    with pytest.raises(ModelFileError, match="differs from the trained model: forces of the open sample of 1 atoms"):
        export_model(random_potential("tensors", torch.float64), tmp_path / "model.pt", info=INFO)
    assert not list(tmp_path.iterdir())


def test_a_copy_elsewhere_gives_the_same(good_file, tmp_path):
    copy = tmp_path / "copy.pt"
    shutil.copy(good_file, copy)
    structure = verification_samples([11, 17], (0, 0))[4]
    batch = collate([make_graph(structure, [11, 17], 4.0)], torch.float64)
    forces = [load_model(path).evaluate(batch).forces.numpy() for path in (good_file, copy)]
    assert np.array_equal(*forces)
