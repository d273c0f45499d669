"""The configuration: what is read, and what a mistake is answered with."""

import pytest

from charon.errors import ConfigError
from charon.model import ModelConfig
from charon.train.config_file import load_config, save_config

MINIMAL = "data:\n  train: train.xyz\n"


def written(tmp_path, text: str):
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_two_lines_are_enough(tmp_path):
    config = load_config(written(tmp_path, MINIMAL))
    assert config.data.train == (tmp_path / "train.xyz",)
    assert config.data.validation == () and config.training.dtype == "float32"
    assert config.model.electronic == "equilibration"


def test_paths_are_relative_to_the_file(tmp_path):
    text = "data:\n  train: [a.xyz, sub/b.xyz]\n  validation: 0.1\n  test: /elsewhere/c.xyz\n"
    data = load_config(written(tmp_path, text)).data
    assert [str(p) for p in data.train] == [f"{tmp_path}/a.xyz", f"{tmp_path}/sub/b.xyz"]
    assert data.validation == 0.1 and [str(p) for p in data.test] == ["/elsewhere/c.xyz"]


def test_empty_sections_are_defaults(tmp_path):
    assert load_config(written(tmp_path, MINIMAL + "loss:\ntraining:\n")).training.epochs == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "training:\n  batchsize: 3\n",
            "line 4: unknown key 'training.batchsize'; did you mean 'training.batch_size'?",
        ),
        ("training:\n  cutoff: 3\n", "line 4: unknown key 'training.cutoff'; did you mean 'model.cutoff'?"),
        ("modle:\n  cutoff: 3\n", "line 3: unknown key 'modle'; did you mean 'model'?"),
        ("loss:\n  xyzzy: 3\n", "line 4: unknown key 'loss.xyzzy'; keys here: kind, huber_delta, energy,"),
        (
            "training:\n  epochs: 0\n",
            "line 4: 'training.epochs': input should be greater than or equal to 1, found 0",
        ),
        ("training:\n  epochs: many\n", "line 4: 'training.epochs': input should be a valid integer"),
        ("loss:\n  kind: mae\n", "line 4: 'loss.kind': input should be 'mse' or 'huber', found 'mae'"),
        (
            "loss: 3\n",
            "line 3: 'loss': input should be a valid dictionary or instance of LossConfig, found 3",
        ),
        ("training:\n  schedule: plateau\n", "training.schedule 'plateau' needs data.validation"),
        ("training:\n  seed: 1\n  seed: 2\n", "line 5: key 'training.seed' was given in line 4 already"),
        ("training: [1\n", "is not valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path, text, expected):
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, MINIMAL + text))
    assert expected in str(error.value) and "run.yaml" in str(error.value)


def test_all_mistakes_at_once(tmp_path):
    text = MINIMAL + "training:\n  batchsize: 3\n  epochs: 0\n"
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, text))
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected sections (data, model, loss, training), found nothing"),
        ("- 1\n", "expected sections (data, model, loss, training), found list"),
        ("model:\n  cutoff: 4\n", "key 'data' is missing"),
        ("data:\n  test: a.xyz\n", "key 'data.train' is missing"),
    ],
)
def test_no_configuration(tmp_path, text, expected):
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, text))
    assert expected in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_overrides(tmp_path):
    overrides = [
        "training.epochs=7",
        "model.cutoff=4.5",
        "training.learning_rate=1e-3",
        "data.train=[x.xyz, y.xyz]",
    ]
    config = load_config(written(tmp_path, MINIMAL), overrides)
    assert (config.training.epochs, config.model.cutoff, config.training.learning_rate) == (7, 4.5, 1e-3)
    assert [path.name for path in config.data.train] == ["x.xyz", "y.xyz"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "training.epoch=3",
            "override 'training.epoch=3': unknown key 'training.epoch'; did you mean 'training.epochs'?",
        ),
        (
            "training.epochs=-1",
            "override 'training.epochs=-1': 'training.epochs': input should be greater than",
        ),
        ("epochs", "expected section.key=value"),
        ("=3", "expected section.key=value"),
        ("training.epochs=[1", "'[1' is not a YAML value"),
        ("training.epochs.more=1", "override 'training.epochs.more=1': 'epochs' is a value, not a section"),
    ],
)
def test_wrong_overrides(tmp_path, override, expected):
    text = MINIMAL + "training:\n  epochs: 5\n"
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, text), [override])
    assert expected in str(error.value)


def test_blind_withholds_the_state(tmp_path):
    config = load_config(written(tmp_path, MINIMAL), ["model.electronic=equilibration"], blind=True)
    assert config.model.electronic == "none"


def test_saved_configuration_reads_back(tmp_path):
    config = load_config(written(tmp_path, MINIMAL), ["data.validation=0.2", "loss.kind=huber"])
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(tmp_path / "saved.yaml") == config


@pytest.mark.parametrize(("stored", "expected"), [(True, "zbl"), (False, "none"), ("trainable", "trainable")])
def test_older_configurations_switch_repulsion_on_and_off(stored, expected):
    assert ModelConfig(repulsion=stored).repulsion == expected
