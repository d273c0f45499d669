"""`charon train`, `charon resume` and `charon benchmark`."""

import argparse
from pathlib import Path

from charon.commands.base import EXIT_INTERRUPTED, Commands, add_command


def add_train(commands: Commands) -> None:
    """Options of `charon train`."""
    parser = add_command(commands, "train", _train, "Train a model; writes a run directory.")
    parser.add_argument("config", type=Path, help="YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. training.epochs=50 model.cutoff=5")
    parser.add_argument("--run-dir", type=Path, help="default: runs/<config name>-<number>")
    parser.add_argument("--blind", action="store_true", help="withhold charge and spin: model.electronic=none")


def _train(options: argparse.Namespace) -> int:
    from charon.train import train_from_file

    outcome = train_from_file(options.config, options.overrides, run_directory=options.run_dir, blind=options.blind)
    return EXIT_INTERRUPTED if outcome.interrupted else 0


def add_resume(commands: Commands) -> None:
    """Options of `charon resume`."""
    parser = add_command(commands, "resume", _resume, "Continue a run from its last checkpoint.")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="run directory")


def _resume(options: argparse.Namespace) -> int:
    from charon.train import resume

    return EXIT_INTERRUPTED if resume(options.run_directory).interrupted else 0


def add_benchmark(commands: Commands) -> None:
    """Options of `charon benchmark`."""
    parser = add_command(
        commands, "benchmark", _benchmark, "Train on a published benchmark and print our errors beside its peers'."
    )
    parser.add_argument("name", choices=["ko2021"], help="ko2021: charge and non-local sets, Materials Cloud 2020.137")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of every training, as for `charon train`")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the unpacked archive")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training per set, default: %(default)g")
    parser.add_argument("--preset", default="nse", help="model.preset, default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of split and training, default: %(default)s")
    parser.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("runs/ko2021"),
        metavar="DIR",
        help="a run directory per set, table and plot; continued if it exists; default: %(default)s",
    )


def _benchmark(options: argparse.Namespace) -> int:
    from charon.benchmark import run_ko2021

    finished = run_ko2021(
        options.data,
        options.output,
        minutes=options.minutes,
        preset=options.preset,
        seed=options.seed,
        overrides=options.overrides,
    )
    return 0 if finished else EXIT_INTERRUPTED
