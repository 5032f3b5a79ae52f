"""Which views are worth the backbone's time, told by one cheap pass over the whole frame.

The backbone is nearly all of the cost, so leaving views out saves work only where it is done before
the backbone sees them: it reads the global view first, which is the whole frame at low resolution;
each cell of that view's patch grid gets a score, a view's score is the mean over the cells it
covers, and the backbone reads the best views only (:class:`workzone.model.views.glance.Glance`).
"""

from __future__ import annotations

import torch

from workzone.errors import TrainingError, UsageError

PROBE_C = 1e-3
"""Inverse strength of the probe's L2 penalty; small, for a grid has many channels."""


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


def take_views(values: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Of values ``[B, V, ...]`` those of the views at positions int64 ``[B, k]``.

    As `torch.take_along_dim`, which an export fixes to one batch size.
    """
    places = kept.reshape(*kept.shape, *[1] * (values.ndim - 2))
    return values.gather(1, places.expand(*kept.shape, *values.shape[2:]))


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


def score_cells(grid: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A score per cell of the whole frame, against the frame's mean cell.

    Args:
        grid: ``[..., N, D]`` patch tokens of the global view.
        weight: ``[D]`` of :func:`fit_probe`.

    Returns:
        ``[..., N]``; they compare within an image, not between images.
    """
    return (grid - grid.mean(dim=-2, keepdim=True)) @ weight


def score_views_from_grid(
    grid: torch.Tensor, boxes: torch.Tensor, *, grid_size: tuple[int, int], weight: torch.Tensor
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
    coverage = cell_coverage(boxes, grid_size).to(grid.dtype)
    cells = score_cells(grid, weight)
    covered = coverage.sum(dim=-1).clamp(min=1e-6)  # padding may bring empty boxes
    return (coverage @ cells[..., None]).squeeze(-1) / covered


def fit_probe(means: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """A linear scorer of cells, learned from image labels alone.

    Logistic regression on the standardised mean cell of each image (classes balanced); its weights
    on single cells are a class activation map (Zhou et al., CVPR 2016, arXiv 1512.04150).

    Args:
        means: ``[n, D]``, the mean cell of training images' global views.
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
    means = means.float()
    scale = means.std(dim=0, correction=0).clamp(min=1e-4)
    probe = LogisticRegression(C=PROBE_C, class_weight="balanced", max_iter=2000)
    probe.fit(((means - means.mean(dim=0)) / scale).numpy(), labels.numpy())
    return torch.from_numpy(probe.coef_[0]).float() / scale
