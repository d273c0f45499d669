"""Communication ops: equal to plain torch, adjoint to each other, exact on several domains, clear when misused."""

import shutil
import subprocess
import sys
import threading

import pytest
import torch

from charon import ops
from charon.ops import reference
from charon.ops.emulation import Domain, IndexMapBackend, counters, reset_counters, run_domains

OWNER = torch.tensor([2, 0, 2, 1, 2])  # ghosts of four atoms; atom 3 has none


def rows(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def atom_energies(x: torch.Tensor, n_all: int) -> torch.Tensor:
    """Something non-linear with all three ops in it."""
    seen = ops.halo_forward(x, n_all)
    returned = ops.halo_reverse(torch.tanh(seen) * seen, x.size(0))
    total = ops.allsum((returned * returned).sum(0))
    return (returned * total).sum(1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [(), (3,), (2, 5)])
def test_index_map_equals_the_reference(dtype, width):
    x, g = rows(4, *width, dtype=dtype), rows(9, *width, dtype=dtype)
    with IndexMapBackend(OWNER):
        forward, reverse = ops.halo_forward(x, 9), ops.halo_reverse(g, 4)
    assert torch.equal(forward, reference.halo_forward(x, OWNER))
    assert forward.dtype == reverse.dtype == dtype
    tolerance = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 5e-2}[dtype]
    torch.testing.assert_close(reverse, reference.halo_reverse(g, OWNER), atol=tolerance, rtol=tolerance)


def test_outputs_are_fresh_and_contiguous():
    x = rows(5, 4).T  # not contiguous
    for made in (ops.halo_forward(x, 4), ops.halo_reverse(x, 4), ops.allsum(x)):
        assert torch.equal(made, x)
        assert made.is_contiguous()
        assert made.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("n_local", [0, 1])
def test_zero_rows_and_zero_columns(n_local):
    with IndexMapBackend([]):
        assert ops.halo_forward(rows(n_local, 3), n_local).shape == (n_local, 3)
        assert ops.halo_reverse(rows(n_local, 0), n_local).shape == (n_local, 0)
        assert ops.allsum(rows(0)).shape == (0,)


def test_forward_and_reverse_are_adjoint():
    x, g = rows(4, 3), rows(9, 3)
    with IndexMapBackend(OWNER):
        torch.testing.assert_close((ops.halo_forward(x, 9) * g).sum(), (x * ops.halo_reverse(g, 4)).sum())


def test_first_and_second_derivatives():
    x, g = rows(4, 2).requires_grad_(), rows(9, 2).requires_grad_()
    with IndexMapBackend(OWNER):
        for function, variable in (
            (lambda x: ops.halo_forward(x, 9) ** 3, x),
            (lambda g: ops.halo_reverse(g, 4) ** 3, g),
            (lambda x: ops.allsum(x) ** 3, x),
            (lambda x: atom_energies(x, 9), x),
        ):
            assert torch.autograd.gradcheck(function, variable)
            assert torch.autograd.gradgradcheck(function, variable)


def test_without_a_backend_there_is_one_domain_and_no_ghost():
    x = rows(4, 2).requires_grad_()
    assert torch.equal(ops.halo_forward(x, 4), x)
    assert torch.autograd.gradcheck(lambda x: atom_energies(x, 4), x)


@torch.jit.script
def scripted_energies(x: torch.Tensor, n_all: int) -> torch.Tensor:
    seen = torch.ops.charon.halo_forward(x, n_all)
    return torch.ops.charon.halo_reverse(torch.tanh(seen) * seen, x.size(0)) * ops.allsum(x)


def test_inside_torchscript():
    x = rows(4, 2).requires_grad_()
    with IndexMapBackend(OWNER):
        assert torch.autograd.gradcheck(lambda x: scripted_energies(x, 9), x)


def test_meta_kernels_give_shape_and_type():
    x = torch.empty(4, 3, dtype=torch.float32, device="meta")
    assert ops.halo_forward(x, 9).shape == (9, 3)
    assert ops.halo_reverse(x, 2).shape == (2, 3)
    assert ops.allsum(x).dtype == torch.float32


@pytest.mark.parametrize("op", ["halo_forward", "halo_reverse", "allsum"])
def test_schemas_pass_torchs_own_checks(op):
    arguments = (rows(4, 3).requires_grad_(),) if op == "allsum" else (rows(4, 3).requires_grad_(), 4)
    torch.library.opcheck(
        getattr(torch.ops.charon, op).default,
        arguments,
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


# ---- domains

ATOMS = torch.arange(10, dtype=torch.float64).reshape(10, 1) / 10 + 0.05
SIZES = {1: (10,), 2: (4, 6), 3: (5, 0, 5), 4: (1, 2, 0, 7)}


def chain_energy(domain: Domain, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Energy, its gradient and a second derivative of a chain in which each atom sees the next one."""
    sizes = SIZES[domain.size]
    first = sum(sizes[: domain.rank])
    owned = list(range(first, first + sizes[domain.rank]))
    ghosts = [(owned[-1] + 1) % 10] if owned else []
    home = [(d, k) for d, size in enumerate(sizes) for k in range(size)]
    domain.set_ghosts([home[a][0] for a in ghosts], [home[a][1] for a in ghosts])
    x = ATOMS[owned].to(dtype).requires_grad_()
    seen = ops.halo_forward(x.exp(), len(owned) + len(ghosts))
    mean = ops.allsum(x.sum(0)) / 10
    bonds = (seen[: len(owned)] * seen[1:] if owned else seen) - mean
    energy = (bonds**3).sum()
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    (second,) = torch.autograd.grad((gradient**2).sum(), x)
    return energy.detach(), gradient.detach(), second


@pytest.mark.parametrize("size", [2, 3, 4])
def test_domains_as_threads_equal_one_domain(size):
    energy, gradient, second = run_domains(1, chain_energy)[0]
    parts = run_domains(size, chain_energy)
    torch.testing.assert_close(sum(part[0] for part in parts), energy, rtol=1e-13, atol=0)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), gradient, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(torch.cat([part[2] for part in parts]), second, rtol=1e-12, atol=1e-12)


def test_domains_sum_as_the_reference():
    parts = [rows(3, 2) * rank for rank in range(3)]
    for found in run_domains(3, lambda domain: ops.allsum(parts[domain.rank])):
        torch.testing.assert_close(found, reference.allsum(parts))


def test_counters_of_a_thread():
    def count(domain: Domain) -> dict[str, int]:
        reset_counters()
        chain_energy(domain)
        return counters()

    found = run_domains(2, count)
    assert found[0] == found[1]
    assert found[0]["halo_forward"] >= 2 and found[0]["halo_reverse"] >= 2 and found[0]["allsum"] >= 2
    assert found[0]["widest_row"] == 1


# ---- errors


def test_an_error_in_one_domain_ends_all():
    def work(domain: Domain) -> torch.Tensor:
        if domain.rank == 1:
            raise ValueError("this domain broke")
        return ops.allsum(rows(2))

    with pytest.raises(ValueError, match="this domain broke") as caught:
        run_domains(3, work)
    assert caught.value.__notes__ == ["in domain 1 of 3"]


def test_a_missing_call_is_no_deadlock():
    with pytest.raises(RuntimeError, match="domain 1 has finished"):
        run_domains(2, lambda domain: ops.allsum(rows(2)) if domain.rank == 0 else None)


def test_calls_in_different_order():
    def work(domain: Domain) -> torch.Tensor:
        return ops.allsum(rows(2)) if domain.rank == 0 else ops.halo_forward(rows(2, 3), 2)

    with pytest.raises(RuntimeError, match="the domains exchange in different order: domain . calls"):
        run_domains(2, work)


def test_a_domain_that_waits_too_long():
    waited = threading.Event()

    def work(domain: Domain) -> None:
        if domain.rank == 1:
            waited.wait(5.0)
            return
        try:
            ops.allsum(rows(2))
        finally:
            waited.set()

    with pytest.raises(RuntimeError, match="waited in vain"):
        run_domains(2, work, timeout=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.halo_forward(rows(4, 2), 6), "found 2 ghost rows, but this thread has no domain backend"),
        (lambda: ops.halo_forward(rows(4, 2), 3), "expected 0 <= n_local <= n_all, found n_local = 4, n_all = 3"),
        (lambda: ops.halo_reverse(rows(4, 2), -1), "found n_local = -1, n_all = 4"),
        (lambda: ops.halo_forward(torch.ones(()).sum(), 1), "expected rows along the first dimension"),
        (lambda: ops.halo_forward(torch.arange(3), 3), "expected a tensor of floats, found Long"),
        (lambda: ops.allsum(torch.arange(3)), "expected a tensor of floats, found Long"),
    ],
)
def test_misuse(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_wrong_ghosts():
    with IndexMapBackend(OWNER), pytest.raises(RuntimeError, match="has 5 ghosts, but the exchange has 2 ghost rows"):
        ops.halo_forward(rows(4, 2), 6)
    with IndexMapBackend([7]), pytest.raises(RuntimeError, match="a ghost of atom 7 in domain 0, which owns 4 atoms"):
        ops.halo_forward(rows(4, 2), 5)


def test_an_absent_library_says_how_to_build_it(tmp_path):
    package = tmp_path / "charon"
    (package / "native").mkdir(parents=True)
    (package / "__init__.py").touch()
    source = sys.modules["charon.native"].__file__
    shutil.copy(source, package / "native" / "__init__.py")
    code = (
        f"import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in type(f).__module__]\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import importlib.metadata as m\n"
        "m.distribution = lambda name: (_ for _ in ()).throw(m.PackageNotFoundError(name))\n"
        "import charon.native; charon.native.library_directory()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "native library libcharon.so is not" in done.stderr and "make build" in done.stderr


# ---- rows of all domains


def square_of_all(domain: Domain) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of all domains, and two derivatives of something that is not linear in them."""
    sizes = SIZES[domain.size]
    first = sum(sizes[: domain.rank])
    x = ATOMS[first : first + sizes[domain.rank]].clone().requires_grad_()
    rows = ops.all_rows(x)
    energy = (x * rows.exp().sum()).sum()
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    (second,) = torch.autograd.grad((gradient**2).sum(), x)
    return rows.detach(), ops.ranked_counts(torch.tensor([x.size(0), 7])), gradient.detach(), second


@pytest.mark.parametrize("size", [2, 3, 4])
def test_each_domain_holds_the_rows_of_all(size):
    alone = run_domains(1, square_of_all)[0]
    parts = run_domains(size, square_of_all)
    sizes = SIZES[size]
    for rank, (rows_of_all, counts, _, _) in enumerate(parts):
        assert torch.equal(rows_of_all, ATOMS)
        assert counts.tolist() == [[sum(sizes[:rank]), 7 * rank], [10, 7 * size]]
    for k in (2, 3):
        torch.testing.assert_close(torch.cat([part[k] for part in parts]), alone[k], rtol=1e-12, atol=1e-13)


def test_one_domain_has_all_rows():
    x = rows(4, 2).requires_grad_()
    assert torch.equal(ops.all_rows(x), x)
    assert torch.autograd.gradgradcheck(lambda x: ops.all_rows(x) ** 3, x)
    with pytest.raises(RuntimeError, match="expected counts .m. of int64"):
        ops.ranked_counts(torch.zeros(3))
