"""`charon convert`: structures of any format that charon reads, as extended XYZ in eV, A, e."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from charon.data.read import read_structures, units_of
from charon.data.sets import labels_present
from charon.data.write import check_target, write_structures
from charon.state import DefaultSpin
from charon.structure import Structure


def convert_file(
    source: str | Path,
    target: str | Path,
    *,
    units: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    charge: int | None = None,
    spin: DefaultSpin = None,
    overwrite: bool = False,
) -> list[Structure]:
    """Write the structures of a file as extended XYZ, and print how many there are of each system, label and state.

    Args:
        source: any file that `read_structures` reads.
        target: the extended XYZ to write; .xz, .gz and .bz2 compress.
        units: units of the source, where they are not those of its format.
        keys: {label: key} for labels under other names.
        charge: total charge in e, for a source that does not say it.
        spin: multiplicity 2S+1, or "lowest", for a source that does not say it.
        overwrite: replace an existing target.

    Raises:
        DataError: a source that cannot be read, or a target that exists or has another ending.
        StateError: charge or spin missing, contradictory or impossible.
        ConfigError: unknown units or labels.
    """
    source, target = Path(source), Path(target)
    check_target(target, overwrite)
    structures = read_structures(source, units=units, keys=keys, default_charge=charge, default_spin=spin)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name("unfinished-" + target.name)
    write_structures(unfinished, structures)
    unfinished.replace(target)
    read_in = units_of(source, units)
    print(f"{source}: energy in {read_in.energy}, length in {read_in.length}, charge in {read_in.charge}")
    if spin == "lowest":
        print("frames without a multiplicity: the lowest that fits the electrons")
    print("\n".join([f"{target}: {len(structures)} frames", *summary(structures)]))
    return structures


def summary(structures: Sequence[Structure]) -> list[str]:
    """A line per system, charge and multiplicity with its number of frames, and one on the labels."""
    states = Counter((s.system, s.total_charge, s.spin_multiplicity) for s in structures)
    labels = ", ".join(f"{name} {count}" for name, count in labels_present(structures).items())
    return [
        *(
            f"  {system}: {count} frames, charge {f'{charge:+d}' if charge else 0}, multiplicity {spin}"
            for (system, charge, spin), count in sorted(states.items())
        ),
        f"  frames with labels: {labels or 'none'}",
    ]
