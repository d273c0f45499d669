"""`charon label` and `charon convert`."""

import argparse
from pathlib import Path

from charon.commands.base import Commands, add_command, add_state, key_values


def add_label(commands: Commands) -> None:
    """Options of `charon label`."""
    parser = add_command(commands, "label", _label, "Label structures with energy, forces, charges ... by an engine.")
    parser.add_argument("source", type=Path, metavar="IN", help="structures, any file that charon reads")
    parser.add_argument("target", type=Path, metavar="OUT", help="labelled extended XYZ; continued if it exists")
    parser.add_argument("--engine", default="tblite", choices=["tblite"], help="default: %(default)s")
    parser.add_argument("--method", default="GFN1-xTB", choices=["GFN1-xTB", "GFN2-xTB"], help="default: %(default)s")
    add_state(parser)
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


def add_convert(commands: Commands) -> None:
    """Options of `charon convert`."""
    parser = add_command(commands, "convert", _convert, "Convert labelled structures to extended XYZ in eV, A, e.")
    parser.add_argument(
        "source",
        type=Path,
        metavar="IN",
        help="input.data of n2p2 or RuNNer, npz, extended XYZ, any file that ASE reads",
    )
    parser.add_argument("target", type=Path, metavar="OUT", help="extended XYZ; .xyz.xz, .xyz.gz, .xyz.bz2 compress")
    parser.add_argument(
        "--units",
        type=key_values,
        metavar="KEY=UNIT,...",
        help="e.g. energy=Hartree,length=Bohr; default: those of the format (input.data: Hartree, Bohr; else eV, A)",
    )
    parser.add_argument("--keys", type=key_values, metavar="LABEL=KEY,...", help="e.g. energy=E_dft,charges=hirshfeld")
    add_state(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")


def _convert(options: argparse.Namespace) -> None:
    from charon.data.convert import convert_file

    convert_file(
        options.source,
        options.target,
        units=options.units,
        keys=options.keys,
        charge=options.charge,
        spin=options.spin,
        overwrite=options.overwrite,
    )
