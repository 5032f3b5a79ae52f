"""What a detector says of images it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.model.mask_loss import MaskOverlap, mask_overlap
from workzone.model.metadata_batch import MetadataBatch
from workzone.train.batches import moved
from workzone.train.examples import Examples, Rows
from workzone.train.losses import Objective
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


@torch.no_grad()
def validate(
    model: Objective, examples: Examples, rows: torch.Tensor, metadata: MetadataBatch | None
) -> tuple[float, Scores]:
    """Cross-entropy and probabilities of some rows; leaves the model in evaluation mode."""
    model.eval()
    device = model.class_weights.device
    parts = []
    for part in rows.split(examples.read_at_once):
        given = moved(examples.batch(part, metadata=metadata), device)
        parts.append(cast(DetectorOutput, model(given)).logits.float())
    logits, labels = torch.cat(parts), examples.labels[rows].to(device)
    loss = F.cross_entropy(logits, labels, weight=model.class_weights)
    return float(loss), torch.softmax(logits.double(), dim=-1)[:, 1].cpu().numpy()


@torch.no_grad()
def judge(detector: Detector, examples: Examples, rows: Rows) -> Judged:
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
        masks = None if detector.config.masks is None else detector.run(given).masks
        if masks is not None and examples.masks is not None:
            targets, annotated = examples.masks.batch(part.numpy())
            overlaps.append(mask_overlap(masks, targets, row_mask=annotated))
    return Judged(
        image_only=np.concatenate(alone),
        with_metadata=np.concatenate(told),
        known=np.concatenate(known),
        masks=sum(overlaps[1:], start=overlaps[0]) if overlaps else None,
    )


@torch.no_grad()
def predict_probabilities(detector: Detector, given: DetectorInput) -> Scores:
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
