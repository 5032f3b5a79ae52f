"""What is to be seen of a training while it runs, below its bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from workzone.progress import Bar

BLOCKS = "▁▂▃▄▅▆▇█"
EPOCHS_DRAWN = 40
SMOOTHING = 0.9
"""Share of the past in images/s, which would flicker otherwise."""


class Display:
    """Two lines: the step that was last, and what validation says, of the stage that goes on."""

    def __init__(self, bar: Bar) -> None:
        """Stand below a bar; it shows up where and when the bar does, on a terminal."""
        self._step: Mapping[str, Any] = {}
        self._epochs: list[Mapping[str, Any]] = []
        self._rate: float | None = None
        bar.note(self)

    def step(self, record: Mapping[str, Any]) -> None:
        """Take in a step."""
        if record["stage"] != self._step.get("stage"):
            self._epochs, self._rate = [], None
        new = record["images_per_second"]
        self._rate = new if self._rate is None else SMOOTHING * self._rate + (1 - SMOOTHING) * new
        self._step = record

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Take in an epoch."""
        if math.isfinite(record.get("validation_loss", math.nan)):
            self._epochs = [*self._epochs, record]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As rich asks for it, in a thread of its own."""
        step, epochs = self._step, self._epochs
        if step:
            yield Text(
                f"  {step['stage']}, epoch {step['epoch'] + 1}: loss {float(step['loss']):.3f}, "
                f"learning rate {step['learning_rate']:.1e}, {self._rate:,.0f} images/s",
                overflow="ellipsis",
                no_wrap=True,
            )
        if epochs:
            yield Text(f"  {_validation(epochs)}", overflow="ellipsis", no_wrap=True)


def _validation(epochs: Sequence[Mapping[str, Any]]) -> str:
    losses = [record["validation_loss"] for record in epochs]
    best = min(epochs, key=lambda record: record["validation_loss"])
    told = f"validation loss {losses[-1]:.3f} {sparkline(losses[-EPOCHS_DRAWN:])} best "
    told += f"{best['validation_loss']:.3f} (epoch {best['epoch'] + 1})"
    areas = [record["validation_auc"] for record in epochs if record["validation_auc"] is not None]
    return told + (f", AUC {areas[-1]:.3f}, best {max(areas):.3f}" if areas else "")


def sparkline(values: Sequence[float]) -> str:
    """A block for each value, from the lowest to the highest of them."""
    low, high = min(values), max(values)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in values)
