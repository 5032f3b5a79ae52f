"""The dense head: every cell of every view is judged, and the strongest ones decide.

Multiple-instance learning (Dietterich et al., "Solving the multiple instance problem with
axis-parallel rectangles", Artificial Intelligence 1997): an image is a bag of cells, and has road
work if some of them show it. An image without road work has none in any cell, which is a label for
each of them. Where attention would weigh cells (Ilse et al. 2018, arXiv 1802.04712), the mean of
the top k is taken, which has nothing to learn and leaves each cell a logit of its own (Durand et
al., "WELDON", CVPR 2016, and "WILDCAT", CVPR 2017).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from workzone.backbones.lite import load_tail
from workzone.backbones.names import Variant
from workzone.errors import UsageError
from workzone.model.cells_config import CellHeadConfig, trunk_of

STYLE_SHARE = 0.3
"""Both parameters of the beta distribution that MixStyle draws its shares from, as the paper's
0.1 to 0.3."""

LEAST_SPREAD = 0.1
"""Of the median channel's spread: the least that a channel is scaled by."""

OUTSIDE = -30.0
"""The logit of cells beyond the frame."""


FIRST_BIAS = -2.0
"""Of a cell before training: most cells of most frames show no road work."""


class Tail(nn.Sequential):
    """What follows an embedded backbone's trunk: its last block and last convolution.

    ``[M, D, h, w]`` to ``[M, 1280, h, w]``, with the weights of the package where there is no
    other word (the last inverted residual, which has no shortcut).
    """

    def __init__(self, variant: Variant) -> None:
        """Make random weights; :meth:`start` brings those of the backbone."""
        inside, outside, last = variant.tail_widths
        super().__init__(
            nn.Conv2d(variant.trunk_width, inside, 1),
            nn.ReLU6(),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside),
            nn.ReLU6(),
            nn.Conv2d(inside, outside, 1),
            nn.Conv2d(outside, last, 1),
            nn.ReLU6(),
        )
        self.variant = variant

    def forward(self, maps: torch.Tensor, inside: torch.Tensor | None = None) -> torch.Tensor:
        """Compute.

        Args:
            maps: ``[M, D, h, w]``.
            inside: bool ``[M, 1, h, w]``: cells that are there; what is beyond them is to the
                convolution as what is beyond the edge. None: all are.
        """
        expand, activation, *rest = self
        maps = activation(expand(maps))
        if inside is not None:
            maps = maps * inside
        for layer in rest:
            maps = layer(maps)
        return maps

    @torch.no_grad()
    def start(self) -> None:
        """Take the weights that come with the backbone."""
        for own, given in zip(self.parameters(), load_tail(self.variant), strict=True):
            own.copy_(given)


class JudgedCells(NamedTuple):
    """What a `CellHead` says."""

    cells: torch.Tensor  # logits of road work [B, V, N] (N + N / 4), `OUTSIDE` beyond the frame
    logit: torch.Tensor  # of images [B]
    features: torch.Tensor | None  # of the first view's cells, what they were judged by [B, N, D']


class CellHead(nn.Module):
    """A small network on each cell, and the mean of the highest logits.

    Without a tail, permuting the cells permutes their logits and changes nothing else.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: CellHeadConfig, *, backbone: str = "") -> None:
        """Make the layers; cells start near a logit of `FIRST_BIAS`.

        Args:
            config: their shape.
            backbone: name of the trunk whose end the tail starts as; "": ImageNet's of that width.
        """
        super().__init__()
        if config.width < 1:
            raise UsageError("cells: the width of the grid is needed: give width")
        self.config = config
        width = config.judged_width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.tail = Tail(trunk_of(backbone, config.width)) if config.tail else None
        self.hidden = nn.Linear(width, config.hidden) if config.hidden else None
        self.classifier = nn.Linear(config.hidden or width, 1)
        if self.hidden is None:  # else all of it would start from the noise of 1280 weights
            nn.init.zeros_(self.classifier.weight)
        nn.init.constant_(self.classifier.bias, FIRST_BIAS)

    @torch.no_grad()
    def fit(
        self,
        grids: Iterable[tuple[torch.Tensor, torch.Tensor | None]],
        grid_size: tuple[int, int],
    ) -> None:
        """Start the tail, if any, and take each channel's mean and spread from training cells.

        A channel that hardly differs between cells is scaled by `LEAST_SPREAD` of the median
        channel's spread at least: what little it says must not be blown up.

        Args:
            grids: parts ``[b, V, N, D]``, or ``[b, N, D]`` of one view, of the training images,
                with the boxes of their views, read one after the other; see :meth:`forward`.
            grid_size: rows and columns of a view's grid.
        """
        if self.tail is not None:
            self.tail.start()
        count = 0
        total = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(total)
        for grid, boxes in grids:
            for row, image in enumerate(grid.to(self.mean.device).split(1)):
                views = image[:, None] if image.ndim == 3 else image  # one view alone
                part, size = by_scale(views, grid_size)[0]
                inside = None if boxes is None else ~unread(boxes[row : row + 1], size)
                cells = self.judged(part, size, inside).flatten(0, 2)
                if inside is not None:
                    cells = cells[inside.flatten()]
                count += len(cells)
                # An image's mean in float32 is exact enough, sums over all in it are not.
                total += len(cells) * cells.mean(dim=0).double()
                squares += len(cells) * cells.square().mean(dim=0).double()
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(spread.clamp(min=max(1e-4, LEAST_SPREAD * float(spread.median()))))

    def forward(
        self,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        boxes: torch.Tensor | None = None,
        *,
        keep: bool = False,
    ) -> JudgedCells:
        """Judge cells, and the image by the strongest.

        Args:
            grid: ``[B, V, N, D]``, or ``[B, V, N + N / 4, D]`` with the cells of the views' halves,
                which are judged apart: an image's logit is the mean of both. In training they are
                left out: what is learned of the views alone travels better
                (docs/experiments/recipe.md).
            grid_size: rows and columns of a view's grid.
            boxes: of the views ``[B, V, 4]``, by which cells beyond the frame are told; None: all
                cells are in it.
            keep: whether what cells are judged by is wanted.

        Returns:
            Logits of road work of cells and images, and what the cells were judged by.

        Raises:
            UsageError: the grid has another width, or another number of cells.
        """
        if grid.ndim != 4 or grid.shape[-1] != self.config.width:
            raise UsageError(
                f"cells: the grid is {list(grid.shape)}; give [B, V, N, {self.config.width}]"
            )
        scale = self.scale
        if self.training and self.config.dropout:
            scale = scale / F.dropout(torch.ones_like(scale), self.config.dropout)
        scales = by_scale(grid, grid_size)
        seen: list[torch.Tensor | None] = []
        judged: list[torch.Tensor] = []
        logits: list[torch.Tensor] = []
        for part, size in scales[:1] if self.training else scales:
            inside = None if boxes is None else ~unread(boxes, size)
            cells, features = self._cells(part, size, scale, inside, keep=keep and not judged)
            seen.append(features)
            if boxes is not None:
                cells = cells.masked_fill(beyond_frame(boxes, size), OUTSIDE)
            judged.append(cells)
            logits.append(self.strongest(cells.flatten(1)).values.mean(dim=1))
        return JudgedCells(torch.cat(judged, dim=2), torch.stack(logits).mean(dim=0), seen[0])

    def _cells(
        self,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        scale: torch.Tensor,
        inside: torch.Tensor | None,
        *,
        keep: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Of the cells of one scale: logits ``[B, V, N]``, and of the first view what they were
        judged by ``[B, N, D']``, if it is wanted."""
        if self.training and self.config.mix_style:
            grid = mix_style(grid, self.config.mix_style, inside)
        # Where nothing learns, image by image: what the tail makes of all would not fit.
        whole = torch.is_grad_enabled() or self.tail is None
        rows = [slice(None)] if whole else [slice(row, row + 1) for row in range(len(grid))]
        logits, features = [], []
        for row in rows:
            judged = self.judged(grid[row], grid_size, None if inside is None else inside[row])
            logits.append(self.score(judged, scale))
            features += [judged[:, 0]] * keep
        if not keep:
            return torch.cat(logits), None
        return torch.cat(logits), features[0] if len(features) == 1 else torch.cat(features)

    def score(self, judged: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Logits ``[...]`` of cells ``[..., D']``, each channel over ``scale`` ``[D']``."""
        # Standardised within the first layer: the grid is large, and need not be held twice.
        first = self.classifier if self.hidden is None else self.hidden
        weight = first.weight / scale
        logits = F.linear(judged, weight, first.bias - weight @ self.mean)
        if self.hidden is not None:
            logits = self.classifier(F.relu(logits))
        return logits.squeeze(-1)

    def strongest(self, cells: torch.Tensor) -> torch.return_types.topk:
        """The cells, of logits ``[B, N]``, that decide."""
        return cells.topk(min(self.config.top, cells.shape[1]), dim=1)

    def judged(
        self,
        grid: torch.Tensor,
        grid_size: tuple[int, int],
        inside: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The cells ``[B, V, N, D']`` that the head itself sees: as given, or after the tail.

        Of ``inside``, bool ``[B, V, N]``, see `Tail.forward`.
        """
        if self.tail is None:
            return grid
        maps = grid.flatten(0, 1).unflatten(1, grid_size).permute(0, 3, 1, 2)
        if inside is not None:
            inside = inside.flatten(0, 1).unflatten(1, grid_size)[:, None]
        judged: torch.Tensor = self.tail(maps, inside).permute(0, 2, 3, 1)
        views: torch.Tensor = judged.flatten(1, 2).unflatten(0, grid.shape[:2])
        return views


def by_scale(
    packed: torch.Tensor, grid_size: tuple[int, int]
) -> list[tuple[torch.Tensor, tuple[int, int]]]:
    """Part the cells of views from those of their halves, which follow them.

    Args:
        packed: ``[B, V, N, ...]`` or ``[B, V, N + N / 4, ...]``.
        grid_size: rows and columns of the N cells.

    Returns:
        One or two parts, each with its rows and columns.

    Raises:
        UsageError: another number of cells.
    """
    rows, columns = grid_size
    half = (rows // 2, columns // 2)
    sizes = {rows * columns: [grid_size]}
    if min(half):
        sizes[rows * columns + half[0] * half[1]] = [grid_size, half]
    if packed.shape[2] not in sizes:
        raise UsageError(
            f"cells: a grid of {rows} x {columns} has {' or '.join(map(str, sizes))} cells (with "
            f"those of the views' halves), not {packed.shape[2]}"
        )
    found = sizes[packed.shape[2]]
    return list(zip(packed.split([r * c for r, c in found], dim=2), found, strict=True))


def beyond_frame(boxes: torch.Tensor, grid_size: tuple[int, int]) -> torch.Tensor:
    """Cells, bool ``[B, V, N]``, whose centre is not in the frame: the padding of a whole frame.

    Args:
        boxes: of the views ``[B, V, 4]``, in fractions of the frame.
        grid_size: rows and columns of a view's grid.
    """
    beyond = []
    for axis, cells in ((1, grid_size[0]), (0, grid_size[1])):
        steps = (torch.arange(cells, device=boxes.device) + 0.5) / cells
        start, end = boxes[..., axis, None], boxes[..., axis + 2, None]
        centres = start + (end - start) * steps
        beyond.append((centres < 0) | (centres > 1))
    rows, columns = beyond
    return (rows[..., :, None] | columns[..., None, :]).flatten(2)


def frame_shapes(boxes: torch.Tensor, grid_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of the cells that the backbone has read, of each image; see `unread`.

    Args:
        boxes: of one view of each image ``[B, 4]``, in fractions of the frame.
        grid_size: rows and columns of a view's grid.
    """
    beyond = unread(boxes[:, None], grid_size)[:, 0].unflatten(1, grid_size)
    rows, columns = (~beyond.all(dim=2)).sum(dim=1), (~beyond.all(dim=1)).sum(dim=1)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def unread(boxes: torch.Tensor, grid_size: tuple[int, int]) -> torch.Tensor:
    """Cells, bool ``[B, V, N]``, that the backbone has not read: see `features.reading.in_square`.

    They lie behind a frame in its own shape. The padding of a square lies around its frame, and was
    read.

    Args:
        boxes: of the views ``[B, V, 4]``, in fractions of the frame.
        grid_size: rows and columns of a view's grid.
    """
    behind = (boxes[..., :2] >= 0).all(dim=-1)
    return beyond_frame(boxes, grid_size) & behind[..., None]


def mix_style(grid: torch.Tensor, share: float, inside: torch.Tensor | None = None) -> torch.Tensor:
    """MixStyle (Zhou et al. 2021, arXiv 2104.02008): some images borrow another one's style.

    Style is each channel's mean and spread over a view: light, weather, camera. It is mixed with
    that of another image of the batch, content stays; from torch's global generator.

    Args:
        grid: ``[B, V, N, D]``.
        share: of the images that are changed, 0..1.
        inside: bool ``[B, V, N]``: the cells whose style it is; None: all.
    """
    mean, spread = _style(grid, inside)
    spread = spread + 1e-4
    size = (len(grid), 1, 1, 1)
    concentration = torch.full(size, STYLE_SHARE)
    own = torch.distributions.Beta(concentration, concentration).sample()
    own = torch.maximum(own, 1 - own).where(torch.rand(size) < share, torch.ones(size))
    own, others = own.to(grid), torch.randperm(len(grid)).to(grid.device)
    mixed_mean = own * mean + (1 - own) * mean[others]
    mixed_spread = own * spread + (1 - own) * spread[others]
    return (grid - mean) / spread * mixed_spread + mixed_mean


def _style(grid: torch.Tensor, inside: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation ``[B, V, 1, D]`` of each view's cells."""
    if inside is None:
        return grid.mean(dim=2, keepdim=True), grid.std(dim=2, keepdim=True)
    weight = inside[..., None].to(grid)
    count = weight.sum(dim=2, keepdim=True)
    mean = (grid * weight).sum(dim=2, keepdim=True) / count.clamp(min=1)
    squares = ((grid - mean).square() * weight).sum(dim=2, keepdim=True)
    return mean, (squares / (count - 1).clamp(min=1)).sqrt()
