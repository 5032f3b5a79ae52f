"""What a detector says of images it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from workzone.model.base import AnyDetector
from workzone.model.inputs import DetectorInput
from workzone.model.masks.loss import MaskOverlap, mask_loss_sums, mask_overlap
from workzone.model.metadata.batch import MetadataBatch
from workzone.train.batches import moved
from workzone.train.feed.examples import Examples, Rows
from workzone.train.losses import Objective, mask_truth
from workzone.types import DetectorOutput

Scores = npt.NDArray[np.float64]

BATCH = 256
"""Images whose features are judged at a time."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a detector says of rows it never saw, before calibration."""

    image_only: Scores
    with_metadata: Scores  # the same where nothing is known
    known: npt.NDArray[np.bool_]  # of which rows anything is
    masks: MaskOverlap | None


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a model in training says of rows that it does not learn from."""

    loss: float  # cross-entropy, and the masks' loss by its weight
    cross_entropy: float
    mask_loss: float | None  # None: no row has masks, or they weigh nothing
    mask_iou: float | None  # mean over the classes that were predicted or are there
    probabilities: Scores


@torch.no_grad()
def validate(
    model: Objective, examples: Examples, rows: torch.Tensor, metadata: MetadataBatch | None
) -> Validation:
    """Judge some rows by what is minimised but penalties; the model is left in evaluation mode."""
    model.eval()
    device = model.class_weights.device
    parts, losses, overlaps = [], [], []
    for part in rows.split(examples.read_at_once):
        given = moved(examples.batch(part, metadata=metadata), device)
        output = cast(DetectorOutput, model(given))
        parts.append(output.logits.float())
        if output.masks is not None and examples.masks is not None and model.config.mask_weight:
            targets, annotated = (t.to(device) for t in examples.masks.batch(part.numpy()))
            targets = mask_truth(output, targets, given.boxes)
            losses.append(mask_loss_sums(output.masks, targets, row_mask=annotated))
            overlaps.append(mask_overlap(output.masks, targets, row_mask=annotated))
    logits, labels = torch.cat(parts), examples.labels[rows].to(device)
    cross_entropy = float(F.cross_entropy(logits, labels, weight=model.class_weights))
    loss, masks, iou = cross_entropy, None, None
    if losses and (sums := sum(losses[1:], start=losses[0])).weight.sum() > 0:
        masks = float(sums.mean)
        loss += model.config.mask_weight * masks
        iou = float(sum(overlaps[1:], start=overlaps[0]).iou.nanmean())
    return Validation(
        loss=loss,
        cross_entropy=cross_entropy,
        mask_loss=masks,
        mask_iou=iou,
        probabilities=torch.softmax(logits.double(), dim=-1)[:, 1].cpu().numpy(),
    )


@torch.no_grad()
def judge(detector: AnyDetector, examples: Examples, rows: Rows) -> Judged:
    """What a detector in evaluation mode says of some rows, without and with metadata."""
    metadata = examples.metadata(detector.config)
    alone, told, known, overlaps = [], [], [], []
    for part in torch.from_numpy(rows).split(examples.read_at_once):
        given = examples.batch(part, metadata=metadata)
        alone.append(predict_probabilities(detector, given.image_only()))
        told.append(alone[-1])
        known.append(np.zeros(len(part), np.bool_))
        if given.metadata is not None:
            told[-1] = predict_probabilities(detector, given)
            known[-1] = given.metadata.known().numpy()
        if detector.config.masks is not None and examples.masks is not None:
            output = detector.run(given)
            targets, annotated = examples.masks.batch(part.numpy())
            if output.masks is not None:
                targets = mask_truth(output, targets, given.boxes)
                overlaps.append(mask_overlap(output.masks, targets, row_mask=annotated))
    return Judged(
        image_only=np.concatenate(alone),
        with_metadata=np.concatenate(told),
        known=np.concatenate(known),
        masks=sum(overlaps[1:], start=overlaps[0]) if overlaps else None,
    )


@torch.no_grad()
def predict_probabilities(detector: AnyDetector, given: DetectorInput) -> Scores:
    """The detector's own probability of road work, before calibration.

    Args:
        detector: in evaluation mode.
        given: ``B`` images; they are taken `BATCH` at a time.

    Returns:
        float64 ``[B]`` in 0..1.
    """
    parts = [np.zeros(0)]
    for start in range(0, len(given), BATCH):
        logits = detector.run(given[start : start + BATCH]).logits.double()
        parts.append(torch.softmax(logits, dim=-1)[:, 1].numpy())
    return np.concatenate(parts)
