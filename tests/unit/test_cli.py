"""The command line: fast help, what reaches the commands, exit codes and messages."""

import subprocess
import sys
import warnings

import pytest

from charon import cli
from charon.errors import DataError

HEAVY = ("torch", "ase", "matplotlib", "numpy", "rich", "pydantic")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\nfrom charon.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as error:\n    assert error.code == 0\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\nassert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "charon" in result.stdout


def test_every_command_is_listed(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    commands = ("label", "convert", "train", "resume", "eval", "export", "report", "benchmark")
    assert all(f"\n    {command}" in text for command in commands)


def test_unknown_command(capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(["tarin"])
    assert error.value.code == 2
    assert "invalid choice: 'tarin'" in capsys.readouterr().err


def record(monkeypatch, target: str, result=None) -> list:
    calls = []

    def call(*arguments, **options):
        calls.append((arguments, options))
        return result

    monkeypatch.setattr(target, call)
    return calls


def test_label_passes_everything(monkeypatch):
    calls = record(monkeypatch, "charon.data.label.label_file")
    state = "--charge -1 --spin 2 --electronic-temperature 500 --spin-polarization"
    assert cli.main(["label", "a.xyz", "b.xyz", "--method", "GFN2-xTB", *state.split()]) == 0
    (source, target), options = calls[0]
    assert (source.name, target.name) == ("a.xyz", "b.xyz")
    assert options == {
        "engine": "tblite",
        "method": "GFN2-xTB",
        "charge": -1,
        "spin": 2,
        "electronic_temperature": 500.0,
        "spin_polarization": True,
    }


def test_label_guesses_no_state(monkeypatch):
    calls = record(monkeypatch, "charon.data.label.label_file")
    cli.main(["label", "a.xyz", "b.xyz"])
    assert calls[0][1]["charge"] is None and calls[0][1]["spin"] is None


def test_lowest_spin_is_a_choice(monkeypatch, capsys):
    labelled = record(monkeypatch, "charon.data.label.label_file")
    evaluated = record(monkeypatch, "charon.evaluate.evaluate_file")
    assert cli.main(["label", "a.xyz", "b.xyz", "--lowest-spin"]) == 0
    assert cli.main(["eval", "run", "input.data", "--lowest-spin"]) == 0
    assert labelled[0][1]["spin"] == evaluated[0][1]["spin"] == "lowest"
    with pytest.raises(SystemExit):
        cli.main(["label", "a.xyz", "b.xyz", "--lowest-spin", "--spin", "2"])
    assert "not allowed with argument" in capsys.readouterr().err


class Stopped:
    interrupted = True


class Done:
    interrupted = False


@pytest.mark.parametrize(("outcome", "code"), [(Done, 0), (Stopped, 130)])
def test_train_passes_overrides(monkeypatch, outcome, code):
    calls = record(monkeypatch, "charon.train.train_from_file", outcome)
    assert cli.main(["train", "c.yaml", "training.epochs=3", "model.cutoff=4", "--blind", "--run-dir", "r"]) == code
    (config, overrides), options = calls[0]
    assert config.name == "c.yaml" and overrides == ["training.epochs=3", "model.cutoff=4"]
    assert options["blind"] and options["run_directory"].name == "r"


def test_resume_eval_export_report(monkeypatch, capsys):
    resumed = record(monkeypatch, "charon.train.resume", Done)
    evaluated = record(monkeypatch, "charon.evaluate.evaluate_file")
    reported = record(monkeypatch, "charon.report.write_run_report", "run/report.html")
    exported = record(monkeypatch, "charon.export.export_run")
    assert cli.main(["resume", "run"]) == 0
    assert cli.main(["eval", "run", "test.xyz", "--output", "p.xyz", "--batch-size", "4"]) == 0
    assert cli.main(["export", "run", "-o", "m.pt", "--dtype", "float64"]) == 0
    assert cli.main(["report", "run"]) == 0
    assert resumed[0][0][0].name == "run"
    assert evaluated[0][1]["output"].name == "p.xyz" and evaluated[0][1]["batch_size"] == 4
    assert exported[0][0][1].name == "m.pt" and exported[0][1] == {"dtype": "float64"}
    assert reported[0][0][0].name == "run" and "run/report.html" in capsys.readouterr().out


def test_user_error_is_one_message(monkeypatch, capsys):
    def fail(*arguments, **options):
        raise DataError("a.xyz, frame 3: no energy")

    monkeypatch.setattr("charon.train.train_from_file", fail)
    assert cli.main(["train", "c.yaml"]) == 2
    text = capsys.readouterr().err
    assert text == "charon train: error: a.xyz, frame 3: no energy\n"


def test_interrupt(monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("charon.data.label.label_file", interrupt)
    assert cli.main(["label", "a.xyz", "b.xyz"]) == 130
    assert capsys.readouterr().err == "charon label: interrupted\n"


def test_warnings_are_lines(monkeypatch, capsys):
    monkeypatch.setattr(
        "charon.data.label.label_file", lambda *a, **o: warnings.warn("2 frames are left out", stacklevel=2)
    )
    assert cli.main(["label", "a.xyz", "b.xyz"]) == 0
    assert capsys.readouterr().err == "charon: warning: 2 frames are left out\n"


def test_missing_file_without_traceback(tmp_path, capsys):
    assert cli.main(["train", str(tmp_path / "none.yaml")]) == 2
    text = capsys.readouterr().err
    assert "none.yaml: cannot be read" in text and "Traceback" not in text


def test_broken_pipe_is_silent():
    code = "from charon import cli; import charon.data.label as label\n"
    code += "def broken(*a, **o): raise BrokenPipeError\nlabel.label_file = broken\n"
    code += "raise SystemExit(cli.main(['label', 'a', 'b']))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr == ""


def test_overrides_may_follow_options():
    options = cli._parse(
        ["train", "c.yaml", "model.cutoff=4", "--blind", "training.epochs=2", "--run-dir", "r", "training.seed=3"]
    )
    assert options.overrides == ["model.cutoff=4", "training.epochs=2", "training.seed=3"]
    assert options.blind and str(options.run_dir) == "r"


@pytest.mark.parametrize("words", [["train", "c.yaml", "--blindly"], ["eval", "m.pt", "d.xyz", "a=b"]])
def test_other_unknown_words_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        cli._parse(words)
    assert "unrecognized arguments" in capsys.readouterr().err
