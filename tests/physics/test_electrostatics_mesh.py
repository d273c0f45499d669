"""The mesh against the plain sum over wave vectors."""

import numpy as np
import pytest
import torch

from charon.model.electrostatics.grid_sizes import axis_sizes, blended_sizes, good_sizes
from charon.model.electrostatics.mesh import Mesh
from charon.model.electrostatics.reciprocal import Reciprocal

from .electrostatics import evaluate, ions

CELL = torch.tensor([[11.0, 0.4, 0.0], [-0.8, 12.0, 0.7], [0.0, 0.5, 10.0]], dtype=torch.float64)


@pytest.mark.parametrize("widths", [0.0, "covalent"])
@pytest.mark.parametrize("charge", [0.0, 2.0])
def test_the_default_mesh_equals_the_plain_sum(widths, charge):
    atoms = ions(charge=charge).repeat(2)
    plain = evaluate(atoms, method="ewald", widths=widths)
    mesh = evaluate(atoms, method="mesh", widths=widths)
    assert mesh.energy[0] == pytest.approx(plain.energy[0], rel=1e-4)
    assert mesh.strain == pytest.approx(plain.strain, abs=1e-4 * np.abs(plain.strain).max())
    for name in ("potential", "forces", "field"):
        found, expected = getattr(mesh, name), getattr(plain, name)
        assert np.sqrt(np.mean((found - expected) ** 2)) < 4e-4 * np.sqrt(np.mean(expected**2))


def sums_of_kernel(sum_over_waves: torch.nn.Module, sources: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """A smooth kernel of the wave vectors, that of Gaussians of width 2 A, back at the atoms."""
    prepared = sum_over_waves.prepare(positions, CELL)
    kernel = torch.exp(-0.5 * (2.0 * 2.0) * sum_over_waves.squared(prepared))
    values = (sum_over_waves.weight(prepared) * kernel).unsqueeze(1) * sum_over_waves.transform(sources, prepared)
    back, slope = sum_over_waves.back(values, prepared), sum_over_waves.slope(values, prepared)
    return torch.cat([back.unsqueeze(2), slope], dim=2)  # [n_atoms, channels, 1 + 3]


@pytest.fixture
def sources() -> tuple[torch.Tensor, torch.Tensor]:
    """Two channels of sources at forty atoms, some of them outside of the cell."""
    torch.manual_seed(3)
    positions = torch.rand(40, 3, dtype=torch.float64) @ CELL * 1.6 - 2.0
    return torch.randn(40, 2, dtype=torch.float64), positions


def error(order: int, spacing: float, sources: torch.Tensor, positions: torch.Tensor) -> float:
    exact = sums_of_kernel(Reciprocal(5.5), sources, positions)
    return float((sums_of_kernel(Mesh(order, spacing), sources, positions) - exact)[:, :, 0].square().mean().sqrt())


@pytest.mark.parametrize("order", [4, 6, 8])
def test_the_error_falls_with_the_spacing_to_the_power_of_the_order(order, sources):
    """Grids of 18 and 36 points along 11 A: twice as fine, 2^order times as exact."""
    coarse, fine = error(order, 0.64, *sources), error(order, 0.32, *sources)
    assert order - 0.5 < np.log2(coarse / fine) < order + 1.0


def test_the_error_falls_with_the_order(sources):
    errors = [error(order, 0.6, *sources) for order in (4, 6, 8)]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]


def test_both_faces_agree_on_every_channel_and_on_slopes(sources):
    exact, mesh = (sums_of_kernel(how, *sources) for how in (Reciprocal(5.5), Mesh(8, 0.3)))
    assert float((mesh - exact).abs().max()) < 1e-7 * float(exact.abs().max())


@pytest.mark.parametrize("how", [Reciprocal(3.0), Mesh(6, 0.7)], ids=["plain sum", "mesh"])
def test_back_is_the_adjoint_of_transform(how, sources):
    """Up to the multiplicity of wave vectors, on one domain."""
    charges, positions = sources
    prepared = how.to(torch.float64).prepare(positions, CELL)
    transformed = how.transform(charges, prepared)
    values = how.weight(prepared).unsqueeze(1) * how.transform(charges.flip(0), prepared)
    there = (how.back(values, prepared) * charges).sum()
    torch.testing.assert_close((transformed.conj() * values).sum().real, there)


def test_k_zero_is_kept():
    """The sum of the sources over the volume is the mean of what comes back."""
    for how in (Reciprocal(3.0), Mesh(6, 0.7).double()):
        positions = torch.zeros(1, 3, dtype=torch.float64)
        prepared = how.prepare(positions, CELL)
        only_zero = (how.squared(prepared) == 0).to(torch.float64) * how.weight(prepared)
        factors = how.transform(torch.ones(1, 1, dtype=torch.float64), prepared)
        found = how.back(only_zero.unsqueeze(1) * factors, prepared)
        torch.testing.assert_close(found[0, 0], 1 / torch.linalg.det(CELL))


def test_good_sizes_have_small_factors_and_are_apart():
    sizes = np.array(good_sizes(1000))
    assert sizes[0] == 8 and sizes[-1] >= 960
    assert not np.any([size % prime == 0 for size in sizes for prime in (7, 11, 13)])
    assert np.all(sizes % 2 == 0) and np.all(sizes[1:] / sizes[:-1] >= 1.04)


def test_shares_of_grids_are_smooth_and_sum_to_one():
    good = good_sizes(100)
    shares = []
    for intervals in np.linspace(28.0, 34.0, 6001):
        sizes, parts = axis_sizes(torch.tensor(intervals, dtype=torch.float64), good, 0.02)
        assert all(size > intervals for size in sizes[len(sizes) - 1 :])
        assert float(sum(parts)) == pytest.approx(1.0, abs=1e-14)
        shares.append(float(sum(part for size, part in zip(sizes, parts, strict=True) if size == 32)))
    assert shares[0] == 0.0 and max(shares) == 1.0 and shares[-1] == 0.0
    assert np.abs(np.diff(shares, 2)).max() < 1e-4


def test_a_cubic_cell_does_not_change_all_its_sizes_at_once():
    most = max(
        len(blended_sizes(torch.full((3,), intervals, dtype=torch.float64), 6)[0])
        for intervals in np.linspace(20.0, 200.0, 2000)
    )
    assert most <= 2
