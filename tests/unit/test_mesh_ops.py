"""B-splines between atoms and a grid: kernels against plain torch, against each other, and their derivatives."""

import pytest
import torch

from charon.ops import reference_kernels
from charon.ops.mesh import mesh_gather, mesh_spread, spline

SIZES = [8, 10, 9]
ORDERS, DEGREES = [4, 6, 8], [0, 1, 2, 3]


def rows(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def places(n: int = 7) -> torch.Tensor:
    """Inside and outside of the grid."""
    return 9.0 * rows(n, 3)


def components(degree: int) -> int:
    return (degree + 1) * (degree + 2) // 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("degree", DEGREES)
def test_kernels_equal_plain_torch(order, degree, dtype):
    u, grid = places().to(dtype), rows(2, *SIZES, dtype=dtype)
    sources = rows(7, 2, components(degree), dtype=dtype)
    found = mesh_gather(grid, u, order, degree), mesh_spread(sources, u, SIZES, order, degree)
    with reference_kernels():
        expected = mesh_gather(grid, u, order, degree), mesh_spread(sources, u, SIZES, order, degree)
    tolerance = 1e-13 if dtype == torch.float64 else 2e-5
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("degree", DEGREES)
def test_spread_and_gather_are_adjoint(degree):
    u, grid, sources = places(), rows(2, *SIZES), rows(7, 2, components(degree))
    gathered, spread = mesh_gather(grid, u, 6, degree), mesh_spread(sources, u, SIZES, 6, degree)
    torch.testing.assert_close((gathered * sources).sum(), (spread * grid).sum(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("order", ORDERS)
def test_splines_share_out_all_of_a_source_about_its_place(order):
    u = torch.tensor([[3.3, 4.8, 5.1]], dtype=torch.float64)
    grid = mesh_spread(torch.ones(1, 1, 1, dtype=torch.float64), u, [10, 12, 11], order, 0)[0]
    assert float(grid.sum()) == pytest.approx(1.0, abs=1e-14)
    for axis, size in enumerate(grid.shape):
        others = [k for k in range(3) if k != axis]
        profile = grid.sum(others)
        assert int((profile.abs() > 1e-13).sum()) == order
        assert float(profile @ torch.arange(size, dtype=torch.float64)) == pytest.approx(float(u[0, axis]), abs=1e-12)


def test_the_cubic_spline():
    torch.testing.assert_close(spline(torch.zeros(1), 4, 0), torch.tensor([[1 / 6, 4 / 6, 1 / 6, 0.0]]))
    torch.testing.assert_close(spline(torch.zeros(1), 4, 1), torch.tensor([[-0.5, 0.0, 0.5, 0.0]]))


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "plain torch"])
def test_first_and_second_derivatives(kernels):
    u, grid, sources = places(2).requires_grad_(), rows(2, 4, 4, 4).requires_grad_(), rows(2, 2, 1).requires_grad_()
    checks = [
        (lambda u, grid: mesh_gather(grid, u, 4, 0), (u, grid)),
        (lambda u, grid: mesh_gather(grid, u, 4, 1), (u, grid)),
        (lambda u, sources: mesh_spread(sources, u, [4, 4, 4], 4, 0), (u, sources)),
    ]
    if kernels:
        assert all(torch.autograd.gradgradcheck(function, inputs) for function, inputs in checks)
    else:
        with reference_kernels():
            assert all(torch.autograd.gradgradcheck(function, inputs) for function, inputs in checks)


def test_threads_give_the_same_grid():
    sources, u = rows(500, 1, 1), places(500)
    before = torch.get_num_threads()
    grids = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            grids.append(mesh_spread(sources, u, [16, 12, 10], 6, 0))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(grids[0], grids[1]) and torch.equal(grids[0], grids[2])


def test_no_atoms():
    assert mesh_gather(rows(2, *SIZES), places(0), 6, 1).shape == (0, 2, 3)
    assert float(mesh_spread(rows(0, 2, 1), places(0), SIZES, 6, 0).abs().max()) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mesh_gather(rows(2, 8, 8, 8), places(), 5, 0), "expected order 4, 6 or 8, found 5"),
        (lambda: mesh_gather(rows(2, 8, 8, 8), places(), 4, 4), "splines of order 4 have no derivatives of degree 4"),
        (lambda: mesh_gather(rows(2, 8, 8, 5), places(), 6, 0), "expected at least 6 points along each axis"),
        (lambda: mesh_gather(rows(2, 8, 8), places(), 6, 0), "expected a grid .channels, sizes. and places"),
        (lambda: mesh_spread(rows(7, 2, 3), places(), SIZES, 6, 0), r"expected sources \[7, channels, 1\]"),
        (lambda: mesh_spread(rows(7, 2, 1).float(), places(), SIZES, 6, 0), "of one float type, found"),
    ],
)
def test_misuse(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()
