"""Training the detector on stored features: one loop."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from workzone.errors import TrainingError
from workzone.model.detector import Detector, DetectorConfig
from workzone.progress import Bar
from workzone.train.averaging import WeightAverage
from workzone.train.examples import Examples, Rows
from workzone.train.judging import BATCH, validation_loss
from workzone.train.losses import masks_loss, penalty
from workzone.train.optimizers import (
    differentiable_twice,
    evaluation_weights,
    make_optimizer,
    set_learning_rate,
)
from workzone.train.sampling import SamplingConfig, draw, sampling_weights
from workzone.train.settings import TrainConfig

STATISTICS_IMAGES = 8192
"""Most images from which features are standardised: 1 GB of lite0's four views in float32."""


@dataclass(frozen=True)
class Learned:
    """A detector in evaluation mode, and how it came about."""

    detector: Detector
    losses: list[float]  # on the validation rows, per epoch
    averaged: bool  # whether its weights are the moving average


def train_detector(
    examples: Examples,
    rows: Rows,
    config: TrainConfig,
    progress: Bar,
    *,
    epochs: int,
    validation: Rows | None,
    averaged: bool = False,
    make_detector: Callable[[DetectorConfig], Detector] = Detector,
) -> Learned:
    """Train one detector; with validation rows, keep it as it was at its lowest loss there.

    Where there is a moving average of the weights it is judged beside them, and the better of the
    two is kept; without validation rows ``averaged`` tells which.
    """
    random = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)  # initial weights, dropout, noise of the pruner and of Sophia
    detector = make_detector(examples.sized(config.detector, rows))
    metadata = examples.metadata(detector.config)
    labels = examples.labels
    _fit_statistics(detector, examples, torch.from_numpy(rows))
    optimizer = make_optimizer(detector, config.optimizer)
    average = WeightAverage(detector, config.ema) if config.ema else None
    counts = torch.bincount(labels[rows], minlength=2)
    class_weights = counts.sum() / (2 * counts)
    if config.sampling.class_balance:
        class_weights = torch.ones(2)  # the draw balances
    steps = config.epochs * math.ceil(len(rows) / config.batch)
    unseen = None if validation is None else torch.from_numpy(validation)
    history: list[float] = []
    best_state: dict[str, torch.Tensor] = {}
    step = 0
    for epoch in range(epochs):
        detector.train()
        examples = examples.at_epoch(epoch)
        order = torch.from_numpy(rows)[_order(examples, rows, config, random, epoch)]
        copies = torch.randint(examples.rows.shape[1], (len(rows),), generator=random)
        for batch, copy in zip(order.split(config.batch), copies.split(config.batch), strict=True):
            set_learning_rate(optimizer, config.schedule.multiplier(step, steps))
            curvature = config.optimizer.needs_second_derivatives(step)
            with differentiable_twice() if curvature else contextlib.nullcontext():
                output = detector.run(examples.batch(batch, copy, metadata))
                losses = F.cross_entropy(output.logits, labels[batch], reduction="none")
                loss = (losses * class_weights[labels[batch]]).mean() + penalty(detector, config)
                loss = loss + config.balance_weight * output.balance_loss
                loss = loss + config.mask_weight * masks_loss(output, examples, batch, copy)
                if not bool(torch.isfinite(loss)):
                    raise TrainingError(
                        f"the loss became {loss.item()} in step {step} (epoch {epoch}, "
                        f"{examples.names(batch)}); lower the learning rate "
                        f"({config.optimizer.learning_rate}) or set gradient_clip"
                    )
                optimizer.zero_grad()
                loss.backward(create_graph=curvature)
            if config.gradient_clip:
                torch.nn.utils.clip_grad_norm_(detector.parameters(), config.gradient_clip)
            optimizer.step()
            if average is not None:
                average.update()
            step += 1
        progress.advance()
        if unseen is None:
            continue
        best_yet = min(history, default=math.inf)
        candidates = []
        for name, weights in _kept_weights(optimizer, average):
            with weights:
                modes = [None] if metadata is None else [None, metadata]  # used without and with
                seen = [
                    validation_loss(detector, examples, unseen, class_weights, m) for m in modes
                ]
                candidates.append(sum(seen) / len(seen))
                if candidates[-1] < min([best_yet, *candidates[:-1]]):
                    averaged = name == "average"
                    best_state = {n: value.clone() for n, value in detector.state_dict().items()}
        history.append(min(candidates))
        if len(history) - 1 - int(np.argmin(history)) >= config.patience:
            break
    if not best_state:
        kept = dict(_kept_weights(optimizer, average))["average" if averaged else "weights"]
        with kept:
            best_state = {name: value.clone() for name, value in detector.state_dict().items()}
    detector.load_state_dict(best_state)
    return Learned(detector.eval(), history, averaged)


def _order(
    examples: Examples, rows: Rows, config: TrainConfig, random: torch.Generator, epoch: int
) -> torch.Tensor:
    """Which of the rows an epoch sees, as positions in ``rows``."""
    if config.sampling == SamplingConfig():
        return torch.randperm(len(rows), generator=random)
    samples = [examples.samples[row] for row in rows]
    weights = sampling_weights(samples, config.sampling).weights
    return torch.from_numpy(draw(weights, seed=config.seed, epoch=epoch))


def _kept_weights(
    optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> list[tuple[str, contextlib.AbstractContextManager[None]]]:
    """The weights that may be kept, each as a context in which the detector has them."""
    kept: list[tuple[str, contextlib.AbstractContextManager[None]]] = [
        ("weights", evaluation_weights(optimizer))
    ]
    if average is not None:
        kept.append(("average", average.swapped_in()))
    return kept


@torch.no_grad()
def _fit_statistics(detector: Detector, examples: Examples, rows: torch.Tensor) -> None:
    """What is computed from training rows, not learned: the glance's probe, the scale of views.

    From `STATISTICS_IMAGES` of them at most, which tell both well enough, evenly spread.
    """
    rows = rows[:: math.ceil(len(rows) / STATISTICS_IMAGES)]
    parts = rows.split(BATCH)
    if detector.glance is not None:
        grids = (examples.stored(part).grid for part in parts)
        means = torch.cat([grid.mean(dim=1) for grid in grids if grid is not None])
        detector.glance.fit(means, examples.labels[rows])
    read = [detector.choose_views(examples.stored(part)).features for part in parts]
    detector.fit_scaler(torch.cat(read))
