"""How the validation folds are used: a detector per fold, then one of everything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from workzone.decide.calibration import Calibration, apply_where_known
from workzone.decide.calibration_fit import fit_calibration
from workzone.decide.conformal import ConformalSets, fit_conformal
from workzone.decide.threshold import Threshold
from workzone.errors import TrainingError
from workzone.model.base import AnyDetector
from workzone.model.masks.loss import MaskOverlap
from workzone.progress import Bar, bar
from workzone.train.feed.examples import Examples, Rows
from workzone.train.judging import Scores, judge
from workzone.train.loop import train_detector
from workzone.train.parts import MASKS, Ending, part_names
from workzone.train.session import Learned, Session, Stage
from workzone.train.settings import TrainConfig
from workzone.train.watch.display import Display
from workzone.types import OBJECT_CLASSES


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A trained detector and what validation said of it: of the image alone first."""

    detector: AnyDetector
    calibration: Calibration  # of the image alone
    threshold: Threshold
    epochs: int  # of the final training, after which what decides was kept
    validation_rows: Rows  # rows that were in a validation fold, once each
    validation_probabilities: Scores  # calibrated, image only, by models that never saw the rows
    conformal: ConformalSets | None = None  # None: too few rows
    metadata_calibration: Calibration | None = None  # where the detector takes metadata
    metadata_threshold: Threshold | None = None  # likewise
    metadata_probabilities: Scores | None = None  # of the validation rows with their metadata
    mask_overlap: MaskOverlap | None = None  # of the validation rows that have masks
    mask_epochs: int | None = None  # of the final training, where the mask head is kept by itself
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
    session: Session | None = None,
    *,
    after_fold: Callable[[int, float], None] | None = None,
) -> Fit:
    """Train with early stopping on each validation fold in turn, then once on everything.

    For each fold a detector is trained on all other rows, but those bound to its split
    (`Examples.all_but`), and stopped at its lowest validation loss: of the image alone, or, with
    metadata, the mean of that with and without them. Their predictions on the rows they never saw
    choose the threshold and the slope; the median of their best epochs is how long the final
    detector is trained, on all rows. Categories of metadata and the glance's probe are learned anew
    from each set of training rows.

    A mask head is stopped by a loss of its own, or, where it shares weights with what decides,
    counts in one loss with it, see `workzone.train.parts`. A head of its own of which no validation
    row has masks learns for all epochs.

    Args:
        examples: of an image's C copies one is drawn at random each epoch, and the first (the image
            as it is) serves validation.
        validation_folds: row numbers of each fold.
        config: how.
        session: processes, the folder in which the run is kept, and who is told of steps and
            epochs; None: one process, no folder, and nobody.
        after_fold: told each fold's number, from 0, and its lowest validation loss; what it raises
            ends the fit.

    Raises:
        TrainingError: one class only, a fold without one of the classes, features or a loss that
            are not finite.
    """
    _check(examples, validation_folds)
    session = session or Session()
    everything = np.arange(len(examples))
    stages, judged = [], []
    with (
        bar("training", (len(validation_folds) + 1) * config.epochs) as progress,
        torch.random.fork_rng(devices=[]),  # the caller's random numbers stay what they were
    ):
        session.tracker.listen(Display(progress))
        for number, fold in enumerate(validation_folds):
            rest = examples.all_but(fold)
            learned = _learn(
                examples,
                rest,
                config,
                progress,
                session.stage(f"fold-{number + 1}-of-{len(validation_folds)}", config.run),
                validation=fold,
            )
            stages.append(learned)
            judged.append(judge(learned.detector, examples, fold))
            if after_fold is not None:
                after_fold(number, min(learned.losses))
        endings = _endings(stages, part_names(config, examples), config)
        detector = _learn(
            examples,
            everything,
            config,
            progress,
            session.stage("everything", config.run),
            validation=None,
            endings=endings,
        ).detector
    rows = np.concatenate(validation_folds)
    labels = examples.labels[rows].numpy()
    raw = np.concatenate([part.image_only for part in judged])
    groups = [examples.samples[row].group if examples.samples else None for row in rows]
    calibration, threshold = fit_calibration(
        labels, raw, choose_cut=config.choose_cut, method=config.calibration, groups=groups
    )
    conformal = fit_conformal(labels, raw)
    probabilities = calibration.apply(raw)
    metadata_calibration = metadata_threshold = metadata_probabilities = None
    if detector.config.metadata is not None:
        told = np.concatenate([part.with_metadata for part in judged])
        known = np.concatenate([part.known for part in judged])
        metadata_calibration, metadata_threshold = fit_calibration(
            *(labels[known], told[known]),
            choose_cut=config.choose_cut,
            method=config.calibration,
            groups=[group for group, is_known in zip(groups, known, strict=True) if is_known],
        )
        metadata_probabilities = apply_where_known(
            metadata_calibration, told, known=known, otherwise=probabilities
        )
    overlaps = [part.masks for part in judged if part.masks is not None]
    return Fit(
        detector=detector,
        calibration=calibration,
        threshold=threshold,
        epochs=next(iter(endings.values())).epochs,
        validation_rows=rows,
        validation_probabilities=probabilities,
        conformal=conformal,
        metadata_calibration=metadata_calibration,
        metadata_threshold=metadata_threshold,
        metadata_probabilities=metadata_probabilities,
        mask_overlap=sum(overlaps[1:], start=overlaps[0]) if overlaps else None,
        mask_epochs=endings[MASKS].epochs if MASKS in endings else None,
        validation_losses=[learned.losses for learned in stages],
    )


def _endings(
    stages: Sequence[Learned], names: Sequence[str], config: TrainConfig
) -> dict[str, Ending]:
    """The median of the folds' best epochs of each part, and what most of them kept."""
    endings = {}
    for name in names:
        judged = [stage.parts[name] for stage in stages if stage.parts[name].losses]
        endings[name] = Ending(
            int(np.median([part.best_epochs for part in judged])) if judged else config.epochs,
            2 * sum(part.averaged for part in judged) > len(judged),
        )
    return endings


def _learn(
    examples: Examples,
    rows: Rows,
    config: TrainConfig,
    progress: Bar,
    stage: Stage,
    *,
    validation: Rows | None,
    endings: Mapping[str, Ending] | None = None,
) -> Learned:
    """Train, unless this was done before the run was stopped."""
    learned = stage.finished(lambda: examples.sized(config.detector, rows))
    if learned is None:
        learned = train_detector(
            examples,
            rows,
            config,
            progress,
            stage,
            validation=validation,
            endings=endings,
        )
        stage.finish(learned)
        done = len(learned.losses) or max(e.epochs for e in (endings or {}).values())
    else:
        done = 0
    progress.advance(config.epochs - done)  # what stopping early saved
    return learned


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
        rest = examples.all_but(fold)
        for name, part in (("validation", fold), ("training", rest)):
            positives = int(examples.labels[part].sum())
            if positives in (0, len(part)):
                raise TrainingError(
                    f"the {name} rows of fold {number} hold {positives} of {len(part)} images "
                    "with road work; both classes are needed: split again with fewer folds or "
                    "another seed"
                )
