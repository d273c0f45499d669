"""Two carbenes far apart: what of their energy a trained model takes for an interaction.

    export CHARON_BENCH_DATA=<folder>
    python -m tests.benchmarks.presets.run --sets carbenes --presets local,nse,learned,full,spooky --steps 1000
    python -m tests.benchmarks.presets.run --sets carbenes --presets nse-pairs,learned-pairs,full-pairs --steps 1000
    python -m tests.benchmarks.nonlocal_study.apart --steps 1000

Takes the runs on single carbenes, which saw no pair, and asks for E(A + B) - E(A) - E(B) at 15, 30 and 500 A. Pairs
of closed shells, of open ones and of both are asked for. Figures go to results/apart.json.
"""

import json
from pathlib import Path
from typing import Any

from ase import Atoms

from charon.model import Potential

from ...molecules import methylene
from .trained import Trained, options, predict

RESULTS = Path(__file__).parents[1] / "results" / "apart.json"
DISTANCES = (15.0, 30.0, 500.0)
SINGLET, TRIPLET, CATION = (0, 1), (0, 3), (1, 2)
PAIRS = {
    "CH2, singlets": (SINGLET, SINGLET, 1),
    "CH2, singlet and triplet": (SINGLET, TRIPLET, 3),
    "CH2, triplets (quintet)": (TRIPLET, TRIPLET, 5),
    "CH2+ and singlet CH2": (CATION, SINGLET, 2),
}
"""State of both, charge and multiplicity, and multiplicity of the pair."""
EQUAL = ("CH2, singlets", "CH2, triplets (quintet)")
"""Pairs of equal fragments, which have to be additive without having been taught."""
PUBLISHED = -795.0
"""meV, SpookyNet's published weights on two CH2 500 A apart."""


def together(first: Atoms, second: Atoms, distance: float, spin: int) -> Atoms:
    """Both in one system."""
    moved = second.copy()
    moved.translate([distance, 0.0, 0.0])
    pair = first + moved
    pair.info = {"charge": first.info["charge"] + second.info["charge"], "spin": spin}
    return pair


def interaction(potential: Potential, pair: str, distance: float) -> float:
    """E(A + B) - E(A) - E(B), meV."""
    first_state, second_state, spin = PAIRS[pair]
    first, second = methylene(*first_state), methylene(*second_state)
    alone = sum(float(predict(potential, atoms).energy[0]) for atoms in (first, second))
    return 1e3 * (float(predict(potential, together(first, second, distance, spin)).energy[0]) - alone)


def main() -> None:
    """Command line."""
    chosen = options(__doc__, "local,nse,learned,full,spooky,nse-pairs,learned-pairs,full-pairs,spooky-pairs")
    trained = Trained("carbenes", chosen.steps, tuple(chosen.seeds), chosen.runs)
    found: dict[str, Any] = {**trained.about, "distances": DISTANCES, "presets": {}}
    for preset in chosen.presets.split(","):
        potentials = trained.potentials(preset)
        rows = {pair: [[interaction(p, pair, d) for d in DISTANCES] for p in potentials] for pair in PAIRS}
        print(preset, rows, flush=True)
        found["presets"][preset] = rows
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
