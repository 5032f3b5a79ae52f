from __future__ import annotations

import pytest
import torch
from torch import nn

from workzone.errors import TrainingError, UsageError
from workzone.train.optim.averaging import WeightAverage, decay_at


def module() -> nn.Sequential:
    torch.manual_seed(0)
    frozen = nn.Linear(3, 3).requires_grad_(False)
    return nn.Sequential(frozen, nn.Linear(3, 2), nn.BatchNorm1d(2))


def walk(model: nn.Module, average: WeightAverage, seeds: range) -> list[torch.Tensor]:
    """Random weights, taken in one after the other; returns those of the linear layer."""
    seen = []
    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.copy_(torch.randn(parameter.shape, generator=random))
        average.update()
        seen.append(model[1].weight.detach().clone())
    return seen


def test_the_decay_warms_up():
    assert [decay_at(0.5, t) for t in (0, 1, 7, 8, 9)] == [0.1, 2 / 11, 8 / 17, 0.5, 0.5]
    assert decay_at(0.999, 8989) == 8990 / 8999 < 0.999
    assert decay_at(0.999, 8990) == 0.999


def test_the_average_is_the_closed_form_sum():
    model = module()
    first = model[1].weight.detach().double()
    average = WeightAverage(model, 0.6)
    seen = [first, *(w.double() for w in walk(model, average, range(1, 21)))]
    decays = [min(0.6, (1 + t) / (10 + t)) for t in range(20)]
    expected = torch.zeros_like(first)
    for number, weight in enumerate(seen):
        share = 1.0 if number == 0 else 1 - decays[number - 1]
        for decay in decays[number:]:
            share *= decay
        expected += share * weight
    with average.swapped_in():
        torch.testing.assert_close(model[1].weight.double(), expected, rtol=1e-5, atol=1e-6)


def test_weights_come_back_bit_for_bit_and_the_rest_is_never_touched():
    model = module()
    average = WeightAverage(model, 0.9)
    walk(model, average, range(5))
    model(torch.randn(8, 3))  # moves the batch norm's statistics
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="validation"), average.swapped_in():
        inside = {name: value.clone() for name, value in model.state_dict().items()}
        raise ValueError("validation")
    changed = {name for name in before if not torch.equal(before[name], inside[name])}
    assert changed == {"1.weight", "1.bias", "2.weight", "2.bias"}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_restored_average_goes_on_bit_for_bit():
    straight = module()
    average = WeightAverage(straight, 0.99)
    walk(straight, average, range(30))
    resumed = module()
    first = WeightAverage(resumed, 0.99)
    walk(resumed, first, range(12))
    second = WeightAverage(resumed, 0.99)
    second.load_state_dict(first.state_dict())
    walk(resumed, second, range(12, 30))
    assert second.updates == average.updates == 30
    for name, value in average.state_dict()["average"].items():
        assert torch.equal(value, second.state_dict()["average"][name]), name


def test_a_bfloat16_model_is_averaged_in_float32():
    """0.001 of a step of 0.001 would vanish in bfloat16, which has three digits."""
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.constant_(model.weight, 1.0)
    average = WeightAverage(model, 0.999)
    average.updates = 1_000_000  # warm
    nn.init.constant_(model.weight, 1.0078125)
    average.update()
    held = average.state_dict()["average"]["weight"]
    assert held.dtype == torch.float32
    assert held.item() == pytest.approx(1 + 0.001 * 0.0078125, abs=1e-7)
    with average.swapped_in():
        assert model.weight.dtype == torch.bfloat16


def test_the_average_of_another_model_is_refused():
    state = WeightAverage(nn.Linear(3, 2), 0.9).state_dict()
    with pytest.raises(
        TrainingError, match=r"'weight' has shape \(2, 3\) in it, \(2, 4\) in the model; resume"
    ):
        WeightAverage(nn.Linear(4, 2), 0.9).load_state_dict(state)
    with pytest.raises(TrainingError, match=r"'bias' has shape \(2,\) in it, none in the model"):
        WeightAverage(nn.Linear(3, 2, bias=False), 0.9).load_state_dict(state)


@pytest.mark.parametrize("decay", [0.0, 1.0, float("nan")])
def test_a_decay_out_of_range(decay):
    with pytest.raises(UsageError, match=rf"ema: decay={decay}, allowed: above 0 and below 1"):
        WeightAverage(nn.Linear(1, 1), decay)
