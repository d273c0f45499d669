"""Dispersion: derivatives, limits and invariances, in float64, whatever the boundary."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from torch import Tensor

from charon.batch import Batch, collate, make_graph
from charon.model.dispersion import Dispersion, DispersionConfig
from charon.model.dispersion.kernel import attraction
from charon.ops.emulation import Domain, run_domains
from charon.structure import Structure

ELEMENTS, CUTOFF = [1, 6, 8, 11, 17, 47], 5.0


def dispersion(kind: str = "d4", **settings: object) -> Dispersion:
    return Dispersion(ELEMENTS, CUTOFF, DispersionConfig(kind=kind, **settings)).to(torch.float64)


def rattled(atoms: Atoms, amplitude: float = 0.1) -> Atoms:
    atoms.set_initial_magnetic_moments(None)
    atoms.rattle(amplitude, seed=1)
    atoms.info.update(charge=0, spin=1)
    return atoms


def crystal() -> Atoms:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    shear = np.array([[1.0, 0, 0], [0.06, 0.98, 0], [-0.04, 0.05, 1.03]])
    atoms.set_cell(np.asarray(atoms.cell) @ shear, scale_atoms=True)
    return rattled(atoms)


def slab() -> Atoms:
    return rattled(fcc111("Ag", (2, 2, 3), periodic=False))


def wire() -> Atoms:
    atoms = molecule("C2H2")
    atoms.rotate(90, "y")
    atoms.set_cell([5.0, 0, 0])
    atoms.pbc = [True, False, False]
    return rattled(atoms)


SYSTEMS = {"ethanol": lambda: rattled(molecule("CH3CH2OH")), "salt": crystal, "slab": slab, "wire": wire}


def batch_of(*systems: Atoms) -> Batch:
    structures = [Structure.from_atoms(atoms, source="test") for atoms in systems]
    return collate([make_graph(structure, ELEMENTS, CUTOFF) for structure in structures])


def charges_of(n: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(n).normal(scale=0.3, size=n))


def energies(model: Dispersion, batch: Batch, charges: Tensor | None = None) -> Tensor:
    charges = charges_of(len(batch.types)) if charges is None else charges
    edges = (batch.types, batch.edge_index, batch.edge_vector)
    return model(*edges, batch.positions, batch.cell, batch.pbc, batch.batch, charges)


def energy(model: Dispersion, atoms: Atoms) -> float:
    with torch.no_grad():
        return float(energies(model, batch_of(atoms)).sum())


def gradients(model: Dispersion, atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy gradients with respect to positions [n, 3], a deformation [3, 3] and charges [n]."""
    batch, charges = batch_of(atoms), charges_of(len(atoms)).requires_grad_()
    variables = [batch.edge_vector, batch.positions, batch.cell]
    for variable in variables:
        variable.requires_grad_()
    wanted = [*variables, charges]
    found = torch.autograd.grad(energies(model, batch, charges).sum(), wanted, allow_unused=True)
    edge, place, cell, charge = (torch.zeros_like(w) if g is None else g for g, w in zip(found, wanted, strict=True))
    strain = batch.edge_vector.t() @ edge + batch.positions.t() @ place + batch.cell[0].t() @ cell[0]
    place = place.index_add(0, batch.edge_index[1], edge).index_add(0, batch.edge_index[0], -edge)
    return place.detach().numpy(), strain.detach().numpy(), charge.numpy()


def slope(function, step: float = 1e-3) -> float:
    """Derivative at zero by central differences of fourth order."""
    return (8 * (function(step) - function(-step)) - function(2 * step) + function(-2 * step)) / (12 * step)


def moved(atoms: Atoms, direction: np.ndarray, amount: float) -> Atoms:
    copy = atoms.copy()
    copy.positions += amount * direction
    return copy


def deformed(atoms: Atoms, strain: np.ndarray, amount: float) -> Atoms:
    copy = atoms.copy()
    copy.set_cell(np.asarray(atoms.cell) @ (np.eye(3) + amount * strain), scale_atoms=False)
    copy.positions = atoms.positions @ (np.eye(3) + amount * strain)
    return copy


FORCES = [*itertools.product(SYSTEMS, ["d3", "d4"], ["ewald"]), ("salt", "d4", "mesh"), ("slab", "d4", "mesh")]


@pytest.mark.parametrize(("system", "kind", "method"), FORCES)
def test_forces_are_minus_the_gradient(system, kind, method):
    model, atoms = dispersion(kind, method=method), SYSTEMS[system]()
    direction = np.random.default_rng(1).normal(size=(len(atoms), 3))
    found = (gradients(model, atoms)[0] * direction).sum()
    expected = slope(lambda h: energy(model, moved(atoms, direction, h)))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", ["d3", "d4"])
@pytest.mark.parametrize("component", [(0, 0), (1, 2), (2, 1), (2, 0)])
def test_stress_is_the_strain_derivative(kind, component):
    model, atoms, strain = dispersion(kind), crystal(), np.zeros((3, 3))
    strain[component] = 1.0
    expected = slope(lambda h: energy(model, deformed(atoms, strain, h)))
    assert gradients(model, atoms)[1][component] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("system", ["ethanol", "salt"])
def test_charges_change_d4_as_its_derivative_says(system):
    model, batch = dispersion(), batch_of(SYSTEMS[system]())
    charges = charges_of(len(batch.types))
    direction = torch.linspace(-1, 1, len(charges), dtype=torch.float64)
    found = (gradients(model, SYSTEMS[system]())[2] * direction.numpy()).sum()
    expected = slope(lambda h: float(energies(model, batch, charges + h * direction).sum()), 1e-4)
    assert found == pytest.approx(expected, rel=1e-6)


def test_charges_do_not_matter_to_d3():
    assert not gradients(dispersion("d3"), crystal())[2].any()


@pytest.mark.parametrize("system", ["ethanol", "salt"])
def test_second_derivatives(system):
    """What training on forces needs: the derivative of a force with respect to charges and damping parameters."""
    model, batch = dispersion(trainable=True), batch_of(SYSTEMS[system]())
    start = charges_of(len(batch.types)).requires_grad_()

    def force(charges: Tensor, create_graph: bool = False) -> Tensor:
        vector = batch.edge_vector.clone().requires_grad_()
        places = batch.positions.clone().requires_grad_()
        batch.edge_vector, batch.positions = vector, places
        found = torch.autograd.grad(energies(model, batch, charges).sum(), [vector, places], create_graph=create_graph)
        return (found[0] * torch.sin(vector.detach())).sum() + (found[1] * torch.cos(places.detach())).sum()

    by_charge, by_damping = torch.autograd.grad(force(start, True), [start, model.kernel.free])
    direction = torch.linspace(-1, 1, len(start), dtype=torch.float64)
    expected = slope(lambda h: float(force(start.detach() + h * direction).detach()), 1e-4)
    assert float((by_charge * direction).sum()) == pytest.approx(expected, rel=1e-6)

    def with_damping(step: float) -> float:
        with torch.no_grad():
            model.kernel.free += step
        value = float(force(start.detach()).detach())
        with torch.no_grad():
            model.kernel.free -= step
        return value

    assert float(by_damping.sum()) == pytest.approx(slope(with_damping, 1e-4), rel=1e-6)


def lattice_sum(model: Dispersion, atoms: Atoms, reach: float) -> float:
    """The same pair energies summed over all images within `reach` (A), uniform matter beyond."""
    batch = batch_of(atoms)
    own, center, neighbor = batch.types, *batch.edge_index
    length = batch.edge_vector.norm(dim=1)
    coordination = model.coordination(own[center], own[neighbor], center, length, len(own))
    weights = model.weights(own, coordination, charges_of(len(own)))  # [n, n_references]
    table = model.near.c6.unflatten(2, (len(ELEMENTS), -1))[own][:, :, own]  # [n, n_references, n, n_references]
    c6 = torch.einsum("ia,iajb,jb->ij", weights, table, weights)
    rows = model.kernel()[model.kernel.pair[own[:, None], own]]
    ends = [int(reach / h) + 2 if p else 0 for h, p in zip(heights(atoms), atoms.pbc, strict=True)]
    images = torch.cartesian_prod(*[torch.arange(-n, n + 1.0, dtype=torch.float64) for n in ends])
    total = 0.0
    for shifts in (images @ batch.cell[0]).split(1000):
        vector = batch.positions[None, :] - batch.positions[:, None] + shifts[:, None, None]
        square = vector.square().sum(3)  # [n_images, n, n]
        counts = (square > 1e-8) & (square < reach**2)
        total += float((-0.5 * c6 * attraction(square, rows) * counts).sum())
    size = {3: 4 * np.pi / 3 / reach**3 / atoms.get_volume() if atoms.pbc.all() else 0.0}
    if atoms.pbc.sum() == 2:
        size[2] = np.pi / 2 / reach**4 / np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1]))
    return total - 0.5 * model.kernel.s6 * float(c6.sum()) * size.get(int(atoms.pbc.sum()), 0.0)


def heights(atoms: Atoms) -> list[float]:
    """Distances between the lattice planes of the periodic directions."""
    inverse = np.linalg.pinv(np.asarray(atoms.cell))
    return [1.0 / np.linalg.norm(inverse[:, k]) if atoms.pbc[k] else 1.0 for k in range(3)]


@pytest.mark.parametrize(("system", "reach", "allowed"), [("salt", 40, 1e-6), ("slab", 60, 3e-6), ("wire", 150, 3e-6)])
@pytest.mark.parametrize("kind", ["d3", "d4"])
def test_wave_vectors_sum_all_images(kind, system, reach, allowed):
    model, atoms = dispersion(kind), SYSTEMS[system]()
    assert energy(model, atoms) == pytest.approx(lattice_sum(model, atoms, reach), abs=allowed * len(atoms))


def test_silver_within_the_tolerance():
    """The largest attraction per atom of all: where errors show."""
    model, atoms = dispersion("d3"), rattled(bulk("Ag", "fcc", a=4.09, cubic=True))
    assert energy(model, atoms) == pytest.approx(lattice_sum(model, atoms, 45.0), abs=1.5e-6 * len(atoms))


@pytest.mark.parametrize("make", [crystal, slab])
def test_the_mesh_agrees_with_the_plain_sum(make):
    atoms = make()
    plain, mesh = dispersion(method="ewald"), dispersion(method="mesh")
    assert energy(mesh, atoms) == pytest.approx(energy(plain, atoms), abs=1e-6 * len(atoms))
    assert np.abs(gradients(mesh, atoms)[0] - gradients(plain, atoms)[0]).max() < 1e-5


@pytest.mark.parametrize("method", ["ewald", "mesh"])
def test_energy_is_smooth_in_the_cell(method):
    """Strain of 3 % in 200 steps: the fourth differences of a smooth function are tiny."""
    model, atoms = dispersion("d3", method=method), crystal()
    found = [energy(model, deformed(atoms, np.diag([1.0, 0.4, -0.2]), x)) for x in np.linspace(0, 0.03, 200)]
    assert np.abs(np.diff(found, 4)).max() < 1e-8 * len(atoms)


def test_a_supercell_has_the_energy_of_its_cells():
    model, atoms = dispersion("d3", method="ewald"), crystal()
    assert energy(model, atoms * (2, 1, 2)) == pytest.approx(4 * energy(model, atoms), abs=1e-9)


def test_batch_equals_single():
    model = dispersion("d3")
    systems = [make() for make in SYSTEMS.values()] + [rattled(molecule("C6H6"))]
    batch = batch_of(*systems)
    together = torch.zeros(len(systems), dtype=torch.float64).index_add(0, batch.batch, energies(model, batch))
    assert together.tolist() == pytest.approx([energy(model, atoms) for atoms in systems], abs=1e-12)


def test_a_wide_box_is_open_space():
    model, atoms = dispersion("d3"), molecule("H2O")
    expected = energy(model, rattled(atoms, 0.0))
    differences = []
    for side in (12.0, 24.0):
        boxed = atoms.copy()
        boxed.set_cell([side] * 3)
        boxed.pbc = True
        differences.append(energy(model, rattled(boxed, 0.0)) - expected)
    assert differences[1] < 0 and abs(differences[1]) < 3e-6
    assert differences[0] / differences[1] == pytest.approx(2**6, rel=0.1)


def part_of(batch: Batch, charges: Tensor, owner: Tensor, domain: Domain) -> tuple[Batch, Tensor, Tensor]:
    """What one domain sees of a batch: its atoms, then ghosts; its charges; and the indices of its atoms."""
    owned = torch.nonzero(owner == domain.rank).squeeze(1)
    mine = owner[batch.edge_index[0]] == domain.rank
    center, neighbor = batch.edge_index[:, mine]
    ghosts = torch.tensor(sorted(set(neighbor.tolist()) - set(owned.tolist())), dtype=torch.int64)
    place = torch.cumsum(torch.nn.functional.one_hot(owner, domain.size), 0) - 1  # [n_atoms, size]
    domain.set_ghosts(owner[ghosts], place[ghosts, owner[ghosts]])
    present = torch.cat([owned, ghosts])
    local = torch.full_like(owner, -1)
    local[present] = torch.arange(len(present))
    part = Batch(**{**vars(batch), "types": batch.types[present], "positions": batch.positions[owned]})
    part.edge_index, part.edge_vector = torch.stack([local[center], local[neighbor]]), batch.edge_vector[mine]
    part.batch = batch.batch[owned]
    return part, charges[owned], owned


@pytest.mark.parametrize(("system", "method"), [*itertools.product(SYSTEMS, ["ewald"]), ("salt", "mesh")])
def test_any_number_of_domains(system, method):
    model, atoms = dispersion(method=method), SYSTEMS[system]()
    batch = batch_of(atoms)
    charges = charges_of(len(atoms))
    owner = torch.tensor([0, 2, 2, 0, 3])[torch.arange(len(atoms)) % 5]

    def work(domain: Domain) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        part, own_charges, owned = part_of(batch, charges, owner, domain)
        part.positions, part.edge_vector = part.positions.clone(), part.edge_vector.clone()
        wanted = [part.positions.requires_grad_(), own_charges.clone().requires_grad_()]
        found = energies(model, part, wanted[1])
        place, charge = torch.autograd.grad(found.sum(), wanted)
        return owned, found.detach(), place, charge

    whole = batch_of(atoms)
    wanted = [whole.positions.requires_grad_(), charges.clone().requires_grad_()]
    expected = energies(model, whole, wanted[1])
    place, charge = torch.autograd.grad(expected.sum(), wanted)
    for owned, found, found_place, found_charge in run_domains(4, work):
        torch.testing.assert_close(found, expected.detach()[owned], rtol=0, atol=1e-12)
        torch.testing.assert_close(found_place, place[owned], rtol=0, atol=1e-11)
        torch.testing.assert_close(found_charge, charge[owned], rtol=0, atol=1e-11)
