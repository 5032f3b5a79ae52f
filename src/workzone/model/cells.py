"""The dense head: every cell of the frame's grid is judged, and the strongest ones decide.

Multiple-instance learning (Dietterich et al., "Solving the multiple instance problem with
axis-parallel rectangles", Artificial Intelligence 1997): an image is a bag of cells, and has road
work if some of them show it. An image without road work has none in any cell, which is a label for
each of them. Where attention would weigh cells (Ilse et al. 2018, arXiv 1802.04712), the mean of
the top k is taken, which has nothing to learn and leaves each cell a logit of its own (Durand et
al., "WELDON", CVPR 2016, and "WILDCAT", CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from workzone.errors import UsageError

LEAST_SPREAD = 0.1
"""Of the median channel's spread: the least that a channel is scaled by."""

FIRST_BIAS = -2.0
"""Of a cell before training: most cells of most frames show no road work."""


@dataclass(frozen=True, kw_only=True)
class CellHeadConfig:
    """Shape of a dense head on the cells of the whole frame."""

    width: int = 0  # D of the grid; 0: taken from it when training starts
    hidden: int = 16  # units of the one hidden layer; 0: none, a linear head
    top: int = 4  # cells whose mean logit is the image's
    dropout: float = 0.2  # of channels, the same ones in all cells of a batch, 0..1

    def __post_init__(self) -> None:
        if min(self.width, self.hidden) < 0 or self.top < 1 or not 0 <= self.dropout < 1:
            raise UsageError(
                "cells: width and hidden are 0 or more, top is 1 or more, dropout in [0, 1): got "
                f"width={self.width}, hidden={self.hidden}, top={self.top}, "
                f"dropout={self.dropout}"
            )


class CellHead(nn.Module):
    """A small network on each cell, and the mean of the highest logits.

    Permuting the cells permutes their logits and changes nothing else.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: CellHeadConfig) -> None:
        """Make the layers; cells start near a logit of `FIRST_BIAS`."""
        super().__init__()
        if config.width < 1:
            raise UsageError("cells: the width of the grid is needed: give width")
        self.config = config
        self.register_buffer("mean", torch.zeros(config.width))
        self.register_buffer("scale", torch.ones(config.width))
        self.hidden = nn.Linear(config.width, config.hidden) if config.hidden else None
        self.classifier = nn.Linear(config.hidden or config.width, 1)
        nn.init.constant_(self.classifier.bias, FIRST_BIAS)

    @torch.no_grad()
    def fit(self, grids: Iterable[torch.Tensor]) -> None:
        """Take each channel's mean and spread from training cells.

        A channel that hardly differs between cells is scaled by `LEAST_SPREAD` of the median
        channel's spread at least: what little it says must not be blown up.

        Args:
            grids: parts ``[b, N, D]`` of the training images, read one after the other.
        """
        count = 0
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for grid in grids:
            cells = grid.flatten(0, 1).to(self.mean.device)
            count += len(cells)
            # A part's mean in float32 is exact enough, sums over all parts in it are not.
            total += len(cells) * cells.mean(dim=0).double()
            squares += len(cells) * cells.square().mean(dim=0).double()
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(spread.clamp(min=max(1e-4, LEAST_SPREAD * float(spread.median()))))

    def forward(self, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Judge cells, and the image by the strongest.

        Args:
            grid: ``[B, N, D]``.

        Returns:
            Logits of road work: of cells ``[B, N]``, of images ``[B]``.

        Raises:
            UsageError: the grid has another width.
        """
        if grid.ndim != 3 or grid.shape[-1] != self.config.width:
            raise UsageError(
                f"cells: the grid is {list(grid.shape)}; give [B, N, {self.config.width}]"
            )
        scale = self.scale
        if self.training and self.config.dropout:
            scale = scale / F.dropout(torch.ones_like(scale), self.config.dropout)
        # Standardised within the first layer: the grid is large, and need not be held twice.
        first = self.classifier if self.hidden is None else self.hidden
        weight = first.weight / scale
        logits = F.linear(grid, weight, first.bias - weight @ self.mean)
        if self.hidden is not None:
            logits = self.classifier(F.relu(logits))
        cells = logits.squeeze(-1)
        strongest = cells.topk(min(self.config.top, cells.shape[1]), dim=1).values
        return cells, strongest.mean(dim=1)
