from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from workzone.errors import DivergedError, TrainingError
from workzone.model.config import DetectorConfig
from workzone.train.feed.examples import Examples
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.search import range_test as module
from workzone.train.search.range_test import (
    HIGHEST,
    LOWEST,
    STEPS,
    ExponentialSchedule,
    RangeTest,
    range_test,
    smoothed,
    write_range_test,
)
from workzone.train.settings import TrainConfig

CONFIG = TrainConfig(detector=DetectorConfig(), batch=32)


def made_examples(rows: int = 160, scale: float = 1.0) -> Examples:
    """Noise, with a shift in positives."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % 2
    features = torch.randn(rows, 3, 6, generator=random)
    features[:, 0, 0] += 8 * labels
    return Examples(labels=labels, rows=torch.arange(rows)[:, None], features=features * scale)


def made_test(losses: list[float]) -> RangeTest:
    """As if there were no need to smooth."""
    rates = np.geomspace(LOWEST, HIGHEST, len(losses)).tolist()
    return RangeTest(rates, losses, losses, False)


def test_the_rate_grows_by_the_same_factor_from_lowest_to_highest() -> None:
    schedule = ExponentialSchedule()
    rates = [HIGHEST * schedule.multiplier(step, steps=7) for step in range(STEPS)]
    np.testing.assert_allclose(rates, np.geomspace(LOWEST, HIGHEST, STEPS))


def test_smoothing_is_a_mean_with_weights_that_fall_by_a_tenth() -> None:
    losses = [3.0, 1.0, 4.0, 1.0, 5.0]
    for length in range(1, 6):
        weights = 0.9 ** np.arange(length)[::-1]
        expected = np.average(losses[:length], weights=weights)
        assert smoothed(losses)[length - 1] == pytest.approx(expected)


def test_the_steepest_descent_of_a_known_curve_is_found() -> None:
    """A logistic curve in log(rate) is steepest in its middle, here at 1e-3."""
    logs = np.linspace(-6, 0, 121)
    result = made_test((1 / (1 + np.exp(3 * (logs + 3)))).tolist())
    assert result.proposed == pytest.approx(1e-3, rel=0.03)
    assert result.lowest == HIGHEST


def test_what_comes_after_the_lowest_loss_is_no_descent() -> None:
    logs = np.linspace(-6, 0, 121)
    curve = 1 / (1 + np.exp(3 * (logs + 3)))
    curve[100:] = np.linspace(5, 1, 21)  # up by a leap, then down steeply
    result = made_test(curve.tolist())
    assert result.proposed == pytest.approx(1e-3, rel=0.03)
    assert result.lowest == pytest.approx(10 ** logs[99])


def test_a_loss_that_never_falls_gives_no_proposal(tmp_path: Path) -> None:
    result = made_test(np.linspace(1, 3, 50).tolist())
    with pytest.raises(TrainingError, match=r"the loss never fell while .* from 1\.0e-06 to 1\.0e"):
        write_range_test(result, tmp_path / "curve.png")
    assert list(tmp_path.iterdir()) == []


def test_it_ends_where_the_loss_diverges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIVERGED", 1.2)  # so small a problem does not get far worse
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    result = range_test(made_examples(), np.arange(160), CONFIG)
    assert torch.equal(torch.rand(3), expected)  # the caller's random numbers are left alone
    assert len(result.rates) == len(result.losses) == len(result.smoothed) < STEPS
    np.testing.assert_allclose(
        result.rates, np.geomspace(LOWEST, HIGHEST, STEPS)[: len(result.rates)], rtol=1e-6
    )
    assert result.diverged
    assert result.smoothed[-1] > 1.2 * min(result.smoothed)
    assert not any(
        value > 1.2 * min(result.smoothed[: number + 1])
        for number, value in enumerate(result.smoothed[:-1])
        if number >= 9
    )
    assert 1e-5 < result.proposed < result.lowest < 1


def test_steps_are_counted_over_epochs() -> None:
    """With a rate that is too low to diverge, all steps are taken: 160 rows give 5 an epoch."""
    config = dataclasses.replace(CONFIG, gradient_clip=1e-6, optimizer=OptimizerConfig(name="sgd"))
    result = range_test(made_examples(), np.arange(160), config)
    assert len(result.rates) == STEPS
    assert not result.diverged
    assert result.rates[-1] == pytest.approx(HIGHEST)
    assert result.losses[0] == pytest.approx(math.log(2), rel=1e-3)  # penalties are left out


def test_a_loss_that_is_no_number_at_once_is_an_error() -> None:
    with pytest.raises(DivergedError, match="the loss became nan in step 0"):
        range_test(made_examples(scale=math.inf), np.arange(160), CONFIG)


def test_a_loss_that_becomes_no_number_ends_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DIVERGED", math.inf)
    config = dataclasses.replace(
        CONFIG, classifier_penalty=1e6, optimizer=OptimizerConfig(name="sgd")
    )
    result = range_test(made_examples(), np.arange(160), config)
    assert result.diverged
    assert len(result.rates) < STEPS


def test_the_curve_and_its_numbers_are_written(tmp_path: Path) -> None:
    result = range_test(made_examples(), np.arange(160), CONFIG)
    write_range_test(result, tmp_path / "model.learning-rate.png")
    told = json.loads((tmp_path / "model.learning-rate.json").read_text())
    assert told["proposed"] == result.proposed
    assert told["tenth_of_lowest"] == result.lowest / 10
    assert told["rates"] == result.rates
    with Image.open(tmp_path / "model.learning-rate.png") as picture:
        assert picture.width > 800
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 3
