"""What the groups of commands share: a subparser with its call, options for the state, key=value words."""

import argparse
from collections.abc import Callable

EXIT_INTERRUPTED = 130

Commands = argparse._SubParsersAction


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], int | None], summary: str
) -> argparse.ArgumentParser:
    """A subparser whose options are passed to `run`."""
    parser = commands.add_parser(name, help=summary, description=summary)
    parser.set_defaults(run=run)
    return parser


def add_state(parser: argparse.ArgumentParser) -> None:
    """Options for sets that do not say their state; `spin` is a multiplicity, "lowest" or None."""
    parser.add_argument("--charge", type=int, help="total charge in e, for frames that do not say it")
    spin = parser.add_mutually_exclusive_group()
    spin.add_argument("--spin", type=int, help="multiplicity 2S+1, for frames that do not say it")
    spin.add_argument(
        "--lowest-spin",
        dest="spin",
        action="store_const",
        const="lowest",
        help="for such frames, the lowest multiplicity that fits the electrons of each",
    )


def key_values(text: str) -> dict[str, str]:
    """`energy=eV,length=A` as a dictionary."""
    pairs = [word.partition("=") for word in text.split(",")]
    if not all(key and equals and value for key, equals, value in pairs):
        raise argparse.ArgumentTypeError(f"expected key=value,key=value, found {text!r}")
    return {key.strip(): value.strip() for key, _, value in pairs}
