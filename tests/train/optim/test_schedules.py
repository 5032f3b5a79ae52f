from __future__ import annotations

import math

import pytest
import torch

from workzone.errors import UsageError
from workzone.train.optim.schedules import ScheduleConfig


def multipliers(steps: int, **settings: object) -> list[float]:
    config = ScheduleConfig(**settings)
    return [config.multiplier(step, steps) for step in range(steps)]


def test_constant_is_one():
    assert multipliers(5) == [1.0] * 5


def test_constant_after_a_warm_up():
    assert multipliers(8, warmup=0.5) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_cosine_by_hand():
    half = math.sqrt(0.5)
    expected = [0.5, 1.0, 1.0, (1 + half) / 2, 0.5, (1 - half) / 2]
    assert multipliers(6, name="cosine", warmup=1 / 3) == pytest.approx(expected)


def test_cosine_warms_up_by_a_twentieth_unless_told():
    assert multipliers(40, name="cosine")[:3] == [0.5, 1.0, 1.0]
    assert multipliers(40, name="cosine", warmup=0.0)[:2] == pytest.approx(
        [1.0, (1 + math.cos(math.pi / 40)) / 2]
    )


@pytest.mark.parametrize("steps", [10, 50, 333])
def test_one_cycle_is_that_of_torch(steps):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, cycle_momentum=False
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < steps:
            theirs.step()
    assert multipliers(steps, name="one-cycle") == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize("warmup", [None, 0.0, 0.1, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 3, 100])
def test_every_step_has_a_rate_and_the_top_is_reached(name, warmup, steps):
    values = multipliers(steps, name=name, warmup=warmup)
    assert all(0 < value <= 1 for value in values)
    if name != "one-cycle":  # whose top may lie between two steps
        assert max(values) == 1.0


def test_after_the_end_the_last_value_stays():
    for name in ("constant", "cosine", "one-cycle"):
        config = ScheduleConfig(name=name)
        assert config.multiplier(25, 20) == config.multiplier(19, 20)


def test_what_averages_itself_needs_its_rate():
    ScheduleConfig(warmup=0.1).check_self_averaging("schedulefree")
    with pytest.raises(UsageError, match=r"'cosine' lowers .* schedulefree .* take 'constant'"):
        ScheduleConfig(name="cosine").check_self_averaging("schedulefree")


def test_all_mistakes_at_once():
    with pytest.raises(UsageError) as error:
        ScheduleConfig(name="cosin", warmup=1.0)
    assert str(error.value) == (
        "schedule: name='cosin' is not known; did you mean 'cosine'? allowed: constant, cosine, "
        "one-cycle; warmup=1.0, allowed: 0 to below 1"
    )
