"""The command `charon`: label, convert, train, resume, eval, export, report, benchmark."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from charon import __version__
from charon.commands import data, models, training
from charon.commands.base import EXIT_INTERRUPTED
from charon.errors import CharonError

EXIT_INPUT_ERROR = 2

EXAMPLES = """\
examples:
  charon label frames.xyz labelled.xyz --method GFN1-xTB --charge 1 --spin 2
  charon convert input.data labelled.xyz --lowest-spin
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
    for add in (
        data.add_label,
        data.add_convert,
        training.add_train,
        training.add_resume,
        models.add_eval,
        models.add_export,
        models.add_report,
        training.add_benchmark,
    ):
        add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
