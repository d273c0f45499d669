"""`charon eval`, `charon export` and `charon report`: what is done with a trained model."""

import argparse
from pathlib import Path

from charon.commands.base import Commands, add_command, add_state


def add_eval(commands: Commands) -> None:
    """Options of `charon eval`."""
    parser = add_command(commands, "eval", _eval, "Errors of a model per property and per system.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="run directory or exported model.pt")
    parser.add_argument("data", type=Path, metavar="DATA", help="labelled structures")
    parser.add_argument("--output", "-o", type=Path, help="write reference and prediction of each frame here")
    parser.add_argument("--batch-size", type=int, default=16, help="structures at once, default: %(default)s")
    add_state(parser)


def _eval(options: argparse.Namespace) -> None:
    from charon.evaluate import evaluate_file

    evaluate_file(
        options.model,
        options.data,
        output=options.output,
        batch_size=options.batch_size,
        charge=options.charge,
        spin=options.spin,
    )


def add_export(commands: Commands) -> None:
    """Options of `charon export`."""
    parser = add_command(commands, "export", _export, "Write the model file for ASE and LAMMPS, and verify it.")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--output", "-o", type=Path, default=Path("model.pt"), help="default: %(default)s")
    parser.add_argument("--dtype", choices=["float32", "float64"], help="default: as trained")


def _export(options: argparse.Namespace) -> None:
    from charon.export import export_run

    export_run(options.run_directory, options.output, dtype=options.dtype)


def add_report(commands: Commands) -> None:
    """Options of `charon report`."""
    parser = add_command(commands, "report", _report, "Rebuild plots and report.html of a run.")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="run directory")


def _report(options: argparse.Namespace) -> None:
    from charon.report import write_run_report

    print(write_run_report(options.run_directory))
