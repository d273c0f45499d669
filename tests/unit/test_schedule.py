"""Averages of weights, learning rates and limits of gradients over a training."""

import math

import pytest
import torch

from charon.train.config import TrainingConfig
from charon.train.ema import AveragedWeights
from charon.train.schedule import GradientLimit, LearningRate


def test_average_of_weights():
    model = torch.nn.Linear(1, 1, bias=False).double()
    torch.nn.init.constant_(model.weight, 1.0)
    average = AveragedWeights(model, 0.5)
    torch.nn.init.constant_(model.weight, 3.0)
    average.update()
    decay = min(0.5, 2 / 11)
    expected = decay * 1.0 + (1 - decay) * 3.0
    with average.applied():
        assert math.isclose(float(model.weight.detach()), expected, rel_tol=1e-12)
    assert float(model.weight.detach()) == 3.0


def test_average_is_taken_back_after_an_error():
    model = torch.nn.Linear(1, 1, bias=False)
    average = AveragedWeights(model, 0.5)
    torch.nn.init.constant_(model.weight, 3.0)
    with pytest.raises(KeyError), average.applied():
        raise KeyError
    assert float(model.weight.detach()) == 3.0


def test_learning_rates():
    cosine = LearningRate(TrainingConfig(learning_rate=1.0, warmup=0.1, final_factor=0.1))
    assert cosine.at(0.05) == 0.5 and cosine.at(0.1) == 1.0
    assert math.isclose(cosine.at(0.55), 0.55, rel_tol=1e-9) and math.isclose(cosine.at(1.0), 0.1, rel_tol=1e-9)
    constant = LearningRate(TrainingConfig(learning_rate=1.0, schedule="constant", warmup=0.0))
    assert constant.at(0.0) == constant.at(1.0) == 1.0


def test_plateau_halves_after_its_patience():
    rate = LearningRate(TrainingConfig(learning_rate=1.0, schedule="plateau", warmup=0.0, plateau_patience=2))
    for score in (3.0, 2.0, 2.5, 2.4):
        rate.observe(score)
    assert rate.at(0.5) == 0.5
    again = LearningRate(rate.config)
    again.load_state_dict(rate.state_dict())
    rate.observe(2.5)
    again.observe(2.5)
    again.observe(2.5)
    assert (rate.at(0.5), again.at(0.5)) == (0.5, 0.25)


def test_gradients_are_limited():
    gradient = torch.tensor([3.0, 4.0])
    assert GradientLimit(1.0, None).apply([gradient]) == 5.0
    assert torch.allclose(gradient, torch.tensor([0.6, 0.8]))
    limit = GradientLimit(None, 2.0)
    for _ in range(20):
        limit.apply([torch.tensor([1.0, 0.0])])
    spike = torch.tensor([50.0, 0.0])
    limit.apply([spike])
    assert math.isclose(float(spike[0]), 2.0, rel_tol=1e-5)
    broken = torch.tensor([math.nan, 1.0])
    assert math.isnan(limit.apply([broken])) and broken[1] == 1.0 and limit.seen == 21
