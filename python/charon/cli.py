"""The command `charon`: label, train, resume, eval, export, report.

Everything heavy is imported by the command that needs it, so that `charon --help` answers at once.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from charon import __version__
from charon.errors import CharonError

EXIT_INPUT_ERROR = 2
EXIT_INTERRUPTED = 130

EXAMPLES = """\
examples:
  charon label frames.xyz labelled.xyz --method GFN1-xTB --charge 1 --spin 2
  charon train config.yaml model.cutoff=5.0 training.epochs=200
  charon resume runs/config-1
  charon eval runs/config-1 test.xyz --output predictions.xyz
  charon export runs/config-1 -o model.pt
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 2 for an input that the user can mend, 130 after Ctrl-C."""
    options = _parse(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            return options.run(options) or 0
    except CharonError as error:
        print(f"charon {options.command}: error: {error}", file=sys.stderr)
        return EXIT_INPUT_ERROR
    except KeyboardInterrupt:
        print(f"charon {options.command}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader of our output (head, less) has gone: silence the flush at exit too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"charon: warning: {message}", file=sys.stderr)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; key=value overrides may stand before, between and after them."""
    parser = build_parser()
    options, rest = parser.parse_known_args(arguments)
    late = [word for word in rest if "=" in word and not word.startswith("-")]
    if len(late) < len(rest) or (late and not hasattr(options, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if late:
        options.overrides = [*options.overrides, *late]
    return options


def build_parser() -> argparse.ArgumentParser:
    """The parser of `charon` with one subparser per command."""
    parser = argparse.ArgumentParser(
        prog="charon",
        description="An interatomic potential with total charge, spin and non-local interactions.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"charon {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_label(commands)
    _add_train(commands)
    _add_resume(commands)
    _add_eval(commands)
    _add_export(commands)
    _add_report(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    summary: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run=run)
    return parser


def _add_label(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "label", _label, "Label structures with energy, forces, charges ... by an engine.")
    parser.add_argument("source", type=Path, metavar="IN", help="structures, any file that ASE reads")
    parser.add_argument("target", type=Path, metavar="OUT", help="labelled extended XYZ; continued if it exists")
    parser.add_argument("--engine", default="tblite", choices=["tblite"], help="default: %(default)s")
    parser.add_argument("--method", default="GFN1-xTB", choices=["GFN1-xTB", "GFN2-xTB"], help="default: %(default)s")
    parser.add_argument("--charge", type=int, help="total charge in e, for frames that do not say it")
    parser.add_argument("--spin", type=int, help="multiplicity 2S+1, for frames that do not say it")
    parser.add_argument("--electronic-temperature", type=float, default=300.0, help="K, default: %(default)s")
    parser.add_argument(
        "--spin-polarization",
        action=argparse.BooleanOptionalAction,
        help="spin-polarized xTB for all frames; default: if any of them has an open shell",
    )


def _label(options: argparse.Namespace) -> None:
    from charon.data.label import label_file

    label_file(
        options.source,
        options.target,
        engine=options.engine,
        method=options.method,
        charge=options.charge,
        spin=options.spin,
        electronic_temperature=options.electronic_temperature,
        spin_polarization=options.spin_polarization,
    )


def _add_train(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "train", _train, "Train a model; writes a run directory.")
    parser.add_argument("config", type=Path, help="YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="e.g. training.epochs=50 model.cutoff=5")
    parser.add_argument("--run-dir", type=Path, help="default: runs/<config name>-<number>")
    parser.add_argument("--blind", action="store_true", help="withhold charge and spin: model.electronic=none")


def _train(options: argparse.Namespace) -> int:
    from charon.train import train_from_file

    outcome = train_from_file(options.config, options.overrides, run_directory=options.run_dir, blind=options.blind)
    return EXIT_INTERRUPTED if outcome.interrupted else 0


def _add_resume(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "resume", _resume, "Continue a run from its last checkpoint.")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="run directory")


def _resume(options: argparse.Namespace) -> int:
    from charon.train import resume

    return EXIT_INTERRUPTED if resume(options.run_directory).interrupted else 0


def _add_eval(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "eval", _eval, "Errors of a model per property and per system.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="run directory or exported model.pt")
    parser.add_argument("data", type=Path, metavar="DATA", help="labelled structures")
    parser.add_argument("--output", "-o", type=Path, help="write reference and prediction of each frame here")
    parser.add_argument("--batch-size", type=int, default=16, help="structures at once, default: %(default)s")
    parser.add_argument("--charge", type=int, help="total charge in e, for a set that does not say it")
    parser.add_argument("--spin", type=int, help="multiplicity 2S+1, for a set that does not say it")


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


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "export", _export, "Write the model file for ASE and LAMMPS, and verify it.")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="run directory")
    parser.add_argument("--output", "-o", type=Path, default=Path("model.pt"), help="default: %(default)s")
    parser.add_argument("--dtype", choices=["float32", "float64"], help="default: as trained")


def _export(options: argparse.Namespace) -> None:
    from charon.export import export_run

    export_run(options.run_directory, options.output, dtype=options.dtype)


def _add_report(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "report", _report, "Rebuild plots and report.html of a run.")
    parser.add_argument("run_directory", type=Path, metavar="RUN", help="run directory")


def _report(options: argparse.Namespace) -> None:
    from charon.report import write_run_report

    print(write_run_report(options.run_directory))


if __name__ == "__main__":
    sys.exit(main())
