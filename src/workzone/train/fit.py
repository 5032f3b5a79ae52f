"""How the validation folds are used: a detector per fold, then one of everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from workzone.decide.calibration import Calibration, apply_where_known, fit_calibration
from workzone.decide.threshold import Threshold
from workzone.errors import TrainingError
from workzone.model.detector import Detector, DetectorConfig
from workzone.model.mask_loss import MaskOverlap
from workzone.progress import bar
from workzone.train.examples import Examples, Rows
from workzone.train.judging import Scores, judge
from workzone.train.loop import train_detector
from workzone.train.settings import TrainConfig
from workzone.types import OBJECT_CLASSES


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


def fit(
    examples: Examples,
    validation_folds: Sequence[Rows],
    config: TrainConfig,
    *,
    make_detector: Callable[[DetectorConfig], Detector] = Detector,
) -> Fit:
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
        make_detector: gives an untrained detector, such as one with a backbone to adapt.

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
            learned = train_detector(
                examples,
                rest,
                config,
                progress,
                epochs=config.epochs,
                validation=fold,
                make_detector=make_detector,
            )
            progress.advance(config.epochs - len(learned.losses))  # what stopping early saved
            best_epochs.append(int(np.argmin(learned.losses)) + 1)
            losses.append(learned.losses)
            averaged.append(learned.averaged)
            judged.append(judge(learned.detector, examples, fold))
        epochs = int(np.median(best_epochs))
        detector = train_detector(
            examples,
            everything,
            config,
            progress,
            epochs=epochs,
            validation=None,
            averaged=2 * sum(averaged) > len(averaged),
            make_detector=make_detector,
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
