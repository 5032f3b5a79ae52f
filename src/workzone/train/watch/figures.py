"""Figures of a training that are told while it runs, cheap enough for every step."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from workzone.decide.threshold import HALF
from workzone.types import DetectorOutput


def expert_load(output: DetectorOutput) -> torch.Tensor | None:
    """Which part of its tokens' assignments each expert has, by block.

    Args:
        output: of a batch.

    Returns:
        ``[blocks, experts]`` without gradient, rows sum to 1; None without experts. Blocks are not
        averaged: experts of different blocks have nothing in common but their number.
    """
    if not output.router_statistics:
        return None
    return torch.stack([statistics.share for statistics in output.router_statistics])


def kept_views(output: DetectorOutput) -> torch.Tensor:
    """In which part of the images each view was kept, by the glance and the pruner.

    Args:
        output: of a batch of ``B`` images.

    Returns:
        ``[V]`` without gradient, 0..1. A view is kept where its weight is not 0: that of a view
        that was left out, or does not exist, is exactly that.
    """
    return (output.view_weights.detach() > 0).float().mean(dim=0)


@torch.no_grad()
def gradient_norm(parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
    """The Euclidean norm of all gradients together, a scalar; parameters stay as they are."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def validation_metrics(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> dict[str, float | None]:
    """How good a detector is on rows that it does not learn from.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1, before calibration.

    Returns:
        ``validation_auc`` and ``validation_mcc``, at the cut 0.5; None where one class alone is
        there, or a probability is not finite.
    """
    if len(np.unique(labels)) < 2 or not np.isfinite(probabilities).all():
        return {"validation_auc": None, "validation_mcc": None}
    # A second of every start of `predict`, were it at the top.
    from sklearn.metrics import matthews_corrcoef, roc_auc_score

    return {
        "validation_auc": float(roc_auc_score(labels, probabilities)),
        "validation_mcc": float(matthews_corrcoef(labels, probabilities > HALF)),
    }
