"""Training the detector on stored features: one loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from workzone.errors import DivergedError, TrainingError
from workzone.model.base import AnyDetector
from workzone.model.metadata.batch import MetadataBatch
from workzone.progress import Bar
from workzone.train.batches import Part, cut, load
from workzone.train.feed.examples import Examples, Rows
from workzone.train.feed.sampling import SamplingConfig, draw, sampling_weights
from workzone.train.judging import Validation, validate
from workzone.train.keep.state import State, whole
from workzone.train.losses import Objective
from workzone.train.optim.averaging import WeightAverage
from workzone.train.optim.optimizers import (
    differentiable_twice,
    evaluation_weights,
    make_optimizer,
    set_learning_rate,
)
from workzone.train.parts import CLASSIFIER, MASKS, Ending, Kept, loss_of, part_names
from workzone.train.processes import Processes
from workzone.train.protection import check_divergence
from workzone.train.session import Learned, Stage
from workzone.train.settings import TrainConfig
from workzone.train.watch.figures import gradient_norm, validation_metrics

STATISTICS_IMAGES = 8192
"""Most images from which features are standardised: 1 GB of lite0's four views in float32."""


def train_detector(
    examples: Examples,
    rows: Rows,
    config: TrainConfig,
    progress: Bar,
    stage: Stage,
    *,
    validation: Rows | None,
    endings: Mapping[str, Ending] | None = None,
) -> Learned:
    """Train one detector; with validation rows, keep each of its parts as it was at its best.

    Where there is a moving average of the weights it is judged beside them, and the better of the
    two is kept. Without validation rows ``endings`` tells how long each part learns, and which of
    the two is kept. From a checkpoint of ``stage`` it goes on as if it had never stopped.
    """
    if config.distill is not None and examples.teacher is None:
        raise TrainingError("distill: no teacher has judged these images; train by `job.train`")
    processes = stage.session.processes
    generator = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)  # initial weights, dropout, noise of the pruner and of Sophia
    make_detector = stage.session.make_detector
    detector = make_detector(examples.sized(config.detector, rows))
    metadata = examples.metadata(detector.config)
    labels = examples.labels
    _fit_statistics(detector, examples, torch.from_numpy(rows))
    counts = torch.bincount(labels[rows], minlength=2)
    class_weights = counts.sum() / (2 * counts)
    if config.sampling.class_balance:
        class_weights = torch.ones(2)  # the draw balances images, whatever their copies lost
    objective: nn.Module = Objective(detector, config, class_weights).to(processes.device)
    objective, optimizer = processes.prepare(
        objective, make_optimizer(detector, config.optimizer, detector.rates())
    )
    model = cast(Objective, processes.unwrapped(objective))
    trained = torch.compile(objective) if config.compile else objective
    average = WeightAverage(detector, config.ema) if config.ema else None
    state = State(
        module=detector,
        optimizer=optimizer,
        average=average,
        generator=generator,
        parts={name: Kept() for name in part_names(config, examples)},
    )
    if processes.rank:
        torch.manual_seed(config.seed + processes.rank)  # dropout differs, weights do not
    stage.restore(state)
    progress.advance(state.epoch)
    steps = math.ceil(len(rows) / config.batch)  # of an epoch
    unseen = None if validation is None else torch.from_numpy(validation)
    endings = endings or {}
    epochs = max((ending.epochs for ending in endings.values()), default=config.epochs)
    while state.epoch < epochs and not state.out_of_patience(config.patience):
        objective.train()
        state.begin_epoch()
        examples = examples.at_epoch(state.epoch)
        order = torch.from_numpy(rows)[_order(examples, rows, config, generator, state.epoch)]
        copies = torch.randint(examples.rows.shape[1], (len(rows),), generator=generator)
        batches = load(
            examples,
            metadata,
            _parts(order, copies, config, processes, first=state.batch),
            config,
            epoch=state.epoch,
            device=processes.device,
        )
        while state.batch < steps:
            multiplier = config.schedule.multiplier(state.step, steps * config.epochs)
            set_learning_rate(optimizer, multiplier)
            curvature = config.optimizer.needs_second_derivatives(state.step)
            began, passes = time.perf_counter(), []
            optimizer.zero_grad()
            for number in range(config.accumulate):
                batch = next(batches)
                last = number == config.accumulate - 1
                exact = differentiable_twice() if curvature else contextlib.nullcontext()
                with exact, processes.passes(objective, last=last):
                    terms = trained(batch)
                    stage.check_finite("loss", terms["loss"], state, examples, batch, config)
                    loss = terms["loss"] / config.accumulate
                    processes.backward(loss, create_graph=curvature)
                passes.append({name: term.detach() for name, term in terms.items()})
            norm = whole(gradient_norm(detector.parameters()))
            stage.check_finite("gradient", norm, state, examples, batch, config)
            if config.gradient_clip:
                torch.nn.utils.clip_grad_norm_(detector.parameters(), config.gradient_clip)
            optimizer.step()
            if average is not None:
                average.update()
            told = processes.mean(passes)
            images = min(config.batch, len(rows) - state.batch * config.batch)
            state.epoch_loss += float(told["cross_entropy"]) * images / len(rows)
            stage.tracker.step(
                {
                    "stage": stage.name,
                    "epoch": state.epoch,
                    "step": state.step,
                    **told,
                    "learning_rate": config.optimizer.learning_rate * multiplier,
                    "gradient_norm": norm,
                    "images_per_second": images / (time.perf_counter() - began),
                }
            )
            state.step, state.batch = state.step + 1, state.batch + 1
            stage.between_steps(state)
        told = {}
        if unseen is not None:
            told = _validate(state, model, examples, unseen, metadata)
        stage.tracker.epoch(
            {"stage": stage.name, "epoch": state.epoch, "step": state.step - 1, **told}
        )
        state.end_epoch()
        progress.advance()
        check_divergence(state.trained, config.optimizer.learning_rate)
        for name, ending in endings.items():
            if ending.epochs == state.epoch:
                _keep(state, name, averaged=ending.averaged)
        stage.between_steps(state)
    for name in state.parts:
        if not state.has_kept(name):  # no row tells of it
            _keep(state, name, averaged=state.deciding.averaged)
    learned = make_detector(detector.config)
    learned.load_state_dict(state.best)
    return Learned(detector=learned.eval(), parts=state.parts)


def _keep(state: State, name: str, *, averaged: bool) -> None:
    with dict(_kept_weights(state))["average" if averaged else "weights"]:
        state.keep(name, averaged=averaged)


def _parts(
    order: torch.Tensor,
    copies: torch.Tensor,
    config: TrainConfig,
    processes: Processes,
    *,
    first: int,
) -> list[Part]:
    """What this process is given in the rest of an epoch, from step number ``first`` on."""
    parts = []
    pairs = zip(order.split(config.batch), copies.split(config.batch), strict=True)
    for batch, copy in list(pairs)[first:]:
        parts += cut(batch, copy, config.accumulate * processes.count)[
            processes.rank :: processes.count
        ]
    return parts


def _validate(
    state: State,
    model: Objective,
    examples: Examples,
    rows: torch.Tensor,
    metadata: MetadataBatch | None,
) -> dict[str, Any]:
    """Judge the weights, and their average beside them; keep of each part the best yet.

    Returns:
        What to tell of the better of the two, without metadata.
    """
    labels = examples.labels[rows].numpy()
    losses: dict[str, list[float]] = {name: [] for name in state.parts}
    told: dict[str, Any] = {}
    for kind, weights in _kept_weights(state):
        with weights:
            modes = [None] if metadata is None else [None, metadata]  # used without and with
            seen = [validate(model, examples, rows, mode) for mode in modes]
            for name, part in state.parts.items():
                each = [loss for one in seen if (loss := loss_of(name, one)) is not None]
                if not each:
                    continue
                loss = sum(each) / len(each)
                if loss < min([part.best_loss, *losses[name]]):
                    state.keep(name, averaged=kind == "average")
                losses[name].append(loss)
                if loss <= min(losses[name]):
                    told |= _told(name, seen[0], labels, averaged=kind == "average")
    for name, candidates in losses.items():
        if candidates and not any(map(math.isfinite, candidates)):
            raise DivergedError(
                f"the validation loss became {candidates[0]} in epoch {state.epoch}; lower the "
                "learning rate or set gradient_clip"
            )
        state.parts[name].losses += sorted(filter(math.isfinite, candidates))[:1]
    deciding = state.deciding
    return {"validation_loss": deciding.losses[-1], **told, "best": deciding.best_loss}


def _told(
    part: str, seen: Validation, labels: npt.NDArray[np.int64], *, averaged: bool
) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if part != MASKS:
        told |= validation_metrics(labels, seen.probabilities) | {"averaged": averaged}
    if part != CLASSIFIER and seen.mask_loss is not None:
        told["validation_mask_loss"] = seen.mask_loss
        told["validation_mask_iou"] = seen.mask_iou
    return told


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
    state: State,
) -> list[tuple[str, contextlib.AbstractContextManager[None]]]:
    """The weights that may be kept, each as a context in which the detector has them."""
    kept: list[tuple[str, contextlib.AbstractContextManager[None]]] = [
        ("weights", evaluation_weights(state.optimizer))
    ]
    if state.average is not None:
        kept.append(("average", state.average.swapped_in()))
    return kept


@torch.no_grad()
def _fit_statistics(detector: AnyDetector, examples: Examples, rows: torch.Tensor) -> None:
    """What is computed from training rows, not learned: the glance's probe, the scale of views.

    From `STATISTICS_IMAGES` of them at most, which tell both well enough, evenly spread.
    """
    rows = rows[:: math.ceil(len(rows) / STATISTICS_IMAGES)]
    parts = rows.split(examples.stored_at_once)
    detector.fit(lambda: map(examples.stored, parts), examples.labels[rows])
