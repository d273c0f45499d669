"""Total charge and spin multiplicity of a system: where they are read from, and which are possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from charon.errors import StateError

CHARGE_KEYS = ("charge", "total_charge")
SPIN_KEYS = ("spin", "total_spin", "spin_multiplicity", "mult", "multiplicity")
HOW_TO_GIVE = (
    "Nothing is guessed: write info['charge'] (in e) and info['spin'] (the multiplicity 2S+1) into each "
    "frame, or give one state for all (data.charge and data.spin in the configuration, --charge and --spin). The "
    "lowest multiplicity that fits the electrons of each frame is a choice too: data.spin: lowest, --lowest-spin."
)

DefaultSpin = int | Literal["lowest"] | None
"""A multiplicity, or the lowest that fits the electrons, of frames that carry none."""


def read_state(
    info: Mapping[str, Any], source: str, charge_key: str | None = None, spin_key: str | None = None
) -> tuple[int | None, int | None]:
    """Total charge and spin multiplicity 2S+1 in an info dictionary, each None where it is absent.

    Args:
        info: `atoms.info`; the keys CHARGE_KEYS and SPIN_KEYS are read.
        source: file and frame, for messages.
        charge_key, spin_key: a key that the user named, read instead of those.

    Raises:
        StateError: aliases that disagree, a value that is no integer, a multiplicity below 1, a named key
            that is absent.
    """
    charge = _read_integer(info, source, "total charge", CHARGE_KEYS, charge_key)
    spin = _read_integer(info, source, "spin multiplicity", SPIN_KEYS, spin_key)
    if spin is not None and spin < 1:
        raise StateError(
            f"{source}: the spin multiplicity must be an integer >= 1, found {spin}. It is 2S+1 (1 for a "
            "singlet, 2 for a doublet), not the number of unpaired electrons."
        )
    return charge, spin


def _read_integer(
    info: Mapping[str, Any], source: str, name: str, aliases: tuple[str, ...], named: str | None
) -> int | None:
    if named is not None and named not in info:
        raise StateError(
            f"{source}: the key {named!r} named for the {name} is absent. Keys of this frame: {sorted(info)}."
        )
    keys = [key for key in ((named,) if named else aliases) if key in info]
    found = {key: _as_integer(info[key], key, name, source) for key in keys}
    if len(set(found.values())) > 1:
        raise StateError(
            f"{source}: keys for the {name} disagree: "
            + ", ".join(f"{key}={value}" for key, value in found.items())
            + ". Keep one of them."
        )
    return next(iter(found.values()), None)


def _as_integer(value: Any, key: str, name: str, source: str) -> int:
    array = np.asarray(value)
    if array.size == 1 and array.dtype.kind in "iuf" and float(array.item()).is_integer():
        return int(array.item())
    raise StateError(f"{source}: info[{key!r}] (the {name}) must be one integer, found {value!r}.")


def complete_state(
    charge: int | None,
    spin: int | None,
    source: str,
    default_charge: int | None = None,
    default_spin: DefaultSpin = None,
    numbers: np.ndarray | Sequence[int] = (),
) -> tuple[int, int]:
    """The state of a frame, or the default where the frame has none; "lowest" needs the atomic `numbers`.

    Raises:
        StateError: neither the frame nor the caller gives the charge, or the spin multiplicity.
    """
    charge = default_charge if charge is None else charge
    if default_spin == "lowest":
        default_spin = lowest_multiplicity(numbers, charge or 0)
    spin = default_spin if spin is None else spin
    missing = [n for n, v in (("total charge", charge), ("spin multiplicity", spin)) if v is None]
    if charge is None or spin is None:
        raise StateError(f"{source}: {' and '.join(missing)} not given. {HOW_TO_GIVE}")
    return charge, spin


def lowest_multiplicity(numbers: np.ndarray | Sequence[int], charge: int) -> int:
    """1 for an even number of electrons, 2 for an odd one."""
    return 1 + (int(np.sum(numbers)) - charge) % 2


def parity_problem(numbers: np.ndarray, charge: int, spin: int) -> str | None:
    r"""Why these nuclei cannot have this charge and multiplicity; None if they can.

    .. math:: N_e = \sum Z - Q, \qquad u = M - 1 \le N_e, \qquad (N_e - u) \bmod 2 = 0
    """
    n_electrons = int(np.sum(numbers)) - charge
    unpaired = spin - 1
    if n_electrons < 0:
        return f"charge {charge:+d} takes more electrons than the {int(np.sum(numbers))} there are"
    if (n_electrons - unpaired) % 2:
        parity = "even: the multiplicity is 1, 3, 5 ..." if n_electrons % 2 == 0 else "odd: it is 2, 4, 6 ..."
        electrons = f"{n_electrons} electrons (charge {charge:+d})"
        return f"{electrons} cannot have multiplicity {spin}; they are {parity}"
    if unpaired > n_electrons:
        return f"multiplicity {spin} needs {unpaired} unpaired electrons, there are {n_electrons}"
    return None


def check_state(numbers: np.ndarray, charge: int, spin: int, pbc: np.ndarray, source: str) -> None:
    """Refuse a state that a molecule cannot have; periodic cells may be odd (a metal, a defect).

    Raises:
        StateError: multiplicity below 1 anywhere; impossible parity in an open system.
    """
    if spin < 1:
        raise StateError(f"{source}: the spin multiplicity 2S+1 must be an integer >= 1, found {spin}.")
    problem = parity_problem(numbers, charge, spin)
    if problem and not np.any(pbc):
        raise StateError(f"{source}: impossible state: {problem}. Correct info['charge'] or info['spin'].")


def check_all_or_none(states: Iterable[tuple[str, int | None, int | None]]) -> None:
    """Frames of one set all carry a charge, or none does; the same for the multiplicity.

    Args:
        states: (source, charge, multiplicity) of each frame as read.

    Raises:
        StateError: naming the frames without.
    """
    states = list(states)
    for column, name, key in ((1, "total charge", "charge"), (2, "spin multiplicity", "spin")):
        without = [state[0] for state in states if state[column] is None]
        if 0 < len(without) < len(states):
            listed = "; ".join(without[:5]) + (f"; and {len(without) - 5} more" if len(without) > 5 else "")
            raise StateError(
                f"{len(without)} of {len(states)} frames carry no {name} while the others do: {listed}. "
                f"Write info[{key!r}] into all of them, or into none and give one value for the set."
            )
