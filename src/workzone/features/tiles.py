"""Which views are worth the backbone's time, told by one cheap pass over the whole frame.

The backbone is nearly all of the cost, so leaving views out saves work only where it is done before
the backbone sees them: a small backbone glances at the whole frame at low resolution, each cell of
its patch grid gets a score, a view's score is the highest among the cells it covers, and the
expensive backbone reads the best views only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from workzone.backbones import Backbone, run
from workzone.errors import StoreError, TrainingError, UsageError
from workzone.features.store import FeatureStore

PROBE_C = 1e-3
"""Inverse strength of the probe's L2 penalty; small, for a grid has many channels."""


@dataclass(frozen=True)
class GlanceCost:
    """Floating-point operations per image when a glance chooses the views."""

    view: float  # FLOPs of one view through the backbone
    glance: float  # FLOPs of the glance; 0 where it is the global view's own pass
    views: int  # V, of an image with all its views

    def flops(self, keep: int) -> float:
        """FLOPs of an image of which ``keep`` views are read; without a glance if that is all.

        Raises:
            UsageError: ``keep`` is not in 1..V.
        """
        if not 1 <= keep <= self.views:
            raise UsageError(f"keep is a number of views from 1 to {self.views}, not {keep}")
        return keep * self.view + (self.glance if keep < self.views else 0)

    def share(self, keep: int) -> float:
        """:meth:`flops` as a share of reading every view; above 1 where the glance costs more."""
        return self.flops(keep) / self.flops(self.views)


@dataclass(frozen=True)
class KeptViews:
    """What a detector would have been given of images with all views stored."""

    features: torch.Tensor  # [B, k, D]
    boxes: torch.Tensor  # [B, k, 4], fractions of the frame
    view_ids: torch.Tensor  # int64 [B, k], ascending
    scores: torch.Tensor  # [B, V], of all views


def keep_highest(
    scores: torch.Tensor, *, keep: int, view_ids: torch.Tensor | None = None
) -> torch.Tensor:
    """Where the highest scores of each row are.

    A view's rank is counted against every other view, without sorting, so that the choice is exact
    and does not depend on the order in which the views come.

    Args:
        scores: ``[B, V]``, no NaN.
        keep: k; all views where there are fewer.
        view_ids: int64 ``[B, V]``; among equal scores the lower id wins. None: the positions.

    Returns:
        Positions int64 ``[B, min(k, V)]``, ascending in each row.
    """
    count = scores.shape[-1]
    position = torch.arange(count, device=scores.device).expand(scores.shape)
    ids = position if view_ids is None else view_ids
    theirs, own = scores[:, None, :], scores[:, :, None]
    before = (theirs > own) | ((theirs == own) & (ids[:, None, :] < ids[:, :, None]))
    dropped = before.sum(dim=-1) >= keep
    return (position + count * dropped).topk(min(keep, count), largest=False, sorted=True).indices


def choose_views(scores: torch.Tensor, *, keep: int, held: Sequence[int] = (0,)) -> torch.Tensor:
    """The views to read: the held ones, and the best of the others.

    Args:
        scores: ``[B, V]``, no NaN.
        keep: k, the held views counted in.
        held: views that are read whatever their score; the global view by default.

    Returns:
        View numbers int64 ``[B, k]``, ascending; among equal scores the lower number wins.

    Raises:
        UsageError: ``keep`` is below 1, below the number of held views or above V, or a held view
            does not exist.
    """
    count = scores.shape[-1]
    missing = [view for view in held if not 0 <= view < count]
    if missing:
        raise UsageError(f"view {missing[0]} cannot be held; the views are 0 to {count - 1}")
    least = max(len(set(held)), 1)
    if not least <= keep <= count:
        raise UsageError(
            f"keep is a number of views from {least} to {count} (held: {list(held)}), not {keep}"
        )
    numbers = torch.arange(count, device=scores.device)
    always = torch.isin(numbers, torch.tensor(list(held), dtype=torch.int64, device=scores.device))
    return keep_highest(scores.masked_fill(always, torch.inf), keep=keep)


def cell_coverage(boxes: torch.Tensor, grid_size: tuple[int, int]) -> torch.Tensor:
    """How much of each cell of the whole frame's grid each box covers.

    Args:
        boxes: ``[..., 4]`` (x0, y0, x1, y1) in fractions of the frame.
        grid_size: rows and columns; ``N = rows * columns``.

    Returns:
        ``[..., N]``, shares of the cell's area, 0..1, row-major.
    """
    rows, columns = grid_size
    x0, y0, x1, y1 = boxes.unbind(-1)
    return (_overlap(y0, y1, rows)[..., :, None] * _overlap(x0, x1, columns)[..., None, :]).flatten(
        -2
    )


def _overlap(start: torch.Tensor, end: torch.Tensor, count: int) -> torch.Tensor:
    """Share of each of ``count`` equal parts of 0..1 that lies between start and end."""
    edges = torch.arange(count + 1, dtype=start.dtype, device=start.device)
    low = torch.maximum(start[..., None] * count, edges[:-1])
    high = torch.minimum(end[..., None] * count, edges[1:])
    return (high - low).clamp(min=0)


def score_cells(grid: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """A score per cell of the whole frame.

    Args:
        grid: ``[..., N, D]`` patch tokens of the global view.
        weight: ``[D]`` of :func:`fit_probe`; None: the distance from the frame's mean cell, which
            needs no training and finds what stands out, road work or not.

    Returns:
        ``[..., N]``; they compare within an image, not between images.
    """
    centred = grid - grid.mean(dim=-2, keepdim=True)
    return torch.linalg.vector_norm(centred, dim=-1) if weight is None else centred @ weight


def score_views_from_grid(
    grid: torch.Tensor,
    boxes: torch.Tensor,
    *,
    grid_size: tuple[int, int],
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """A score per view: the mean over its cells, weighted by how much of each it covers.

    The probe learned on means of cells, so that a mean of its cell scores is what it would say of
    the view alone.

    Args:
        grid: ``[B, N, D]`` patch tokens of the global view.
        boxes: ``[B, V, 4]`` in fractions of the frame.
        grid_size: rows and columns of the grid.
        weight: see :func:`score_cells`.

    Returns:
        ``[B, V]``.

    Raises:
        UsageError: the grid does not have rows times columns cells.
    """
    rows, columns = grid_size
    if grid.shape[-2] != rows * columns:
        raise UsageError(
            f"a grid of {rows} x {columns} has {rows * columns} cells, not {grid.shape[-2]}; "
            "give the grid_size that came with it"
        )
    coverage = cell_coverage(boxes, grid_size)
    cells = score_cells(grid, weight)
    return (coverage @ cells[..., None]).squeeze(-1) / coverage.sum(dim=-1)


def fit_probe(grids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """A linear scorer of cells, learned from image labels alone.

    Logistic regression on the standardised mean cell of each image (classes balanced); its weights
    on single cells are a class activation map (Zhou et al., CVPR 2016, arXiv 1512.04150).

    Args:
        grids: ``[n, N, D]`` of training images' global views.
        labels: ``[n]``, 0 or 1.

    Returns:
        float32 ``[D]`` for the cells as they are, the standardisation being folded in.

    Raises:
        TrainingError: only one class.
    """
    from sklearn.linear_model import LogisticRegression

    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise TrainingError(
            f"a scorer of views needs both classes; {positives} of {len(labels)} training images "
            "show road work"
        )
    means = grids.float().mean(dim=1)
    scale = means.std(dim=0, correction=0).clamp(min=1e-4)
    probe = LogisticRegression(C=PROBE_C, class_weight="balanced", max_iter=2000)
    probe.fit(((means - means.mean(dim=0)) / scale).numpy(), labels.numpy())
    return torch.from_numpy(probe.coef_[0]).float() / scale


def glance(
    pixels: torch.Tensor,
    boxes: torch.Tensor,
    backbone: Backbone,
    *,
    keep: int,
    size: int,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Choose an image's views before the expensive backbone reads them.

    Args:
        pixels: uint8 ``[V, 3, S, S]``, the global view first.
        boxes: ``[V, 4]`` in fractions of the frame.
        backbone: the cheap one that glances.
        keep: k, the global view counted in.
        size: side in pixels to which the global view is reduced for the glance.
        weight: see :func:`score_cells`.

    Returns:
        View numbers int64 ``[k]``, ascending; the global view, 0, is always among them.

    Raises:
        BackboneError: ``size`` does not fit the backbone.
        UsageError: see :func:`choose_views`.
    """
    reduced = F.interpolate(pixels[:1], (size, size), mode="bilinear", antialias=True)
    output = run(backbone, reduced)
    scores = score_views_from_grid(
        output.grid.cpu(), boxes[None], grid_size=output.grid_size, weight=weight
    )
    return choose_views(scores, keep=keep)[0]


def simulate(
    store: FeatureStore, rows: Sequence[int], *, keep: int, weight: torch.Tensor | None = None
) -> KeptViews:
    """What would have been read of stored images, had their global grid chosen the views.

    A store that holds all views and the global view's grid so gives the whole curve of accuracy
    against cost without running the backbone again.

    Args:
        store: with the grid of view 0, the global view.
        rows: B row numbers.
        keep: k, the global view counted in.
        weight: see :func:`score_cells`; fit it on training rows only.

    Raises:
        StoreError: the store has no grid of the global view.
        UsageError: see :func:`choose_views`.
    """
    spec = store.spec
    if not spec.layout.global_view or 0 not in spec.grid_views:
        raise StoreError(
            f"{store.folder} holds grids of views {list(spec.grid_views)}; choosing views needs "
            "that of the global view, 0: extract again with it"
        )
    grid = store.read("grid", rows)[:, spec.grid_views.index(0)]
    boxes = store.read("boxes", rows)
    scores = score_views_from_grid(grid, boxes, grid_size=spec.grid_size, weight=weight)
    kept = choose_views(scores, keep=keep)
    features = store.read("pooled", rows)
    return KeptViews(
        features=features.take_along_dim(kept[..., None], dim=1),
        boxes=boxes.take_along_dim(kept[..., None], dim=1),
        view_ids=kept,
        scores=scores,
    )
