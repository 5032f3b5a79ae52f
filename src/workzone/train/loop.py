"""Training the detector on stored features: one loop, and how the validation folds are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from workzone.decide.calibration import Calibration, fit_calibration
from workzone.decide.threshold import Threshold
from workzone.errors import TrainingError, UsageError
from workzone.model.detector import Detector, DetectorConfig
from workzone.model.pooling import AttentionAndMaximum
from workzone.progress import Bar, bar

Rows = npt.NDArray[np.int64]


_RANGES = {
    "seed": (0, 2**63 - 1),
    "learning_rate": (1e-9, 10.0),
    "weight_decay": (0.0, 10.0),
    "batch": (1, 1_000_000),
    "epochs": (1, 1_000_000),
    "patience": (1, 1_000_000),
    "classifier_penalty": (0.0, 1e6),
    "attention_penalty": (0.0, 1e6),
    "balance_weight": (0.0, 1e3),
}
"""What each setting may be, ends included."""


@dataclass(frozen=True)
class TrainConfig:
    """How the detector is trained."""

    seed: int = 0
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    learning_rate: float = 1e-3  # AdamW
    weight_decay: float = 0.0  # AdamW
    batch: int = 64  # images
    epochs: int = 60  # at most
    patience: int = 8  # epochs without a better validation loss before stopping
    classifier_penalty: float = 0.4  # L2 on the classifier's weights, added to the loss
    attention_penalty: float = 0.3  # L2 on the gate of "attention+maximum", added to the loss
    balance_weight: float = 0.01  # of the experts' load-balancing loss

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in _RANGES}
        wrong = [
            f"{name}={value}, allowed: {low} to {high}"
            for name, value in values.items()
            for low, high in [_RANGES[name]]
            if not low <= value <= high  # NaN is in no range
        ]
        if self.detector.metadata is not None or self.detector.masks is not None:
            wrong.append(
                "detector.metadata and detector.masks cannot be trained yet: leave them out"
            )
        if wrong:
            raise UsageError(f"training: {'; '.join(wrong)}")


@dataclass(frozen=True)
class Fit:
    """A trained detector and what validation said of it."""

    detector: Detector
    calibration: Calibration
    threshold: Threshold
    epochs: int  # of the final training
    validation_rows: Rows  # rows that were in a validation fold, once each
    validation_probabilities: npt.NDArray[np.float64]  # calibrated, by models that never saw them
    validation_losses: list[list[float]] = field(default_factory=list)  # per fold, per epoch


def fit(
    features: torch.Tensor,
    labels: torch.Tensor,
    validation_folds: Sequence[Rows],
    config: TrainConfig,
    *,
    boxes: torch.Tensor | None = None,
) -> Fit:
    """Train with early stopping on each validation fold in turn, then once on everything.

    For each fold a detector is trained on all other rows and stopped at its lowest validation
    loss. Their predictions on the rows they never saw choose the threshold and the slope; the
    median of their best epochs is how long the final detector is trained, on all rows.

    Args:
        features: ``[n, C, V, D]``; of an image's C copies one is drawn at random each epoch, and
            the first (the image as it is) serves validation.
        labels: int64 ``[n]``, 0 or 1.
        validation_folds: row numbers of each fold.
        config: how.
        boxes: ``[n, C, V, 4]`` in fractions, of the views; needed by ALiBi.

    Raises:
        TrainingError: one class only, a fold without one of the classes, features or a loss that
            are not finite.
    """
    _check(features, labels, validation_folds)
    everything = np.arange(len(labels))
    best_epochs, losses, rows, probabilities = [], [], [], []
    with (
        bar("training", (len(validation_folds) + 1) * config.epochs) as progress,
        torch.random.fork_rng(devices=[]),  # the caller's random numbers stay what they were
    ):
        for fold in validation_folds:
            rest = np.setdiff1d(everything, fold)
            detector, history = _train(
                features,
                boxes,
                labels,
                rest,
                config,
                progress,
                epochs=config.epochs,
                validation=fold,
            )
            progress.advance(config.epochs - len(history))  # those that stopping early saved
            best_epochs.append(int(np.argmin(history)) + 1)
            losses.append(history)
            rows.append(fold)
            probabilities.append(
                predict_probabilities(detector, features[fold, 0], _first(boxes, fold))
            )
        epochs = int(np.median(best_epochs))
        detector, _ = _train(
            features, boxes, labels, everything, config, progress, epochs=epochs, validation=None
        )
        progress.advance(config.epochs - epochs)
    validation_rows = np.concatenate(rows)
    raw = np.concatenate(probabilities)
    calibration, threshold = fit_calibration(labels[validation_rows].numpy(), raw)
    return Fit(
        detector=detector,
        calibration=calibration,
        threshold=threshold,
        epochs=epochs,
        validation_rows=validation_rows,
        validation_probabilities=calibration.apply(raw),
        validation_losses=losses,
    )


def _check(features: torch.Tensor, labels: torch.Tensor, validation_folds: Sequence[Rows]) -> None:
    for row, values in enumerate(features):
        if not bool(torch.isfinite(values).all()):
            raise TrainingError(
                f"the features of image {row} hold a value that is not a finite number; delete "
                "their store and extract again"
            )
    if not validation_folds:
        raise TrainingError(
            "no validation rows: give the manifest a `val` split or folds with "
            "`workzone data split`"
        )
    for number, fold in enumerate(validation_folds):
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        for name, part in (("validation", fold), ("training", rest)):
            positives = int(labels[part].sum())
            if positives in (0, len(part)):
                raise TrainingError(
                    f"the {name} rows of fold {number} hold {positives} of {len(part)} images "
                    "with road work; both classes are needed: split again with fewer folds or "
                    "another seed"
                )


def _first(boxes: torch.Tensor | None, rows: Rows) -> torch.Tensor | None:
    """Boxes of the images as they are, ``[B, V, 4]``."""
    return None if boxes is None else boxes[rows, 0]


def _train(
    features: torch.Tensor,
    boxes: torch.Tensor | None,
    labels: torch.Tensor,
    rows: Rows,
    config: TrainConfig,
    progress: Bar,
    *,
    epochs: int,
    validation: Rows | None,
) -> tuple[Detector, list[float]]:
    """Train one detector; with validation rows, return it as it was at its lowest loss there."""
    random = torch.Generator().manual_seed(config.seed)
    torch.manual_seed(config.seed)  # initial weights and dropout
    detector = Detector(dataclasses.replace(config.detector, width=features.shape[-1]))
    detector.fit_scaler(features[rows, 0].float())
    optimizer = torch.optim.AdamW(
        detector.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    counts = torch.bincount(labels[rows], minlength=2)
    class_weights = counts.sum() / (2 * counts)
    history: list[float] = []
    best_state: dict[str, torch.Tensor] = {}
    for _ in range(epochs):
        detector.train()
        order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=random)]
        copies = torch.randint(features.shape[1], (len(rows),), generator=random)
        for batch, copy in zip(order.split(config.batch), copies.split(config.batch), strict=True):
            output = detector(
                features[batch, copy].float(), boxes=None if boxes is None else boxes[batch, copy]
            )
            losses = F.cross_entropy(output.logits, labels[batch], reduction="none")
            loss = (losses * class_weights[labels[batch]]).mean() + _penalty(detector, config)
            loss = loss + config.balance_weight * output.balance_loss
            if not bool(torch.isfinite(loss)):
                raise TrainingError(
                    f"the loss became {loss.item()}; lower the learning rate "
                    f"({config.learning_rate})"
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        progress.advance()
        if validation is None:
            continue
        history.append(
            _validation_loss(detector, features, boxes, labels, validation, class_weights)
        )
        if int(np.argmin(history)) == len(history) - 1:
            best_state = {name: value.clone() for name, value in detector.state_dict().items()}
        elif len(history) - 1 - int(np.argmin(history)) >= config.patience:
            break
    if best_state:
        detector.load_state_dict(best_state)
    return detector.eval(), history


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


@torch.no_grad()
def _validation_loss(
    detector: Detector,
    features: torch.Tensor,
    boxes: torch.Tensor | None,
    labels: torch.Tensor,
    rows: Rows,
    class_weights: torch.Tensor,
) -> float:
    detector.eval()
    logits = detector(features[rows, 0].float(), boxes=_first(boxes, rows)).logits
    return float(F.cross_entropy(logits, labels[rows], weight=class_weights))


@torch.no_grad()
def predict_probabilities(
    detector: Detector,
    features: torch.Tensor,
    boxes: torch.Tensor | None = None,
    *,
    batch: int = 256,
) -> npt.NDArray[np.float64]:
    """The detector's own probability of road work, before calibration.

    Args:
        detector: in evaluation mode.
        features: ``[n, V, D]``, any floating type.
        boxes: ``[n, V, 4]``, where the detector needs them.
        batch: images at a time.

    Returns:
        float64 ``[n]`` in 0..1.
    """
    parts = []
    for start in range(0, len(features), batch):
        rows = slice(start, start + batch)
        output = detector(features[rows].float(), boxes=None if boxes is None else boxes[rows])
        parts.append(torch.softmax(output.logits.double(), dim=-1)[:, 1])
    return torch.cat(parts).numpy() if parts else np.zeros(0)
