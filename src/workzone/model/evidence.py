"""Which views argue for road work: gradient times input.

For a linear classifier on pooled features this is each view's own share of the logit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput


def view_evidence(detector: Detector, given: DetectorInput) -> torch.Tensor:
    """How much each view adds to the logit of road work, against the average training view.

    Args:
        detector: in evaluation mode.
        given: ``B`` images.

    Returns:
        ``[B, V]``; negative where a view argues against road work, zero where it was not read.
    """
    gradient = _gradient(
        lambda views: detector.run(dataclasses.replace(given, features=views)).logits,
        given.features,
    )
    return (gradient * (given.features - detector.feature_mean)).sum(dim=-1)


def view_shares(detector: Detector, given: DetectorInput, *, views: int) -> torch.Tensor:
    """Each view's share of all that argues for road work, among those that are read.

    Args:
        detector: in evaluation mode.
        given: ``B`` images; of all views the glance's choice is made here.
        views: V of the layout; ``given.view_ids`` count them.

    Returns:
        ``[B, V]``, zero for views that are not read; rows sum to 1.
    """
    if detector.cells is not None:  # a view's share of the cells that decide
        with torch.no_grad():
            return detector.run(given).view_weights
    read = detector.choose_views(given)
    of_read = shares(view_evidence(detector, read))
    if read.view_ids is None:
        return of_read
    return torch.zeros(len(given), views).scatter(1, read.view_ids, of_read)


def shares(evidence: torch.Tensor) -> torch.Tensor:
    """Each view's share of all that argues for road work; equal shares where nothing does.

    Args:
        evidence: ``[B, V]`` of :func:`view_evidence`.

    Returns:
        ``[B, V]``, not negative; rows sum to 1.
    """
    positive = evidence.clamp(min=0)
    total = positive.sum(dim=-1, keepdim=True)
    equal = torch.full_like(positive, 1 / positive.shape[-1])
    return torch.where(total > 0, positive / total.where(total > 0, 1), equal)


def _gradient(
    logits_of: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor
) -> torch.Tensor:
    """Of the summed logit difference (road work minus none) by ``values``."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        logits = logits_of(values)
        difference = (logits[:, 1] - logits[:, 0]).sum()
        (gradient,) = torch.autograd.grad(difference, values, allow_unused=True)
    return torch.zeros_like(values) if gradient is None else gradient.detach()
