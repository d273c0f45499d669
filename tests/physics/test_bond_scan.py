"""Energy along bonds from 0.5 to 2 times their length: smooth for any weights, one well once trained."""

import io
import lzma
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.morse import MorsePotential

from charon.errors import DataError
from charon.model import ModelConfig
from charon.model.config import SIZES
from charon.report.scan import bond_figure, bond_scan, bonds, scan_bonds

from .conftest import MODELS, random_potential

CLUSTERS = Path(__file__).parents[2] / "examples/data/clusters/train.xyz.xz"
SYSTEMS = ("CH2 singlet", "CH2 triplet", "CHMe singlet", "CHMe triplet")
BONDS = {"CH2 triplet": (0, 2), "Ag3-": (0, 1), "C10H2": (4, 5)}


class Kinked(MorsePotential):
    """A Morse curve whose force jumps by 0.5 eV/A at 1.5 A."""

    def calculate(self, atoms=None, *arguments, **options) -> None:
        super().calculate(atoms, *arguments, **options)
        vector = atoms.positions[1] - atoms.positions[0]
        beyond = np.linalg.norm(vector) - 1.5
        if beyond > 0:
            pull = 0.5 * vector / np.linalg.norm(vector)
            self.results["energy"] += 0.5 * beyond
            self.results["forces"] = self.results["forces"] + np.array([pull, -pull])


@pytest.mark.parametrize("kind", [name for name, config in MODELS.items() if config.core == "charon"])
@pytest.mark.parametrize("system", BONDS)
def test_any_potential_is_smooth_along_bonds(kind, atoms_of, system):
    """Its splines have two continuous derivatives: differences, and the error of slopes, shrink with step^3 or faster.

    Half the step makes third and fourth differences 8 times smaller, or 4 times where the curvature jumps, and 2 times
    where the force does.
    """
    potential, found = random_potential(kind), []
    for points in (801, 1601):
        scan = bond_scan(potential, atoms_of(system), *BONDS[system], np.linspace(0.5, 2.0, points))
        found.append([*(np.abs(np.diff(scan.energies, order)).max() for order in (3, 4)), scan.force_error()])
    coarse, fine = np.array(found)
    assert (coarse[:2] / fine[:2] > 6.5).all()
    assert fine[2] < 5e-5


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_smooth_along_a_bond(size, atoms_of):
    """Random weights: Simpson's error falls with step^2 at least, as for a continuous second derivative."""
    potential = random_potential(ModelConfig(cutoff=4.0, size=size))
    coarse, fine = (
        bond_scan(potential, atoms_of("CH2 triplet"), 0, 2, np.linspace(0.5, 2.0, points)).force_error()
        for points in (151, 301)
    )
    assert fine < coarse / 3 and fine < 1e-3


def test_a_kink_and_false_minima_are_found():
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 1.0]])
    shape = {"epsilon": 4.0, "r0": 1.0, "rho0": 2.0, "rcut1": 8.0, "rcut2": 9.0}
    atoms.positions[1, 2] = 0.75
    factors = np.linspace(0.6, 2.6, 151)
    smooth, kinked = (bond_scan(model(**shape), atoms, 0, 1, factors) for model in (MorsePotential, Kinked))
    assert smooth.kink() < 2.0 and kinked.kink() > 10.0
    assert smooth.minima() == pytest.approx([1 / 0.75], abs=0.02)
    assert smooth.force_error() < 1e-4 and smooth.repulsive() and smooth.pair == "H-H"


def test_only_bonds_that_part_the_molecule_are_scanned(atoms_of, potential):
    assert bonds(atoms_of("Ag3-")) == [(0, 1), (1, 2)] and bonds(atoms_of("Ag3+")) == []
    assert len(bonds(atoms_of("C10H2"))) == 11
    with pytest.raises(DataError, match="atoms 0 and 1: the bond belongs to a ring"):
        bond_scan(potential, atoms_of("Ag3+"), 0, 1)
    with pytest.raises(DataError, match="expected one bond within 1.25 sums of covalent radii, found 0"):
        bond_scan(potential, atoms_of("Ag3-"), 0, 2)


def test_fragments_stay_rigid_and_the_middle_of_the_bond_stays(potential, atoms_of):
    scan = bond_scan(potential, atoms_of("C10H2"), 4, 5, [1.0, 1.1, 1.2])
    assert scan.length == pytest.approx(1.21, abs=0.2) and scan.step == pytest.approx(0.1 * scan.length)
    whole = scan.within(1.05, 1.3)
    assert whole.factors == pytest.approx([1.1, 1.2]) and len(whole.energies) == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small model of methylene and ethylidene, and a frame of each of their states."""
    from rich.console import Console

    from charon.train import load_run, train
    from charon.train.config import Config

    folder = tmp_path_factory.mktemp("scan")
    text = io.StringIO(lzma.open(CLUSTERS, "rt").read())  # ASE would decompress anew for every frame
    frames = [a for a in ase.io.read(text, ":", format="extxyz") if a.info["system"] in SYSTEMS]
    ase.io.write(folder / "train.xyz", frames)
    training = {
        "steps": 600,
        "batch_size": 16,
        "ema_decay": 0.99,
        "validate_every": 20,
        "checkpoint_every": 20,
    }
    config = Config.model_validate(
        {
            "data": {"train": folder / "train.xyz"},
            "model": {"cutoff": 4.0, "channels": 16},
            "training": {**training, "seed": 1},
        }
    )
    with (folder / "log.txt").open("w") as log:
        train(config, run_directory=folder / "run", console=Console(file=log))
    first = [next(a for a in frames if a.info["system"] == system) for system in SYSTEMS]
    return load_run(folder / "run")[0], first


def test_a_trained_model_has_one_smooth_well_per_bond(trained):
    potential, molecules = trained
    scans = [(a.info["system"], scan) for a in molecules for scan in scan_bonds(potential, a)]
    assert len(scans) == 14
    for system, scan in scans:
        near = scan.within(0.5, 1.6)
        where = f"{system}, {scan.pair} {scan.atoms}: minima {near.minima()}, kink {near.kink():.1f}"
        assert near.repulsive(), where
        assert len(near.minima()) == 1 and 0.9 < near.minima()[0] < 1.1, where
        assert near.kink() < 2.0, where
        assert near.force_error() < 1e-2, where


def test_figure_of_all_bonds(trained):
    potential, molecules = trained
    axis = bond_figure(scan_bonds(potential, molecules[2]), title="CHMe").axes[0]
    assert len(axis.lines) == 5
    assert {text.get_text() for text in axis.get_legend().get_texts()} == {"C-C (1)", "C-H (4)"}
