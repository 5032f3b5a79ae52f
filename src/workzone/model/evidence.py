"""Which views argue for road work: gradient times input.

For a linear classifier on pooled features this is each view's own share of the logit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def gradient_times_input(
    logits_of: Callable[[torch.Tensor], torch.Tensor],
    views: torch.Tensor,
    *,
    against: torch.Tensor,
) -> torch.Tensor:
    """How much each view adds to the logit difference (road work minus none).

    Args:
        logits_of: from views to ``[B, 2]``.
        views: ``[B, V, D]``.
        against: the view ``[D]`` that adds nothing.

    Returns:
        ``[B, V]``.
    """
    return (_gradient(logits_of, views) * (views - against)).sum(dim=-1)


def shares(evidence: torch.Tensor) -> torch.Tensor:
    """Each view's share of all that argues for road work; equal shares where nothing does.

    Args:
        evidence: ``[B, V]`` of :func:`gradient_times_input`.

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
