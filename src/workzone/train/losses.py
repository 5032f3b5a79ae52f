"""The detector with its loss: what is wrapped for several processes, and what is compiled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from workzone.features.masks import cover_in_views, masks_in_views
from workzone.model.base import AnyDetector
from workzone.model.cells import beyond_frame
from workzone.model.inputs import DetectorInput
from workzone.model.masks.loss import mask_loss
from workzone.train.batches import Batch
from workzone.train.feed.augment import AugmentConfig
from workzone.train.settings import TrainConfig
from workzone.train.watch.figures import expert_load, kept_views
from workzone.types import DetectorOutput

COVERED = 0.12
"""Share of a cell that a class covers, above which the cell shows road work."""
BARE = 0.01
"""Share below which it shows none; between the two it is left open."""


class Objective(nn.Module):
    """The detector and what is minimised.

    Terms that are not means over images (the penalty, the experts' balance, the masks' loss) are
    computed for each part of a batch, and averaged over parts.
    """

    class_weights: torch.Tensor

    def __init__(
        self, detector: AnyDetector, config: TrainConfig, class_weights: torch.Tensor
    ) -> None:
        super().__init__()
        self.detector = detector
        self.config = config
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, given: Batch | DetectorInput) -> dict[str, torch.Tensor] | DetectorOutput:
        """The terms of the loss of a batch, or what the detector says of images.

        Returns:
            of a `Batch`, ``loss``, a scalar whose mean over the parts of a step is the step's, and,
            without gradients, what it is made of and the figures of
            `workzone.train.watch.figures`. Of a `DetectorInput`, its `DetectorOutput`.
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
        losses = classification_loss(
            output.logits.float(), batch.targets, self.class_weights, config.augment
        )
        cross_entropy = (losses * batch.part.counted).mean() * batch.part.padded
        terms = {
            "cross_entropy": cross_entropy,
            "penalty": self.detector.penalty(
                classifier=config.classifier_penalty, attention=config.attention_penalty
            ),
            "balance_loss": output.balance_loss,
            "mask_loss": masks_loss(output, batch),
            "cell_loss": cells_loss(output, batch),
            "distillation_loss": self._distillation(output.logits.float(), batch),
        }
        loss = cross_entropy + terms["penalty"]
        loss = loss + config.balance_weight * terms["balance_loss"]
        loss = loss + config.mask_weight * terms["mask_loss"]
        loss = loss + config.cell_weight * terms["cell_loss"]
        if config.distill is not None:
            loss = loss + config.distill.weight * terms["distillation_loss"]
        told = terms | {"kept_views": kept_views(output)}
        load = expert_load(output)
        if load is not None:
            told["expert_load"] = load
        return {"loss": loss} | {name: term.detach() for name, term in told.items()}

    def _distillation(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        if self.config.distill is None or batch.teacher is None:
            return logits.new_zeros(())
        losses = distillation_loss(logits, batch.teacher, self.config.distill.temperature)
        return (losses * batch.part.counted).mean() * batch.part.padded


def classification_loss(
    logits: torch.Tensor,
    soft_targets: torch.Tensor,
    class_weights: torch.Tensor,
    config: AugmentConfig,
) -> torch.Tensor:
    """Cross-entropy or focal loss with soft targets, of each image.

    ``-sum_c t_c w_c (1 - p_c)^gamma log p_c`` (Lin et al. 2017, arXiv 1708.02002), where t are the
    targets, smoothed (Szegedy et al. 2016), w the class weights and gamma ``config.focal``.

    Args:
        logits: ``[B, 2]``.
        soft_targets: ``[B, 2]``, shares of the classes, rows sum to 1.
        class_weights: ``[2]``.
        config: smoothing and gamma; with both at 0 this is the weighted cross-entropy.

    Returns:
        ``[B]``.
    """
    targets = soft_targets * (1 - config.label_smoothing) + config.label_smoothing / 2
    log_p = F.log_softmax(logits, dim=-1)
    # Of two classes, 1 - p is the other's p: exact near 0 and 1, for every gamma.
    hard = (config.focal * log_p.flip(-1)).exp()
    return -(targets * class_weights * hard * log_p).sum(dim=-1)


def distillation_loss(
    logits: torch.Tensor, teacher: torch.Tensor, temperature: float
) -> torch.Tensor:
    """How far a student is from a teacher: ``T^2 KL(teacher / T, student / T)``, of each image.

    The square keeps gradients as large at every temperature T (Hinton et al. 2015, 1503.02531).

    Args:
        logits: of the student, ``[B, 2]``.
        teacher: log-odds ``[B]``; NaN where it says nothing.
        temperature: T, above 0.

    Returns:
        ``[B]``, 0 or more; 0 where the teacher says nothing.
    """
    told = teacher.nan_to_num() / temperature
    said = (logits[:, 1] - logits[:, 0]) / temperature
    target = told.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(said, target, reduction="none")
    entropy = F.binary_cross_entropy_with_logits(told, target, reduction="none")
    return temperature**2 * (cross_entropy - entropy) * ~teacher.isnan()


def masks_loss(output: DetectorOutput, batch: Batch) -> torch.Tensor:
    """Of the rows whose masks are known; zero where there are none."""
    if output.masks is None or batch.masks is None or batch.annotated is None:
        return output.logits.new_zeros(())
    targets = mask_truth(output, batch.masks, batch.given.boxes)
    return mask_loss(output.masks, targets, row_mask=batch.annotated)


def mask_truth(
    output: DetectorOutput, masks: torch.Tensor, boxes: torch.Tensor | None
) -> torch.Tensor:
    """What the masks that a detector gives should be ``[B, K, h, w]``: shares, or NaN.

    Those of a dense detector are of its first view, which may reach beyond the frame; all others
    are of the frame, as the masks ``[B, K, h, w]`` that are known.
    """
    if output.cells is None or boxes is None or output.masks is None:
        return masks
    first, size = boxes[:, :1], tuple(output.masks.shape[2:])
    beyond = beyond_frame(first, (size[0], size[1])).unflatten(2, size)
    return masks_in_views(masks, first, size)[:, 0].masked_fill(beyond, torch.nan)


def cells_loss(output: DetectorOutput, batch: Batch) -> torch.Tensor:
    """Of the dense head's cells; zero where the detector has none."""
    if output.cells is None:
        return output.logits.new_zeros(())
    truth = cell_truth(batch, output.cells.shape[2:])
    losses = cell_loss(output.cells.float().flatten(1), truth.flatten(1))
    return (losses * batch.part.counted).mean() * batch.part.padded


def cell_truth(batch: Batch, grid_size: torch.Size) -> torch.Tensor:
    """What is known of the cells of a batch.

    Nothing of an image without road work shows any. Of one with road work that has masks, cells
    are positive where a class surely covers more than `COVERED` of them, and not known where one
    may cover `BARE`.

    Args:
        batch: with the boxes of its views, and masks of whole frames, where there are any.
        grid_size: rows and columns of a view's grid.

    Returns:
        ``[B, V, h, w]``: 1 road work, 0 none, NaN not known, or beyond the frame.
    """
    boxes = batch.given.boxes
    assert boxes is not None
    truth = batch.targets.new_full((*boxes.shape[:2], *grid_size), torch.nan)
    if batch.masks is not None and batch.annotated is not None:
        covered, unknown = cover_in_views(batch.masks, boxes, grid_size)
        left_open = (covered + unknown).amax(dim=2) >= BARE
        shown = covered.amax(dim=2) > COVERED
        known = shown.float().masked_fill(left_open & ~shown, torch.nan)
        truth = torch.where(batch.annotated[:, None, None, None], known, truth)
    truth = torch.where((batch.targets[:, 1] == 0)[:, None, None, None], 0.0, truth)
    beyond = beyond_frame(boxes, (grid_size[0], grid_size[1]))
    return truth.masked_fill(beyond.unflatten(2, grid_size), torch.nan)


def cell_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of cells: the mean over an image's positive ones and that over its
    negative ones, added, so that a few cells of road work weigh as much as all the street.

    Args:
        logits: ``[B, N]``.
        truth: ``[B, N]``: 1, 0, or NaN where it is not known.

    Returns:
        ``[B]``; 0 where nothing is known.
    """
    total = logits.new_zeros(len(logits))
    for label in (0.0, 1.0):
        cells = truth == label
        losses = F.softplus(-logits if label else logits) * cells
        total = total + losses.sum(dim=1) / cells.sum(dim=1).clamp(min=1)
    return total
