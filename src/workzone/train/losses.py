"""The detector with its loss: what is wrapped for several processes, and what is compiled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.model.mask_loss import mask_loss
from workzone.model.pooling import AttentionAndMaximum
from workzone.train.batches import Batch
from workzone.train.figures import expert_load, kept_views
from workzone.train.settings import TrainConfig
from workzone.types import DetectorOutput


class Objective(nn.Module):
    """The detector and what is minimised.

    Terms that are not means over images (the penalty, the experts' balance, the masks' loss) are
    computed for each part of a batch, and averaged over parts.
    """

    class_weights: torch.Tensor

    def __init__(
        self, detector: Detector, config: TrainConfig, class_weights: torch.Tensor
    ) -> None:
        super().__init__()
        self.detector = detector
        self.config = config
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, given: Batch | DetectorInput) -> dict[str, torch.Tensor] | DetectorOutput:
        """The terms of the loss of a batch, or what the detector says of images.

        Returns:
            of a `Batch`, ``loss``, a scalar whose mean over the parts of a step is the step's, and,
            without gradients, what it is made of and the figures of `workzone.train.figures`. Of a
            `DetectorInput`, its `DetectorOutput`.
        """
        device = self.class_weights.device
        mixed = self.config.precision == "bfloat16"
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            if isinstance(given, DetectorInput):
                return self.detector.run(given)
            output = self.detector.run(given.given)
        return self._terms(output, given)

    def _terms(self, output: DetectorOutput, batch: Batch) -> dict[str, torch.Tensor]:
        config = self.config
        weights = self.class_weights[batch.labels] * batch.part.counted
        losses = F.cross_entropy(output.logits.float(), batch.labels, reduction="none")
        cross_entropy = (losses * weights).mean() * batch.part.padded
        terms = {
            "cross_entropy": cross_entropy,
            "penalty": penalty(self.detector, config),
            "balance_loss": output.balance_loss,
            "mask_loss": masks_loss(output, batch),
        }
        loss = cross_entropy + terms["penalty"]
        loss = loss + config.balance_weight * terms["balance_loss"]
        loss = loss + config.mask_weight * terms["mask_loss"]
        told = terms | {"kept_views": kept_views(output)}
        load = expert_load(output)
        if load is not None:
            told["expert_load"] = load
        return {"loss": loss} | {name: term.detach() for name, term in told.items()}


def masks_loss(output: DetectorOutput, batch: Batch) -> torch.Tensor:
    """Of the rows whose masks are known; zero where there are none."""
    if output.masks is None or batch.masks is None or batch.annotated is None:
        return output.logits.new_zeros(())
    return mask_loss(output.masks, batch.masks, row_mask=batch.annotated)


def penalty(detector: Detector, config: TrainConfig) -> torch.Tensor:
    """L2 on the classifier's weights and on the gate of "attention+maximum"."""
    gated = detector.fusion.attention if isinstance(detector.fusion, AttentionAndMaximum) else None
    last = detector.head[-1]
    assert isinstance(last, nn.Linear)
    gate = sum(
        (parameter.square().sum() for parameter in (gated.parameters() if gated else ())),
        start=last.weight.new_zeros(()),
    )
    weights = last.weight.square().sum()
    return config.classifier_penalty * weights + config.attention_penalty * gate
