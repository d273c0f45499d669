"""Dispersion as a module: configuration, errors, TorchScript, single precision, training."""

import io

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from pydantic import ValidationError
from torch import Tensor

from charon.batch import Batch, collate, make_graph
from charon.model.dispersion import Dispersion, DispersionConfig
from charon.model.dispersion.tables import damping_parameters, references
from charon.structure import Structure

ELEMENTS = [1, 6, 11, 17]


def batch(dtype: torch.dtype = torch.float64) -> Batch:
    """Benzene and a crystal of salt."""
    systems = [molecule("C6H6"), bulk("NaCl", "rocksalt", a=5.64)]
    for atoms in systems:
        atoms.info.update(charge=0, spin=1)
    structures = [Structure.from_atoms(atoms, source="test") for atoms in systems]
    return collate([make_graph(structure, ELEMENTS, 5.0) for structure in structures], dtype)


def energies(model: torch.nn.Module, inputs: Batch) -> Tensor:
    charges = 0.1 * torch.cos(torch.arange(len(inputs.types), dtype=inputs.positions.dtype))
    edges = (inputs.types, inputs.edge_index, inputs.edge_vector)
    return model(*edges, inputs.positions, inputs.cell, inputs.pbc, inputs.batch, charges)


def build(elements: list[int] | None = None, cutoff: float = 5.0, **settings: object) -> Dispersion:
    return Dispersion(elements or ELEMENTS, cutoff, DispersionConfig(**settings))


@pytest.mark.parametrize("settings", [{"kind": "d3"}, {"method": "mesh"}, {"trainable": True}], ids=str)
def test_torchscript_gives_the_same_after_saving(settings):
    model, file = build(**settings), io.BytesIO()
    torch.jit.save(torch.jit.script(model), file)
    file.seek(0)
    loaded = torch.jit.load(file)
    for _ in range(3):  # the interpreter optimises after the first runs
        torch.testing.assert_close(energies(loaded, batch()), energies(model, batch()), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["d3", "d4"])
def test_single_precision(kind):
    exact = energies(build(kind=kind), batch())
    found = energies(build(kind=kind).to(torch.float32), batch(torch.float32))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.to(torch.float64), exact, rtol=0, atol=2e-6)


def test_an_unknown_functional_is_answered_with_the_known_ones():
    with pytest.raises(ValidationError, match=r"unknown functional 'pbe00'.*Did you mean 'pbe0'.*b3lyp"):
        DispersionConfig(functional="pbe00")
    with pytest.raises(ValidationError, match="extra"):
        DispersionConfig(functionnal="pbe")


def test_functionals_are_known_in_any_case():
    assert damping_parameters("d3", "PBE") == damping_parameters("d3", "pbe")


def test_an_element_without_references():
    with pytest.raises(ValueError, match=r"d4 has no reference atoms of Rf, Db.*H to Lr.*dispersion to none"):
        references("d4", [1, 104, 105], "pbe")


def test_every_element_has_references():
    for kind in ("d3", "d4"):
        table = references(kind, list(range(1, 104)), "pbe")
        assert table.mask.any(axis=1).all()
        own = np.einsum("iaia->ia", table.c6)  # [n_elements, n]
        assert (own[table.mask] > 0).all() and not own[~table.mask].any()


def test_a_cutoff_too_short_to_count_neighbors_is_said():
    with pytest.warns(UserWarning, match=r"cutoff of 4.0 A, but Na-Na can be bonded.*4.7 A holds all bonds"):
        build(cutoff=4.0)


@pytest.mark.parametrize("functional", ["pbe", "wb97x"])
def test_trained_damping_stays_positive_and_starts_at_the_published_values(functional):
    model, fixed = build(functional=functional, trainable=True), build(functional=functional)
    published = fixed.kernel.damping().clamp(min=1e-3)
    torch.testing.assert_close(model.kernel.damping().detach(), published, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(energies(model, batch()).sum(), [model.kernel.free])
    assert (gradient.abs() > 1e-6).all()
    with torch.no_grad():
        model.kernel.free -= 100.0
    assert (model.kernel.damping() >= 0).all()
    assert not list(fixed.parameters())


def test_weights_follow_the_coordination_number():
    """An atom that is exactly as coordinated as a reference atom, and far from the others, is that reference atom."""
    model = build(kind="d3").weights
    types, numbers = torch.tensor([1, 1]), torch.tensor([0.0, 25.0], dtype=torch.float64)
    weights = model(types, numbers, torch.zeros(2, dtype=torch.float64))
    assert weights.sum(1).tolist() == pytest.approx([1.0, 1.0], abs=1e-12)
    assert weights[0].argmax() == 0 and weights[0, 0] > 0.97
    assert weights[1, 4] == pytest.approx(1.0, abs=1e-9)  # no reference is near: the nearest takes all
