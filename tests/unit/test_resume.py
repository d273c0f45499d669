"""Interrupting and continuing: bit for bit, or not at all."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from charon.errors import DataError, ModelFileError
from charon.train import resume, train_from_file
from charon.train.checkpoint import load_checkpoint
from charon.train.loop import Trainer


@contextmanager
def interrupt_at(step: int, number: int = signal.SIGINT) -> Iterator[None]:
    """Sends a signal to this process during a step of the trainings inside the block."""
    original = Trainer._step

    def interrupted(self, members):
        if self.at.step == step:
            os.kill(os.getpid(), number)
        return original(self, members)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_step", interrupted)
        yield


def tensors(tree) -> list[torch.Tensor]:
    """All tensors of nested dictionaries and lists."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    return [tensor for child in children for tensor in tensors(child)]


def rows_without_time(run: Path) -> list[list[str]]:
    lines = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    column = lines[0].index("minutes")
    return [line[:column] + line[column + 1 :] for line in lines]


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("step", [5, 8])
def test_continues_bit_for_bit(project, console, step):
    folder = project.parent
    straight = train_from_file(project, run_directory=folder / "straight", console=console).run_directory
    with interrupt_at(step):
        outcome = train_from_file(project, run_directory=folder / "broken", console=console)
    assert outcome.interrupted and "continue with: charon resume" in console.file.getvalue()
    assert load_checkpoint(folder / "broken/checkpoints/last.pt").training["position"]["step"] == step + 1
    assert not resume(folder / "broken", console=console).interrupted
    for which in ("last", "best"):
        a, b = (load_checkpoint(run / f"checkpoints/{which}.pt").training for run in (straight, folder / "broken"))
        assert len(tensors(a)) > 10
        assert all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))
    assert rows_without_time(straight) == rows_without_time(folder / "broken")
    assert (straight / "predictions/test.xyz").read_bytes() == (folder / "broken/predictions/test.xyz").read_bytes()


@pytest.mark.usefixtures("without_report")
def test_a_killed_run_goes_back_to_its_checkpoint(project, console):
    folder = project.parent
    straight = train_from_file(project, run_directory=folder / "straight", console=console).run_directory
    original = Trainer._step

    def crash(self, members):
        if self.at.step == 8:
            raise RuntimeError("power failure")
        return original(self, members)

    overrides = ["training.checkpoint_every=2"]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="power failure"):
        patch.setattr(Trainer, "_step", crash)
        train_from_file(project, overrides, run_directory=folder / "killed", console=console)
    assert not resume(folder / "killed", console=console).interrupted
    assert rows_without_time(straight) == rows_without_time(folder / "killed")


def test_sigterm_saves_too(project, console):
    before = signal.getsignal(signal.SIGINT)
    with interrupt_at(1, signal.SIGTERM):
        assert train_from_file(project, run_directory=project.parent / "run", console=console).interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_finished_run_is_only_evaluated_again(project, console):
    run = train_from_file(project, run_directory=project.parent / "run", console=console).run_directory
    before = (run / "metrics.csv").read_text()
    (run / "report.html").unlink()
    assert not resume(run, console=console).interrupted
    assert (run / "report.html").is_file() and (run / "metrics.csv").read_text() == before


def test_changed_data_are_refused(sets, project, console):
    with interrupt_at(1):
        train_from_file(project, run_directory=project.parent / "run", console=console)
    sets.write(project.parent / "train.xyz", sets.trimers(13))
    with pytest.raises(DataError) as error:
        resume(project.parent / "run", console=console)
    text = str(error.value)
    assert "the data have changed" in text and "train (12 frames then, 13 now)" in text
    assert "validation" not in text and "split.json" in text


def test_no_run_directory(tmp_path, console):
    with pytest.raises(ModelFileError, match="is no run directory"):
        resume(tmp_path, console=console)


def test_run_without_checkpoint(project, console, finished_run):
    (project.parent / "run").mkdir()
    (project.parent / "run/config.yaml").write_bytes((finished_run / "config.yaml").read_bytes())
    with pytest.raises(ModelFileError, match="last.pt: no such checkpoint"):
        resume(project.parent / "run", console=console)


@pytest.mark.parametrize("damage", ["truncated", "text", "other"])
def test_damaged_checkpoint(tmp_path, finished_run, damage):
    path = tmp_path / "last.pt"
    content = (finished_run / "checkpoints/last.pt").read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "text":
        path.write_text("no checkpoint")
    else:
        torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(ModelFileError, match="last.pt: is no checkpoint"):
        load_checkpoint(path)


def test_checkpoint_of_another_format(tmp_path, finished_run):
    content = torch.load(finished_run / "checkpoints/last.pt", weights_only=True)
    content["charon_checkpoint"] = 99
    torch.save(content, tmp_path / "new.pt")
    with pytest.raises(ModelFileError, match="checkpoint of format 99"):
        load_checkpoint(tmp_path / "new.pt")


def test_checkpoint_of_a_time_before_some_keys(tmp_path, finished_run):
    content = torch.load(finished_run / "checkpoints/last.pt", weights_only=True)
    for key in ("state_channels", "repulsion_reach"):
        del content["config"]["model"][key]
    torch.save(content, tmp_path / "old.pt")
    model = load_checkpoint(tmp_path / "old.pt").config.model
    assert (model.state_channels, model.repulsion_reach) == (0, 1.0)
