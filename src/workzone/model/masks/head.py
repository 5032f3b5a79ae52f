"""The auxiliary mask head: from a patch grid to masks of the six classes.

It learns where objects are beside the main task, and shows what the detector's features know of
them. Its grid is the global view's own, or several views' grids placed on one canvas of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from workzone.errors import UsageError
from workzone.model.masks.config import MaskHeadConfig
from workzone.types import OBJECT_CLASSES

_PRIOR = 0.01  # share of cells that a class covers, roughly; the head starts from there
PRIOR_LOGIT = math.log(_PRIOR / (1 - _PRIOR))


class SeparableConvolution(nn.Module):
    """Depthwise 3x3, pointwise 1x1 (MobileNet, arXiv 1704.04861), GroupNorm, SiLU."""

    def __init__(self, *, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.GroupNorm(math.gcd(8, outputs), outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """``[B, inputs, h, w]`` to ``[B, outputs, h, w]``."""
        return F.silu(self.norm(self.pointwise(self.depthwise(features))))


class LevelStep(nn.Module):
    """From what there is to a finer level: its own map is added, at the scale of the head."""

    def __init__(self, *, inputs: int, level: int, outputs: int) -> None:
        """Of channels: ``inputs`` of what there is, ``level`` of the map, ``outputs`` of both."""
        super().__init__()
        self.narrow = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.lateral = nn.Conv2d(level, outputs, 1, bias=False)
        self.norm = nn.GroupNorm(math.gcd(8, outputs), outputs)
        self.mix = SeparableConvolution(inputs=outputs, outputs=outputs)

    def forward(self, features: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """``[B, inputs, h', w']`` and ``[B, level, h, w]`` to ``[B, outputs, h, w]``."""
        coarse = self.narrow(features)
        if coarse.shape[2:] != maps.shape[2:]:
            coarse = F.interpolate(coarse, maps.shape[2:], mode="bilinear", align_corners=False)
        mixed: torch.Tensor = self.mix(coarse + self.norm(self.lateral(maps)))
        return mixed


class MaskHead(nn.Module):
    """A light convolutional decoder on a patch grid, multi-label at quarter resolution.

    Cells are normalised (LayerNorm: backbones differ in scale) and projected, mixed by a separable
    convolution. Where there are levels, what there is comes to the size of each, the coarsest
    first, is added to it and mixed (feature pyramid, Lin et al., arXiv 1612.03144). Then it is
    doubled bilinearly with one separable convolution after each doubling.
    """

    def __init__(self, config: MaskHeadConfig) -> None:
        """Make the layers; the last bias starts at the classes' usual share of cells.

        With a start at 0.5 the many empty cells would drive the first steps (Lin et al., "Focal
        Loss", arXiv 1708.02002, section 4.1).
        """
        super().__init__()
        if config.width < 1:
            raise UsageError("mask head: the width of the grid is needed: give width")
        if len(config.level_widths) < len(config.levels):
            raise UsageError("mask head: the widths of its levels are needed: give level_widths")
        self.config = config
        self.norm = nn.LayerNorm(config.width)
        self.project = nn.Linear(config.width, config.hidden)
        self.mix = SeparableConvolution(inputs=config.hidden, outputs=config.hidden)
        self.steps = nn.ModuleList()  # the coarsest level first
        width = config.hidden
        for level, stride in reversed(
            list(zip(config.level_widths, config.level_strides, strict=True))
        ):
            outputs = config.width_at(stride)
            self.steps.append(LevelStep(inputs=width, level=level, outputs=outputs))
            width = outputs
        self.refine = nn.ModuleList(
            SeparableConvolution(inputs=width >> step, outputs=width >> (step + 1))
            for step in range(config.doublings)
        )
        self.classifier = nn.Conv2d(width >> config.doublings, len(OBJECT_CLASSES), 1)
        nn.init.constant_(self.classifier.bias, PRIOR_LOGIT)  # type: ignore[arg-type]

    def forward(
        self,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        levels: Mapping[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Predict masks.

        Args:
            grid: ``[B, N, D]`` in row-major order.
            grid_size: rows and columns, ``N = rows * columns``.
            levels: maps ``[B, C, h, w]`` of the backbone's levels, by level.

        Returns:
            Logits ``[B, K, h, w]`` with ``(h, w) = config.mask_size(grid_size)``.

        Raises:
            UsageError: the grid has another number of cells, or another width; a level is missing.
        """
        missing = [level for level in self.config.levels if level not in (levels or {})]
        if missing:
            raise UsageError(f"mask head: no map of level {missing[0]}: give levels")
        rows, columns = grid_size
        if grid.shape[1:] != (rows * columns, self.config.width):
            raise UsageError(
                f"mask head: the grid is {list(grid.shape)}; {rows} x {columns} cells of width "
                f"{self.config.width} need [B, {rows * columns}, {self.config.width}]"
            )
        height, width = self.config.mask_size(grid_size)
        cells = self.project(self.norm(grid))
        features = self.mix(cells.transpose(1, 2).unflatten(2, (rows, columns)))
        for level, finer in zip(reversed(self.config.levels), self.steps, strict=True):
            assert levels is not None
            features = finer(features, levels[level])
        rows, columns = features.shape[2:]
        for step, refine in enumerate(self.refine, start=1):
            size = (min(rows << step, height), min(columns << step, width))
            features = refine(
                F.interpolate(features, size=size, mode="bilinear", align_corners=False)
            )
        logits: torch.Tensor = self.classifier(features)
        return logits


def mask_evidence(masks: torch.Tensor) -> torch.Tensor:
    """What masks say of the whole image: the highest logit of each class, over its prior.

    Args:
        masks: logits ``[B, K, h, w]``.

    Returns:
        ``[B, K]``; about 0 where the class is nowhere more likely than in any street.
    """
    return masks.amax(dim=(2, 3)) - PRIOR_LOGIT


def place_grids(
    grids: torch.Tensor,
    boxes: torch.Tensor,
    *,
    grid_size: tuple[int, int],
    shape: tuple[int, int],
    view_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Place the grids of several views on one canvas that covers the frame.

    A canvas cell takes, from every view whose box holds its centre, the bilinear value there (the
    border's value within half a cell of the view's edge), and the plain mean over those views;
    cells that no view covers are zero. Interpolation is written as two matrix products, as boxes
    are upright: unlike ``grid_sample``, that has second derivatives.

    Args:
        grids: ``[B, G, N, D]``, row-major.
        boxes: ``[B, G, 4]`` in fractions of the frame.
        grid_size: rows and columns of each grid.
        shape: rows and columns of the canvas; about the views' finest resolution, since a coarser
            canvas samples and does not average.
        view_mask: bool ``[B, G]``, True for views that exist; None: all do.

    Returns:
        ``[B, rows * columns of the canvas, D]`` in row-major order, as :class:`MaskHead` takes it.
    """
    cells = grids.unflatten(2, grid_size)  # [B, G, r, c, D]
    x0, y0, x1, y1 = boxes.to(grids.device, torch.float32).unbind(-1)
    by_row, in_rows = _line_weights(y0, y1, cells=grid_size[0], canvas=shape[0])
    by_column, in_columns = _line_weights(x0, x1, cells=grid_size[1], canvas=shape[1])
    if view_mask is not None:
        cells = cells.masked_fill(~view_mask[..., None, None, None], 0)
        in_rows = in_rows & view_mask[..., None]
    count = torch.einsum("bgh,bgw->bhw", in_rows.float(), in_columns.float()).clamp(min=1)
    rows = torch.einsum("bghr,bgrcd->bghcd", by_row.to(cells.dtype), cells)
    total = torch.einsum("bghcd,bgwc->bhwd", rows, by_column.to(cells.dtype))
    return (total / count[..., None].to(total.dtype)).flatten(1, 2)


def _line_weights(
    start: torch.Tensor, end: torch.Tensor, *, cells: int, canvas: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bilinear weights along one axis.

    Args:
        start: ``[B, G]``, where the boxes begin, as fractions.
        end: ``[B, G]``, where they end.
        cells: of a grid along this axis.
        canvas: cells of the canvas along this axis.

    Returns:
        Weights ``[B, G, canvas, cells]``, zero outside a box, and bool ``[B, G, canvas]``: inside.
    """
    centres = (torch.arange(canvas, device=start.device) + 0.5) / canvas
    inside = (centres >= start[..., None]) & (centres <= end[..., None])
    extent = (end - start).clamp(min=1e-6)[..., None]  # padding may bring empty boxes
    positions = ((centres - start[..., None]) / extent * cells - 0.5).clamp(0, cells - 1)
    distances = (positions[..., None] - torch.arange(cells, device=start.device)).abs()
    return (1 - distances).clamp(min=0) * inside[..., None], inside
