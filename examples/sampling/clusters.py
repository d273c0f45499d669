"""Clusters and molecules in several charge and spin states, GFN2-xTB: the table and how each is run."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.optimize import BFGS

from sampling.molecules import METHYL, carbene, carbon_chain, salt_block, silver_trimer
from sampling.trajectory import sample, tight_binding

METHOD = "GFN2-xTB"
DYNAMICS_ACCURACY = 10.0  # the labels are computed afresh
SPLITS = ("train", "validation", "test")
EQUILIBRATION = 200  # steps
ATTEMPTS = 20  # trajectories begun for one file before it may be short of frames


@dataclass(frozen=True)
class Scan:
    """Random geometries of a triatomic: ranges of bonds (A) and angle (degrees), frames per split."""

    bonds: tuple[float, float]
    angles: tuple[float, float]
    frames: tuple[int, int, int]


@dataclass(frozen=True)
class State:
    """One system in one state: temperatures in K, step in fs, frames per split at all temperatures.

    `scan` adds geometries that the dynamics does not reach, such as the linear singlet of CH2.
    `reach` is the distance in A from its nearest neighbor at which an atom has left a cluster;
    None for molecules, which are broken when a bond is stretched to 1.6 times the covalent radii.
    """

    system: str
    build: Callable[[], Atoms]
    charge: int
    spin: int
    temperatures: tuple[int, ...]
    step: float
    frames: tuple[int, int, int]
    reach: float | None = None
    scan: Scan | None = None
    spacing: int = 20  # steps between frames

    def seed(self, split: str, temperature: int, attempt: int) -> int:
        """A number of its own for each trajectory."""
        return zlib.crc32(f"{self.system} {split} {temperature} {attempt}".encode()) % 2**31


def silver() -> Iterator[State]:
    temperatures, frames = (300, 900, 1500), (300, 42, 81)
    scan = Scan((2.25, 3.5), (50, 180), (60, 6, 0))
    yield State("Ag3+", partial(silver_trimer, False), 1, 1, temperatures, 3.0, frames, 4.5, scan)
    yield State("Ag3-", partial(silver_trimer, True), -1, 1, temperatures, 3.0, frames, 4.5, scan)


def salt_clusters() -> Iterator[State]:
    rest = {"temperatures": (300, 600), "step": 5.0, "frames": (200, 30, 60), "reach": 4.5, "spacing": 10}
    yield State("Na8Cl8+", partial(salt_block, False), 1, 2, **rest)
    yield State("Na9Cl8+", partial(salt_block, True), 1, 1, **rest)


def chains() -> Iterator[State]:
    yield State("C10H2", partial(carbon_chain, False), 0, 1, (300,), 1.0, (200, 30, 60))
    yield State("C10H3+", partial(carbon_chain, True), 1, 1, (300,), 1.0, (200, 30, 60))


def carbenes() -> Iterator[State]:
    states = ((" singlet", 0, 1), (" triplet", 0, 3), ("+ doublet", 1, 2), ("- doublet", -1, 2))
    for pair in combinations_with_replacement(("H", "F", "Cl", METHYL), 2):
        name = "C" + (f"{pair[0]}2" if pair[0] == pair[1] else "".join(pair))
        bare = name == "CH2"
        temperatures, frames = ((300, 900, 1500), (120, 15, 24)) if bare else ((300, 600), (100, 8, 12))
        scan = Scan((0.98, 1.3), (75, 180), (40, 6, 0)) if bare else None
        build = partial(carbene, *pair)
        for label, charge, spin in states:
            yield State(name + label, build, charge, spin, temperatures, 0.5, frames, scan=scan)


STATES = [*salt_clusters(), *chains(), *silver(), *carbenes()]


def relaxed(state: State) -> Atoms:
    """The relaxed start, or the built geometry where relaxation breaks the molecule."""
    atoms = state.build()
    atoms.rattle(0.02, seed=1)
    is_intact = intact(state, atoms)
    built = atoms.copy()
    atoms.calc = built.calc = tight_binding(METHOD, state.charge, state.spin, DYNAMICS_ACCURACY)
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=200)
    start = atoms if is_intact(atoms) else built
    start.info = {"system": state.system, "charge": state.charge, "spin": state.spin}
    return start


def intact(state: State, start: Atoms) -> Callable[[Atoms], bool]:
    """The test that a geometry is still this molecule or cluster."""
    if state.reach is not None:
        return lambda atoms: nearest(atoms).max() < state.reach
    radii = covalent_radii[start.numbers]
    lengths = radii[:, None] + radii  # [n_atoms, n_atoms]
    bonded = start.get_all_distances() < 1.3 * lengths
    return lambda atoms: not (atoms.get_all_distances() > 1.6 * lengths)[bonded].any()


def nearest(atoms: Atoms) -> np.ndarray:
    """Distance of each atom from its nearest neighbor, [n_atoms]."""
    return (atoms.get_all_distances() + np.diag([np.inf] * len(atoms))).min(axis=1)


def run(job: tuple[State, str], folder: Path) -> Path:
    """Run the trajectories of one state and split; return the file of bare geometries."""
    state, split = job
    path = folder / f"clusters-{split}-{state.system.replace(' ', '-')}.xyz"
    if path.exists():
        return path
    part = path.with_suffix(".part.xyz")
    start, frames = relaxed(state), []
    wanted = state.frames[SPLITS.index(split)]
    share = wanted // len(state.temperatures)
    for temperature in state.temperatures:
        found = _trajectories(state, split, temperature, start, share, part)
        print(f"{state.system}, {split}, {temperature} K: {len(found)} of {share} frames", flush=True)
        frames += found
    if state.scan:
        frames += scanned(state, state.scan, split)
    ase.io.write(path, frames)
    return path


def scanned(state: State, scan: Scan, split: str) -> list[Atoms]:
    """Random geometries of a triatomic whose first atom is the middle one; none with overlapping ends."""
    generator = np.random.default_rng(state.seed(split, 0, 0))
    frames: list[Atoms] = []
    while len(frames) < scan.frames[SPLITS.index(split)]:
        first, second = generator.uniform(*scan.bonds, size=2)
        angle = np.radians(generator.uniform(*scan.angles))
        ends = [[first, 0, 0], [second * np.cos(angle), second * np.sin(angle), 0]]
        atoms = Atoms(state.build().numbers, [[0, 0, 0], *ends])
        atoms.info = {"system": state.system, "charge": state.charge, "spin": state.spin}
        atoms.info["trajectory"] = f"{split} scan"
        if atoms.get_distance(1, 2) > scan.bonds[0]:
            frames.append(atoms)
    return frames


def _trajectories(state: State, split: str, temperature: int, start: Atoms, wanted: int, part: Path) -> list[Atoms]:
    """Geometries of as many trajectories as it takes; a new one begins where a molecule broke."""
    frames: list[Atoms] = []
    for attempt in range(ATTEMPTS):
        atoms = start.copy()
        atoms.info |= {"temperature": temperature, "trajectory": f"{split} {attempt + 1}"}
        atoms.calc = tight_binding(METHOD, state.charge, state.spin, DYNAMICS_ACCURACY)
        count = sample(
            atoms,
            part,
            temperature=temperature,
            step=state.step,
            equilibration=EQUILIBRATION,
            frames=wanted - len(frames),
            spacing=state.spacing,
            seed=state.seed(split, temperature, attempt),
            intact=intact(state, start),
        )
        if count:
            frames += ase.io.read(part, ":")
            part.unlink()
        if len(frames) == wanted:
            break
    return frames
