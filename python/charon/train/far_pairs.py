"""Pairs of training frames far apart, as frames of their own: what belongs to which fragment can be learned.

Total charge and spin are given for the whole system. A model that saw single molecules has to guess which of two far
fragments is the ion or the radical; where it shares, it errs by hundreds of meV (tests/benchmarks/nonlocal.md). Two
frames `FAR` apart do not interact, so the sum of their labels is the label of the pair.
"""

from collections.abc import Sequence

import numpy as np

from charon.errors import DataError
from charon.structure import Structure

FAR = 200.0
"""A, between the centers of the two. An ion and a dipole of 1 D: 0.07 meV; positions in float32 are good to 2e-5 A."""
SYSTEM = "far pairs"
"""The name under which their errors are listed."""
TRIES = 20
"""Draws per pair, before it is an error."""
Means = dict[tuple[bytes, int, int], float]
JOINED = ("forces", "charges", "spins")


def far_pairs(structures: Sequence[Structure], fraction: float, seed: int) -> list[Structure]:
    """`fraction * len(structures)` pairs of molecules, drawn by the seed.

    The first has a charge or unpaired electrons, the second is neutral; unpaired electrons add up. A pair is not taken
    where the frames say, by mean energies of their compositions, that exchanging the states would lower the energy, so
    that the one of higher electron affinity gets the electron. Labels that both have are summed (energy) or joined
    (forces, charges, spins).

    Raises:
        DataError: no molecule with a charge or unpaired electrons, no neutral one, or too few pairs that keep states.
    """
    molecules = [s for s in structures if not s.pbc.any() and "energy" in s.labels]
    states = [s for s in molecules if s.total_charge != 0 or s.unpaired != 0]
    neutral = [s for s in molecules if s.total_charge == 0]
    if not states or not neutral:
        raise DataError(
            f"data.far_pairs={fraction:g}: expected molecules with energies, some charged or open-shell and some "
            f"neutral; found {len(molecules)} molecules, {len(states)} with a state, {len(neutral)} neutral. "
            "Set data.far_pairs=0"
        )
    random = np.random.default_rng([seed, 3])
    count, means = max(1, round(fraction * len(structures))), mean_energies(molecules)
    found: list[Structure] = []
    for _ in range(TRIES * count):
        first, second = states[random.integers(len(states))], neutral[random.integers(len(neutral))]
        if keep_states(first, second, means):
            found.append(joined(first, second))
        if len(found) == count:
            return found
    raise DataError(
        f"data.far_pairs={fraction:g}: of {TRIES * count} pairs drawn only {len(found)} keep their states by the mean "
        f"energies of the frames; expected {count}. Lower data.far_pairs, or set it to 0"
    )


def composition(structure: Structure) -> bytes:
    """The same for structures of the same atoms in any order."""
    return np.sort(structure.numbers).tobytes()


def mean_energies(structures: Sequence[Structure]) -> Means:
    """Mean energy, eV, of each composition and state."""
    energies: dict[tuple[bytes, int, int], list[float]] = {}
    for s in structures:
        energies.setdefault((composition(s), s.total_charge, s.unpaired), []).append(float(s.labels["energy"]))
    return {key: float(np.mean(values)) for key, values in energies.items()}


def keep_states(first: Structure, second: Structure, means: Means) -> bool:
    """Whether two far molecules keep their states, as far as the means tell."""
    one, other = composition(first), composition(second)
    kept = [(one, first.total_charge, first.unpaired), (other, second.total_charge, second.unpaired)]
    exchanged = [(one, *kept[1][1:]), (other, *kept[0][1:])]
    if any(key not in means for key in exchanged):
        return True
    return sum(means[key] for key in kept) <= sum(means[key] for key in exchanged) + 1e-9


def joined(first: Structure, second: Structure) -> Structure:
    """Both in one system, `FAR` apart along x: energies, and what else both have of `JOINED`."""
    offset = np.array([FAR, 0.0, 0.0])
    positions = [s.positions - s.positions.mean(axis=0) + shift for s, shift in ((first, 0.0), (second, offset))]
    both = first.labels.keys() & second.labels.keys()
    labels = {"energy": first.labels["energy"] + second.labels["energy"]}
    labels |= {name: np.concatenate([first.labels[name], second.labels[name]]) for name in JOINED if name in both}
    return Structure(
        numbers=np.concatenate([first.numbers, second.numbers]),
        positions=np.concatenate(positions),
        cell=np.zeros((3, 3)),
        pbc=np.zeros(3, dtype=bool),
        total_charge=first.total_charge + second.total_charge,
        spin_multiplicity=first.unpaired + second.unpaired + 1,
        labels=labels,
        system=SYSTEM,
        source=f"{first.source} and {second.source}, {FAR:g} A apart",
    )
