"""Reference energies: what they are fitted to, and as a user sees them, a table and whether they are plausible."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from charon.batch import Batch, collate, make_graphs
from charon.model import ModelConfig, Potential, Statistics, build_potential
from charon.structure import Structure

LARGEST_BINDING = 12.0
"""eV per atom. The most strongly bound solids and molecules stay below 10."""
TOGETHER = 16
"""Structures per evaluation of the empirical terms."""


def without_empirical(structures: Sequence[Structure], elements: Sequence[int], config: ModelConfig) -> list[Structure]:
    """The structures, their energies less electrostatics, dispersion and repulsion: what is left to learn.

    Taken with the charges of the labels, or the total charge in equal shares where they have none. Reference energies
    that are fitted to the rest leave a fresh model no offset to learn first, which would differ between compositions.
    """
    labelled = [i for i, structure in enumerate(structures) if "energy" in structure.labels]
    potential = _empirical_part(config, elements)
    rest = list(structures)
    for start in range(0, len(labelled), TOGETHER):
        chosen = labelled[start : start + TOGETHER]
        batch = collate(make_graphs([structures[i] for i in chosen], elements, config.cutoff))
        for i, energy in zip(chosen, _empirical_energies(potential, batch).tolist(), strict=True):
            labels = {**structures[i].labels, "energy": structures[i].labels["energy"] - energy}
            rest[i] = replace(structures[i], labels=labels)
    return rest


def _empirical_part(config: ModelConfig, elements: Sequence[int]) -> Potential:
    """A potential in float64, of which only the empirical terms matter."""
    with torch.random.fork_rng(devices=[]):
        fresh = build_potential(config, list(elements), Statistics((0.0,) * len(elements), 1.0))
    return fresh.to(torch.float64)


@torch.no_grad()
def _empirical_energies(potential: Potential, batch: Batch) -> Tensor:
    """[n_systems] eV."""
    charges = (batch.total_charge / batch.n_atoms).index_select(0, batch.batch)  # [n_atoms]
    if "charges" in batch.labels:
        known = batch.labels["charges_mask"].index_select(0, batch.batch)
        charges = torch.where(known, batch.labels["charges"], charges)
    geometry = (batch.types, batch.edge_index, batch.edge_vector, batch.positions, batch.cell, batch.pbc)
    around = potential.surroundings(*geometry, batch.total_charge, batch.batch)
    energies = potential.empirical(charges, around)
    return torch.zeros_like(batch.total_charge).index_add(0, batch.batch, energies)


def reference_lines(
    structures: Sequence[Structure], elements: Sequence[int], statistics: Statistics
) -> tuple[list[str], list[str]]:
    """Lines of the table (element, energy, atoms in the training set) and warnings."""
    counts = {z: int(sum(np.count_nonzero(s.numbers == z) for s in structures)) for z in elements}
    lines = [
        "reference energies (least squares), after electrostatics, dispersion and repulsion",
        "element  energy [eV]    atoms",
    ]
    for z, energy in zip(elements, statistics.reference_energies, strict=True):
        lines.append(f"{chemical_symbols[z]:<7}  {energy:11.4f}  {counts[z]:7d}")
    return lines, plausibility(structures, elements, statistics)


def plausibility(structures: Sequence[Structure], elements: Sequence[int], statistics: Statistics) -> list[str]:
    """Warnings about energies that no set of reference energies explains, or explains in one way only."""
    warnings = []
    if not statistics.determined:
        warnings.append(
            "the compositions of the training set determine only sums of the reference energies: "
            "energies of other compositions have no meaning"
        )
    reference = dict(zip(elements, statistics.reference_energies, strict=True))
    above = {
        structure.source: (float(structure.labels["energy"]) - sum(reference[int(z)] for z in structure.numbers))
        / structure.n_atoms
        for structure in structures
        if "energy" in structure.labels
    }
    strange = {source: value for source, value in above.items() if abs(value) > LARGEST_BINDING}
    if strange:
        worst = max(strange, key=lambda source: abs(strange[source]))
        warnings.append(
            f"{len(strange)} frames lie more than {LARGEST_BINDING:g} eV/atom from their reference energies, "
            f"farthest {worst} ({strange[worst]:+.1f} eV/atom): is the unit of energy right, is it one "
            "level of theory?"
        )
    return warnings
