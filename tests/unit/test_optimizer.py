"""The optimizers: orthogonalized steps, which parameters get them, and states that continue exactly."""

import copy

import pytest
import torch
from torch import nn

from charon.model import ModelConfig, Statistics, build_potential
from charon.train.config import TrainingConfig
from charon.train.optimizer import Muon, make_optimizer, orthogonalized


@pytest.mark.parametrize("shape", [(8, 8), (5, 20), (40, 12)])
def test_orthogonalized_has_the_directions_and_even_singular_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    found = orthogonalized(matrix)
    u, values, v = torch.linalg.svd(found, full_matrices=False)
    assert values.min() > 0.4 and values.max() < 1.3
    exact_u, _, exact_v = torch.linalg.svd(matrix, full_matrices=False)
    polar = exact_u @ exact_v
    overlap = (found * polar).sum() / (found.norm() * polar.norm())
    assert float(overlap) > 0.95


def test_muon_solves_least_squares():
    torch.manual_seed(1)
    target = torch.randn(6, 4)
    weight = nn.Parameter(torch.zeros(6, 4))
    muon = Muon([weight], lr=0.05)
    for step in range(400):
        muon.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        loss = (weight - target).square().sum()
        weight.grad = torch.autograd.grad(loss, weight)[0]
        muon.step()
    assert float((weight - target).detach().abs().max()) < 0.02


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_parameter_has_one_optimizer_and_a_state_that_continues(name):
    torch.manual_seed(2)
    config = TrainingConfig(optimizer=name, learning_rate=1e-3)
    potential = build_potential(ModelConfig(channels=8), [11, 17], Statistics((-1.0, -2.0), 10.0))
    optimizer = make_optimizer(potential, config)
    held = [id(p) for member in optimizer.members for group in member.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in potential.parameters())
    assert len(optimizer.members) == (2 if name == "muon" else 1)

    def steps(optimizer, count: int) -> None:
        for k in range(count):
            for p in potential.parameters():
                p.grad = torch.full_like(p, 0.1 * (k + 1)) * torch.arange(p.numel()).reshape(p.shape).sin()
            optimizer.step()

    steps(optimizer, 3)
    weights = {key: value.clone() for key, value in potential.state_dict().items()}
    state = copy.deepcopy(optimizer.state_dict())
    steps(optimizer, 2)
    straight = [p.detach().clone() for p in potential.parameters()]
    potential.load_state_dict(weights)
    again = make_optimizer(potential, config)
    again.load_state_dict(state)
    steps(again, 2)
    assert all(torch.equal(a, b.detach()) for a, b in zip(straight, potential.parameters(), strict=True))
