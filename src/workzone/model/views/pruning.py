"""View pruning: the detector keeps the k views that it scores highest.

By then the backbone has read every view, so this saves next to nothing (0.0005 % of the reference
detector's work): it is a way to leave out views that only distract. What saves work is the choice
before the backbone, :mod:`workzone.features.tiles`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from workzone.features.tiles import keep_highest, take_views
from workzone.model.views.config import PrunerConfig


@dataclass(frozen=True)
class Pruned:
    """The kept views of each image, in the order in which they came."""

    tokens: torch.Tensor  # [B, k, D], zero where no view is
    view_ids: torch.Tensor  # int64 [B, k], the original numbers
    boxes: torch.Tensor  # [B, k, 4], fractions of the frame
    mask: torch.Tensor  # bool [B, k], True for views that exist
    scores: torch.Tensor  # [B, V], of all views; minus infinity where no view is


class ViewPruner(nn.Module):
    """Score each view and keep the highest k.

    A top-k gives its scorer no gradient, so each kept view is multiplied by the gate
    ``2 sigmoid(score)``, which is 1 at score 0 (after gPool, Gao & Ji 2019, arXiv 1905.05178), in
    training and in evaluation alike. Where there is nothing to choose, gates are exactly 1: of a
    view that is held, and of images with no more than k views. The score vector starts at zero.

    In training, views are drawn without replacement in proportion to ``exp(score / noise)``, by
    adding Gumbel noise before the top-k (Kool et al. 2019, arXiv 1903.06059): views that score low
    at first are seen too, and can win later. In evaluation the k highest are kept; among equal
    scores the lower view id wins, so that the order of the views does not matter.
    """

    def __init__(self, *, width: int, config: PrunerConfig) -> None:
        """Make the layers.

        Args:
            width: D of the views' features.
            config: how to prune.
        """
        super().__init__()
        self.config = config
        score = nn.Linear(config.hidden, 1, bias=False)
        nn.init.zeros_(score.weight)
        self.scorer = nn.Sequential(
            nn.LayerNorm(width, elementwise_affine=False),
            nn.Linear(width, config.hidden),
            nn.SiLU(),
            score,
        )

    def forward(
        self,
        features: torch.Tensor,
        *,
        view_ids: torch.Tensor,
        boxes: torch.Tensor,
        view_mask: torch.Tensor | None = None,
    ) -> Pruned:
        """Prune.

        Args:
            features: ``[B, V, D]``.
            view_ids: int64 ``[B, V]``, the original numbers of the views in their layout.
            boxes: ``[B, V, 4]``, fractions of the frame.
            view_mask: bool ``[B, V]``, True for views that exist; None: all do.

        Returns:
            ``min(k, V)`` views of each image. Where fewer exist, the rest is padding.
        """
        mask = torch.ones_like(view_ids, dtype=torch.bool) if view_mask is None else view_mask
        features = features.masked_fill(~mask[..., None], 0)
        scores = self.scorer(features).squeeze(-1)
        held = mask & (view_ids == 0) & self.config.hold_global
        choice = mask.sum(dim=-1, keepdim=True) > self.config.keep
        gates = torch.where(choice & ~held, 2 * torch.sigmoid(scores), 1)
        ranked = self._explored(scores.detach().float())
        ranked = ranked.masked_fill(~mask, -torch.inf).masked_fill(held, torch.inf)
        kept = keep_highest(ranked, keep=self.config.keep, view_ids=view_ids)
        return Pruned(
            tokens=take_views(features * gates[..., None], kept),
            view_ids=take_views(view_ids, kept),
            boxes=take_views(boxes, kept),
            mask=take_views(mask, kept),
            scores=scores.masked_fill(~mask, -torch.inf),
        )

    def _explored(self, scores: torch.Tensor) -> torch.Tensor:
        """Scores with the noise of training."""
        if not self.training or self.config.noise == 0:
            return scores
        gumbel = -torch.empty_like(scores).exponential_().log()
        return scores + self.config.noise * gumbel


def on_all_views(
    weights: torch.Tensor,
    kept_ids: torch.Tensor,
    kept_mask: torch.Tensor | None,
    view_ids: torch.Tensor,
) -> torch.Tensor:
    """Weights of the kept views ``[B, k]`` in the places of all views ``[B, V]``."""
    if kept_ids is view_ids:
        return weights
    if kept_mask is not None:
        weights = weights.masked_fill(~kept_mask, 0)
    same = view_ids[:, :, None] == kept_ids[:, None, :]
    return (same * weights[:, None, :]).sum(dim=-1)
