"""Training the detector on stored features: one loop, and how the validation folds are used."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from workzone.decide.calibration import Calibration, apply_where_known, fit_calibration
from workzone.decide.threshold import Threshold
from workzone.errors import TrainingError, UsageError
from workzone.features.text_model import DEFAULT_TEXT_MODEL
from workzone.model.detector import Detector, DetectorConfig
from workzone.model.glance import GlanceConfig
from workzone.model.mask_loss import MaskOverlap, mask_loss
from workzone.model.pooling import AttentionAndMaximum
from workzone.progress import Bar, bar
from workzone.train.averaging import WeightAverage
from workzone.train.examples import Examples, Rows
from workzone.train.judging import BATCH, Scores, judge, validation_loss
from workzone.train.optimizers import (
    OptimizerConfig,
    differentiable_twice,
    evaluation_weights,
    make_optimizer,
    set_learning_rate,
)
from workzone.train.sampling import SamplingConfig, draw, sampling_weights
from workzone.train.schedules import ScheduleConfig
from workzone.types import OBJECT_CLASSES, DetectorOutput

STATISTICS_IMAGES = 8192
"""Most images from which features are standardised: 1 GB of lite0's four views in float32."""

_RANGES = {
    "seed": (0, 2**63 - 1),
    "ema": (0.0, 0.999999),
    "gradient_clip": (0.0, 1e6),
    "batch": (1, 1_000_000),
    "epochs": (1, 1_000_000),
    "patience": (1, 1_000_000),
    "classifier_penalty": (0.0, 1e6),
    "attention_penalty": (0.0, 1e6),
    "balance_weight": (0.0, 1e3),
    "mask_weight": (0.0, 1e3),
}
"""What each setting may be, ends included."""


@dataclass(frozen=True)
class TrainConfig:
    """How the detector is trained."""

    seed: int = 0
    detector: DetectorConfig = field(default_factory=lambda: DetectorConfig(glance=GlanceConfig()))
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    ema: float = 0.0  # decay of the weights' moving average, such as 0.99; 0: none
    gradient_clip: float = 0.0  # largest norm of a step's gradient; 0: any
    sampling: SamplingConfig = field(default_factory=SamplingConfig)  # which rows, how often
    batch: int = 64  # images
    epochs: int = 60  # at most
    patience: int = 8  # epochs without a better validation loss before stopping
    classifier_penalty: float = 0.4  # L2 on the classifier's weights, added to the loss
    attention_penalty: float = 0.3  # L2 on the gate of "attention+maximum", added to the loss
    balance_weight: float = 0.01  # of the experts' load-balancing loss
    mask_weight: float = 1.0  # of the masks' loss, where there are masks to learn
    text_model: str = DEFAULT_TEXT_MODEL  # for the metadata's texts

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in _RANGES}
        wrong = [
            f"{name}={value}, allowed: {low} to {high}"
            for name, value in values.items()
            for low, high in [_RANGES[name]]
            if not low <= value <= high  # NaN is in no range
        ]
        if self.optimizer.averages_itself:
            try:
                self.schedule.check_self_averaging(self.optimizer.name)
            except UsageError as error:
                wrong.append(str(error))
            if self.ema:
                wrong.append(f"ema={self.ema}: {self.optimizer.name} averages weights itself")
        if wrong:
            raise UsageError(f"training: {'; '.join(wrong)}")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A trained detector and what validation said of it: of the image alone first."""

    detector: Detector
    calibration: Calibration  # of the image alone
    threshold: Threshold
    epochs: int  # of the final training
    validation_rows: Rows  # rows that were in a validation fold, once each
    validation_probabilities: Scores  # calibrated, image only, by models that never saw the rows
    metadata_calibration: Calibration | None = None  # where the detector takes metadata
    metadata_threshold: Threshold | None = None  # likewise
    metadata_probabilities: Scores | None = None  # of the validation rows with their metadata
    mask_overlap: MaskOverlap | None = None  # of the validation rows that have masks
    validation_losses: list[list[float]] = field(default_factory=list)  # per fold, per epoch

    def mask_iou(self) -> dict[str, float | None] | None:
        """Intersection over union by class, 0..1; None where nothing was predicted or true."""
        if self.mask_overlap is None:
            return None
        shares = self.mask_overlap.iou.tolist()
        return {
            name: None if math.isnan(share) else share
            for name, share in zip(OBJECT_CLASSES, shares, strict=True)
        }


def fit(examples: Examples, validation_folds: Sequence[Rows], config: TrainConfig) -> Fit:
    """Train with early stopping on each validation fold in turn, then once on everything.

    For each fold a detector is trained on all other rows and stopped at its lowest validation
    loss: of the image alone, or, with metadata, the mean of that with and without them. Their
    predictions on the rows they never saw choose the threshold and the slope; the median of their
    best epochs is how long the final detector is trained, on all rows. Categories of metadata and
    the glance's probe are learned anew from each set of training rows.

    Args:
        examples: of an image's C copies one is drawn at random each epoch, and the first (the image
            as it is) serves validation. Masks are learned from the first copy alone.
        validation_folds: row numbers of each fold.
        config: how.

    Raises:
        TrainingError: one class only, a fold without one of the classes, features or a loss that
            are not finite.
    """
    _check(examples, validation_folds)
    everything = np.arange(len(examples))
    best_epochs, losses, judged, averaged = [], [], [], []
    with (
        bar("training", (len(validation_folds) + 1) * config.epochs) as progress,
        torch.random.fork_rng(devices=[]),  # the caller's random numbers stay what they were
    ):
        for fold in validation_folds:
            rest = np.setdiff1d(everything, fold)
            learned = _train(
                examples, rest, config, progress, epochs=config.epochs, validation=fold
            )
            progress.advance(config.epochs - len(learned.losses))  # what stopping early saved
            best_epochs.append(int(np.argmin(learned.losses)) + 1)
            losses.append(learned.losses)
            averaged.append(learned.averaged)
            judged.append(judge(learned.detector, examples, fold))
        epochs = int(np.median(best_epochs))
        detector = _train(
            examples,
            everything,
            config,
            progress,
            epochs=epochs,
            validation=None,
            averaged=2 * sum(averaged) > len(averaged),
        ).detector
        progress.advance(config.epochs - epochs)
    rows = np.concatenate(validation_folds)
    labels = examples.labels[rows].numpy()
    raw = np.concatenate([part.image_only for part in judged])
    calibration, threshold = fit_calibration(labels, raw)
    probabilities = calibration.apply(raw)
    metadata_calibration = metadata_threshold = metadata_probabilities = None
    if detector.config.metadata is not None:
        told = np.concatenate([part.with_metadata for part in judged])
        known = np.concatenate([part.known for part in judged])
        metadata_calibration, metadata_threshold = fit_calibration(labels[known], told[known])
        metadata_probabilities = apply_where_known(
            metadata_calibration, told, known=known, otherwise=probabilities
        )
    overlaps = [part.masks for part in judged if part.masks is not None]
    return Fit(
        detector=detector,
        calibration=calibration,
        threshold=threshold,
        epochs=epochs,
        validation_rows=rows,
        validation_probabilities=probabilities,
        metadata_calibration=metadata_calibration,
        metadata_threshold=metadata_threshold,
        metadata_probabilities=metadata_probabilities,
        mask_overlap=sum(overlaps[1:], start=overlaps[0]) if overlaps else None,
        validation_losses=losses,
    )


def _check(examples: Examples, validation_folds: Sequence[Rows]) -> None:
    for image, rows in enumerate(examples.rows):
        if not bool(torch.isfinite(examples.features[rows]).all()):
            raise TrainingError(
                f"the features of image {image} hold a value that is not a finite number; delete "
                "their store and extract again"
            )
    if not validation_folds:
        raise TrainingError(
            "no validation rows: give the manifest a `val` split or folds with "
            "`workzone data split`"
        )
    for number, fold in enumerate(validation_folds):
        rest = np.setdiff1d(np.arange(len(examples)), fold)
        for name, part in (("validation", fold), ("training", rest)):
            positives = int(examples.labels[part].sum())
            if positives in (0, len(part)):
                raise TrainingError(
                    f"the {name} rows of fold {number} hold {positives} of {len(part)} images "
                    "with road work; both classes are needed: split again with fewer folds or "
                    "another seed"
                )


@dataclass(frozen=True)
class _Learned:
    """A detector in evaluation mode, and how it came about."""

    detector: Detector
    losses: list[float]  # on the validation rows, per epoch
    averaged: bool  # whether its weights are the moving average


def _train(
    examples: Examples,
    rows: Rows,
    config: TrainConfig,
    progress: Bar,
    *,
    epochs: int,
    validation: Rows | None,
    averaged: bool = False,
) -> _Learned:
    """Train one detector; with validation rows, keep it as it was at its lowest loss there.

    Where there is a moving average of the weights it is judged beside them, and the better of the
    two is kept; without validation rows ``averaged`` tells which.
    """
    random = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)  # initial weights, dropout, noise of the pruner and of Sophia
    detector = Detector(examples.sized(config.detector, rows))
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
        order = torch.from_numpy(rows)[_order(examples, rows, config, random, epoch)]
        copies = torch.randint(examples.rows.shape[1], (len(rows),), generator=random)
        for batch, copy in zip(order.split(config.batch), copies.split(config.batch), strict=True):
            set_learning_rate(optimizer, config.schedule.multiplier(step, steps))
            curvature = config.optimizer.needs_second_derivatives(step)
            with differentiable_twice() if curvature else contextlib.nullcontext():
                output = detector.run(examples.batch(batch, copy, metadata))
                losses = F.cross_entropy(output.logits, labels[batch], reduction="none")
                loss = (losses * class_weights[labels[batch]]).mean() + _penalty(detector, config)
                loss = loss + config.balance_weight * output.balance_loss
                loss = loss + config.mask_weight * _mask_loss(output, examples, batch, copy)
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
    return _Learned(detector.eval(), history, averaged)


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
        grids = (examples.batch(part).grid for part in parts)
        means = torch.cat([grid.mean(dim=1) for grid in grids if grid is not None])
        detector.glance.fit(means, examples.labels[rows])
    read = [detector.choose_views(examples.batch(part)).features for part in parts]
    detector.fit_scaler(torch.cat(read))


def _mask_loss(
    output: DetectorOutput, examples: Examples, batch: torch.Tensor, copy: torch.Tensor
) -> torch.Tensor:
    """Of the rows whose masks are known; copies are cropped and flipped, so theirs are not."""
    if output.masks is None or examples.masks is None:
        return torch.zeros(())
    targets, annotated = examples.masks.batch(batch.numpy())
    return mask_loss(output.masks, targets, row_mask=annotated & (copy == 0))


def _penalty(detector: Detector, config: TrainConfig) -> torch.Tensor:
    gated = detector.fusion.attention if isinstance(detector.fusion, AttentionAndMaximum) else None
    gate = sum(
        (parameter.square().sum() for parameter in (gated.parameters() if gated else ())),
        start=torch.zeros(()),
    )
    last = detector.head[-1]
    assert isinstance(last, torch.nn.Linear)
    weights = last.weight.square().sum()
    return config.classifier_penalty * weights + config.attention_penalty * gate
