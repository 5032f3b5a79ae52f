"""What is minimised."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from workzone.model.detector import Detector
from workzone.model.mask_loss import mask_loss
from workzone.model.pooling import AttentionAndMaximum
from workzone.train.augment import AugmentConfig
from workzone.train.examples import Examples
from workzone.train.settings import TrainConfig
from workzone.types import DetectorOutput


def classification_loss(
    logits: torch.Tensor,
    soft_targets: torch.Tensor,
    class_weights: torch.Tensor,
    config: AugmentConfig,
) -> torch.Tensor:
    """Cross-entropy or focal loss with soft targets, mean over images.

    ``-sum_c t_c w_c (1 - p_c)^gamma log p_c`` (Lin et al. 2017, arXiv 1708.02002), where t are the
    targets, smoothed (Szegedy et al. 2016), w the class weights and gamma ``config.focal``.

    Args:
        logits: ``[B, 2]``.
        soft_targets: ``[B, 2]``, shares of the classes, rows sum to 1.
        class_weights: ``[2]``.
        config: smoothing and gamma; with both at 0 this is the weighted cross-entropy.
    """
    targets = soft_targets * (1 - config.label_smoothing) + config.label_smoothing / 2
    log_p = F.log_softmax(logits, dim=-1)
    # Of two classes, 1 - p is the other's p: exact near 0 and 1, for every gamma.
    hard = (config.focal * log_p.flip(-1)).exp()
    return -(targets * class_weights * hard * log_p).sum(dim=-1).mean()


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
