"""An exponential moving average (EMA) of the weights, to evaluate beside the weights themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from workzone.errors import TrainingError, UsageError


def decay_at(decay: float, updates: int) -> float:
    """The decay of update number ``updates``, from 0: ``min(decay, (1 + t) / (10 + t))``.

    Without this warm-up the average would be the initial weights for the first ``1 / (1 - decay)``
    steps. As in TensorFlow's ``ExponentialMovingAverage`` with ``num_updates``.
    """
    return min(decay, (1 + updates) / (10 + updates))


class WeightAverage:
    """``average = d_t * average + (1 - d_t) * weights`` after each step; Polyak & Juditsky 1992.

    Of trainable parameters alone. Buffers are not averaged: those of a detector are statistics that
    are computed once, those of batch norms are averages already; evaluation uses them as they are.
    The average is kept in float32 at least: in bfloat16 a step of 1e-4 would be rounded away.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start from the module's weights as they are.

        Args:
            module: whose parameters are averaged; what is trainable now is what is averaged.
            decay: above 0, below 1; 0.999 averages over about the last 1,000 steps.

        Raises:
            UsageError: a decay out of range.
        """
        if not 0 < decay < 1:
            raise UsageError(f"ema: decay={decay}, allowed: above 0 and below 1, such as 0.999")
        self.decay = decay
        self.updates = 0
        self._weights = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._average = {
            name: weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)
            for name, weight in self._weights.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights, after an optimizer's step."""
        share = 1 - decay_at(self.decay, self.updates)
        for name, weight in self._weights.items():
            average = self._average[name]
            average.lerp_(weight.to(average.dtype), share)
        self.updates += 1

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """While inside, the module has the averaged weights; then its own, bit for bit."""
        own = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._copy(self._average)
        try:
            yield
        finally:
            self._copy(own)

    def state_dict(self) -> dict[str, Any]:
        """``updates``, an int, and ``average``, tensors by the parameters' names (not copies)."""
        return {"updates": self.updates, "average": dict(self._average)}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            TrainingError: it is of other parameters.
        """
        average: Mapping[str, torch.Tensor] = state["average"]
        for name in sorted(self._average.keys() | average.keys()):
            here, there = self._average.get(name), average.get(name)
            if here is None or there is None or here.shape != there.shape:
                raise TrainingError(
                    f"the saved average of the weights does not fit the model: {name!r} has shape "
                    f"{_shape(there)} in it, {_shape(here)} in the model; resume with the "
                    "configuration it was saved with"
                )
        for name, value in average.items():
            self._average[name].copy_(value)
        self.updates = state["updates"]

    @torch.no_grad()
    def _copy(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(values[name])


def _shape(value: torch.Tensor | None) -> str:
    return "none" if value is None else str(tuple(value.shape))
