"""The learning-rate range test: which rate to begin with.

One training whose rate grows exponentially from step to step, until the loss diverges (Smith 2017,
arXiv 1506.01186, there linearly; in this form by Gugger 2018 and fastai).
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from workzone.errors import DivergedError, TrainingError
from workzone.files import write_text, writing
from workzone.progress import bar
from workzone.train.feed.examples import Examples, Rows
from workzone.train.loop import train_detector
from workzone.train.optim.schedules import ScheduleConfig
from workzone.train.session import Session, Stage
from workzone.train.settings import TrainConfig

LOWEST, HIGHEST = 1e-6, 1.0
STEPS = 200
SMOOTHING = 0.9
"""Share of the past in the smoothed loss: about the last ten steps."""
DIVERGED = 4.0
"""The test ends where the smoothed loss is this many times the lowest so far."""
FEWEST = 10
"""Steps before the test may end, or a slope is believed."""


@dataclass(frozen=True, kw_only=True)
class ExponentialSchedule(ScheduleConfig):
    """From ``start`` to 1 by the same factor each step, over ``count`` steps."""

    start: float = LOWEST / HIGHEST
    count: int = STEPS

    def multiplier(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied by, whatever the length of the run."""
        left = 1 - min(step, self.count - 1) / (self.count - 1)
        return math.exp(left * math.log(self.start))


@dataclass(frozen=True)
class RangeTest:
    """What the loss, without penalties, did as the rate grew; lists with a value per step."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    diverged: bool  # before the highest rate

    @property
    def lowest(self) -> float:
        """The rate at the lowest smoothed loss."""
        return self.rates[int(np.argmin(self.smoothed))]

    @property
    def steepest(self) -> float:
        """The rate at which the smoothed loss falls fastest over log(rate), before its lowest.

        Raises:
            TrainingError: it never falls.
        """
        end = int(np.argmin(self.smoothed)) + 1
        if end < FEWEST:
            raise TrainingError(
                f"the loss never fell while the learning rate grew from {self.rates[0]:.1e} to "
                f"{self.rates[-1]:.1e}: no rate can be proposed; look at the labels and features"
            )
        slopes = np.gradient(self.smoothed[:end], np.log(self.rates[:end]))
        first = FEWEST // 2  # the average still consists of few steps
        return self.rates[first + int(np.argmin(slopes[first:]))]

    @property
    def proposed(self) -> float:
        """`steepest`, to two digits."""
        return float(f"{self.steepest:.1e}")

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "proposed": self.proposed,
            "steepest": self.steepest,
            "lowest": self.lowest,
            "tenth_of_lowest": self.lowest / 10,
            "diverged": self.diverged,
            **dataclasses.asdict(self),
        }


class _Enough(Exception):  # noqa: N818
    """The test is over: no error."""


@dataclass
class _Collector:
    """Ends the training once the loss diverges, or all rates were seen."""

    count: int
    rates: list[float]
    losses: list[float]
    diverged: bool = False

    def step(self, record: Mapping[str, Any]) -> None:
        self.rates.append(float(record["learning_rate"]))
        # Penalties on weights fall by themselves; at first they can be most of the loss.
        self.losses.append(float(record["loss"]) - float(record["penalty"]))
        recent = smoothed(self.losses)
        self.diverged = len(recent) >= FEWEST and recent[-1] > DIVERGED * min(recent)
        if self.diverged or len(self.losses) == self.count:
            raise _Enough

    def epoch(self, record: Mapping[str, Any]) -> None:
        """There is nothing to collect."""


def range_test(
    examples: Examples, rows: Rows, config: TrainConfig, session: Session | None = None
) -> RangeTest:
    """Train from `LOWEST` to `HIGHEST` rate in `STEPS` steps, less if the loss diverges.

    Everything is as in training but the schedule: optimizer, sampling, clipping, losses. What was
    learned is thrown away.

    Args:
        examples: what to learn from.
        rows: of them, those that are learned from.
        config: how to train; its learning rate and schedule do not matter.
        session: whose kind of detector it is; None: one of stored features.

    Raises:
        TrainingError: too few steps before the loss is no number.
    """
    config = dataclasses.replace(
        config,
        optimizer=dataclasses.replace(config.optimizer, learning_rate=HIGHEST),
        schedule=ExponentialSchedule(),
        ema=0.0,
        epochs=math.ceil(STEPS / math.ceil(len(rows) / config.batch)),
    )
    collector = _Collector(STEPS, [], [])
    with (
        bar("trying learning rates", config.epochs) as progress,
        torch.random.fork_rng(devices=[]),  # the caller's random numbers stay what they were
    ):
        try:
            train_detector(
                examples,
                rows,
                config,
                progress,
                Stage(session or Session(), "range-test", collector),
                validation=None,
            )
        except _Enough:
            pass
        except DivergedError:
            collector.diverged = True
            if len(collector.losses) < FEWEST:
                raise
    return RangeTest(
        collector.rates, collector.losses, smoothed(collector.losses), collector.diverged
    )


def smoothed(losses: Sequence[float]) -> list[float]:
    """Their exponential moving average with bias correction, as Adam corrects its own."""
    average, found = 0.0, []
    for number, loss in enumerate(losses, 1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        found.append(average / (1 - SMOOTHING**number))
    return found


def write_range_test(result: RangeTest, picture: Path) -> None:
    """Write the curve as a PNG, and its numbers beside it as JSON.

    Raises:
        TrainingError: see `RangeTest.steepest`.
        WorkzoneError: the files cannot be written.
    """
    text = json.dumps(result.to_json(), indent=2, allow_nan=False)
    write_text(picture.with_suffix(".json"), text + "\n")
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(result.rates, result.losses, color="0.8", linewidth=1, label="loss of each step")
    axes.plot(result.rates, result.smoothed, color="#0072b2", linewidth=2, label="smoothed")
    axes.axvline(
        result.proposed, color="#c85a00", linestyle="--", label=f"proposed: {result.proposed:g}"
    )
    axes.axvline(
        result.lowest / 10, color="0.4", linestyle=":", label="a tenth of the lowest loss's"
    )
    top = max(result.smoothed[0], *result.smoothed[: int(np.argmin(result.smoothed)) + 1])
    low = min(result.smoothed)
    axes.set(
        xscale="log",
        xlabel="learning rate",
        ylabel="loss",
        ylim=(low - 0.1 * (top - low), top + 0.3 * (top - low)),
    )
    axes.grid(True, alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    with writing(picture) as aside:
        aside.write_bytes(buffer.getvalue())
