"""Learning rates over a run: a step's number to what the learning rate is multiplied by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from workzone.errors import UsageError, nearest

ScheduleName = Literal["constant", "cosine", "one-cycle"]

_DEFAULT_WARMUP = {"constant": 0.0, "cosine": 0.05, "one-cycle": 0.3}

ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START / 10_000
"""The multipliers that one-cycle starts and ends with; those of `torch.optim.lr_scheduler`."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the learning rate goes.

    ========= ===================================================================================
    constant  linear warm-up, if any, then 1
    cosine    linear warm-up, then half a cosine from 1 to 0 (Loshchilov & Hutter 2017, arXiv
              1608.03983, without restarts)
    one-cycle half a cosine from 1/25 to 1 during warm-up, half a cosine to 4e-6 after it (Smith &
              Topin 2018, arXiv 1708.07120, with cosines as in torch; momentum stays as it is)
    ========= ===================================================================================
    """

    name: ScheduleName = "constant"
    warmup: float | None = None  # share of all steps, 0 to below 1; None: 0, 0.05, 0.3 by name

    def __post_init__(self) -> None:
        mistakes = []
        if self.name not in get_args(ScheduleName):
            hint = nearest(str(self.name), get_args(ScheduleName))
            mistakes.append(f"name={self.name!r} is not known; {hint}")
        if self.warmup is not None and not 0 <= self.warmup < 1:
            mistakes.append(f"warmup={self.warmup}, allowed: 0 to below 1")
        if mistakes:
            raise UsageError(f"schedule: {'; '.join(mistakes)}")

    def check_self_averaging(self, optimizer: str) -> None:
        """Make sure that the learning rate stays up, as an optimizer that averages itself needs.

        Raises:
            UsageError: it does not.
        """
        if self.name != "constant":
            raise UsageError(
                f"schedule: {self.name!r} lowers the learning rate, but the optimizer "
                f"{optimizer} averages weights instead; take 'constant' (a warm-up may stay)"
            )

    def multiplier(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied by.

        Args:
            step: number of the step, from 0; at ``steps`` and after it the last value stays.
            steps: of the whole run, at least 1.

        Returns:
            0..1. A linear warm-up over w steps is ``(step + 1) / w``: never 0, and 1 at its last.
        """
        step = min(step, steps - 1)
        share = _DEFAULT_WARMUP[self.name] if self.warmup is None else self.warmup
        if self.name == "one-cycle":
            return _one_cycle(step, top=share * steps - 1, last=steps - 1)
        warmup = round(share * steps)
        if step < warmup:
            return (step + 1) / warmup
        if self.name == "constant":
            return 1.0
        return _between(1.0, 0.0, (step - warmup) / (steps - warmup))


def _between(start: float, end: float, progress: float) -> float:
    """Half a cosine from ``start`` to ``end`` as ``progress`` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(step: int, *, top: float, last: int) -> float:
    if step <= top:
        return _between(ONE_CYCLE_START, 1.0, step / top if top else 1.0)
    top = max(top, 0.0)
    return _between(1.0, ONE_CYCLE_END, (step - top) / (last - top) if last > top else 0.0)
