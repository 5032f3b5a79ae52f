"""The choice of views before the backbone reads them, from the global view's own patch grid.

The backbone is nearly all of the cost, so this is what saves work: k of V views cost k / V. The
glance itself is free, for the global view is one of the k.
"""

from __future__ import annotations

import torch
from torch import nn

from workzone.errors import TrainingError, UsageError
from workzone.features.tiles import fit_probe, keep_highest, score_views_from_grid
from workzone.model.views.config import GlanceConfig


class Glance(nn.Module):
    """Chooses the views whose cells a linear probe scores highest; the global view is always read.

    The probe is fitted, not trained by gradient (see :func:`workzone.features.tiles.fit_probe`):
    what has not been read cannot be learned from. Until then all scores are equal, and the views
    of the lowest ids are kept.
    """

    weight: torch.Tensor

    def __init__(self, config: GlanceConfig) -> None:
        super().__init__()
        if config.width < 1:
            raise UsageError("glance: the width of the grid is needed: give width")
        self.config = config
        self.register_buffer("weight", torch.zeros(config.width))

    @torch.no_grad()
    def fit(self, means: torch.Tensor, labels: torch.Tensor) -> None:
        """Fit the probe.

        Args:
            means: ``[n, D]``, the mean cell of training images' global views.
            labels: ``[n]``, 0 or 1.

        Raises:
            TrainingError: only one class, or a grid that holds a non-finite number.
        """
        if not bool(torch.isfinite(means).all()):
            raise TrainingError(
                "a patch grid holds a value that is not a finite number; delete its store and "
                "extract again"
            )
        self.weight.copy_(fit_probe(means, labels))

    def forward(
        self,
        grid: torch.Tensor,
        *,
        grid_size: tuple[int, int],
        boxes: torch.Tensor,
        view_ids: torch.Tensor,
        view_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Choose.

        Args:
            grid: ``[B, N, D]`` patch tokens of the global view.
            grid_size: rows and columns, ``N = rows * columns``.
            boxes: ``[B, V, 4]`` in fractions of the frame.
            view_ids: int64 ``[B, V]``; 0 is the global view, and among equal scores the lower id
                wins.
            view_mask: bool ``[B, V]``, True for views that exist.

        Returns:
            Positions int64 ``[B, min(k, V)]`` among the views, ascending.
        """
        scores = score_views_from_grid(
            grid, boxes, grid_size=grid_size, weight=self.weight.to(grid.dtype)
        )
        scores = scores.masked_fill(view_ids == 0, torch.inf)
        if view_mask is not None:
            scores = scores.masked_fill(~view_mask, -torch.inf)
        return keep_highest(scores, keep=self.config.keep, view_ids=view_ids)
