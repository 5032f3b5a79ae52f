"""What is minimised beside the cross-entropy."""

from __future__ import annotations

import torch

from workzone.model.detector import Detector
from workzone.model.mask_loss import mask_loss
from workzone.model.pooling import AttentionAndMaximum
from workzone.train.examples import Examples
from workzone.train.settings import TrainConfig
from workzone.types import DetectorOutput


def masks_loss(
    output: DetectorOutput, examples: Examples, batch: torch.Tensor, copy: torch.Tensor
) -> torch.Tensor:
    """Of the rows whose masks are known; copies are cropped and flipped, so theirs are not."""
    if output.masks is None or examples.masks is None:
        return torch.zeros(())
    targets, annotated = examples.masks.batch(batch.numpy())
    return mask_loss(output.masks, targets, row_mask=annotated & (copy == 0))


def penalty(detector: Detector, config: TrainConfig) -> torch.Tensor:
    """L2 on the classifier's weights and on the gate of "attention+maximum"."""
    gated = detector.fusion.attention if isinstance(detector.fusion, AttentionAndMaximum) else None
    gate = sum(
        (parameter.square().sum() for parameter in (gated.parameters() if gated else ())),
        start=torch.zeros(()),
    )
    last = detector.head[-1]
    assert isinstance(last, torch.nn.Linear)
    weights = last.weight.square().sum()
    return config.classifier_penalty * weights + config.attention_penalty * gate
