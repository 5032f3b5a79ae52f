from __future__ import annotations

import numpy as np
import pytest
import torch

from workzone.errors import TrainingError, UsageError
from workzone.features.tiles import (
    PROBE_C,
    cell_coverage,
    fit_probe,
    keep_highest,
    score_cells,
    score_views_from_grid,
)
from workzone.views import ViewLayout, view_boxes

GRID = (4, 5)
LAYOUT = ViewLayout(size=32, tiles=2, overlap=0.0, squares=())


def boxes_of(layout: ViewLayout, images: int = 1) -> torch.Tensor:
    return torch.from_numpy(view_boxes(layout, 100, 80)).expand(images, -1, -1)


@pytest.mark.parametrize(
    ("keep", "expected"), [(1, [1]), (2, [1, 3]), (3, [1, 3, 4]), (5, [0, 1, 2, 3, 4])]
)
def test_the_highest_are_kept_and_the_lower_number_wins(keep: int, expected: list[int]) -> None:
    scores = torch.tensor([[0.0, 5, 1, 5, 2], [0.0, 5, 1, 5, 2]])
    assert keep_highest(scores, keep=keep).tolist() == [expected, expected]


def test_coverage_is_the_share_of_each_cell_by_counting_points() -> None:
    random = np.random.default_rng(0)
    low, high = np.sort(random.random((2, 6, 2)), axis=0)
    boxes = np.concatenate([low, high], axis=1)
    rows, columns = GRID
    points = (np.arange(400) + 0.5) / 400
    inside_x = (points[None] > boxes[:, 0, None]) & (points[None] < boxes[:, 2, None])
    inside_y = (points[None] > boxes[:, 1, None]) & (points[None] < boxes[:, 3, None])
    counted_x = inside_x.reshape(6, columns, -1).mean(-1)
    counted_y = inside_y.reshape(6, rows, -1).mean(-1)
    expected = (counted_y[:, :, None] * counted_x[:, None, :]).reshape(6, -1)
    coverage = cell_coverage(torch.from_numpy(boxes), GRID)
    np.testing.assert_allclose(coverage.numpy(), expected, atol=0.03)


def test_the_coverage_of_tiles_is_the_frame() -> None:
    boxes = boxes_of(ViewLayout(size=32, tiles=3, overlap=0.0, squares=()))
    coverage = cell_coverage(boxes, GRID)[0]
    torch.testing.assert_close(coverage[0], torch.ones(20))  # the global view
    torch.testing.assert_close(coverage[1:].sum(0), torch.ones(20))


def test_a_views_score_is_the_mean_over_its_cells() -> None:
    grid = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[[0.0, 0.0, 0.4, 0.25], [0.2, 0.0, 0.5, 0.25]]]).expand(2, -1, -1)
    weight = torch.tensor([1.0, -2.0, 0.5])
    scores = score_views_from_grid(grid, boxes, grid_size=GRID, weight=weight)
    cells = (grid - grid.mean(1, keepdim=True)) @ weight
    torch.testing.assert_close(scores[:, 0], cells[:, :2].mean(1))
    torch.testing.assert_close(scores[:, 1], (cells[:, 1] + cells[:, 2] / 2) / 1.5)


def test_a_grid_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="4 x 5 has 20 cells, not 19"):
        score_views_from_grid(
            torch.zeros(1, 19, 2), boxes_of(LAYOUT), grid_size=GRID, weight=torch.zeros(2)
        )


def test_the_probe_finds_the_channel_that_tells_the_classes_apart() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    grids = torch.randn(80, 20, 4, generator=random) * torch.tensor([1.0, 100.0, 1.0, 1.0])
    grids[labels == 1, 7, 2] += 20  # one cell of twenty
    weight = fit_probe(grids.mean(1), labels)
    assert weight.dtype == torch.float32
    assert int(weight.abs().argmax()) == 2
    assert weight[2] > 0
    assert int(score_cells(grids[1], weight).argmax()) == 7
    # the scale of a channel is the probe's affair, not the caller's
    scale = torch.tensor([1.0, 0.01, 10.0, 1.0])
    torch.testing.assert_close(
        fit_probe((grids * scale).mean(1), labels) * scale, weight, rtol=1e-3, atol=0
    )


def test_the_probe_is_the_optimum_of_balanced_logistic_regression() -> None:
    """Where the gradient of its loss is zero, each class weighing half."""
    random = torch.Generator().manual_seed(1)
    labels = (torch.arange(60) % 6 == 0).long()
    grids = torch.randn(60, 3, 4, generator=random) * 3 + labels[:, None, None]
    means = grids.mean(1).double()
    weight = fit_probe(grids.mean(1), labels).double() * means.std(0, correction=0)
    inputs = (means - means.mean(0)) / means.std(0, correction=0)
    importance = torch.where(labels == 1, 60 / 20, 60 / 100).double()
    low, high = -20.0, 20.0  # the intercept, by bisection
    for _ in range(60):
        middle = (low + high) / 2
        error = importance * (torch.sigmoid(inputs @ weight + middle) - labels)
        low, high = (low, middle) if error.sum() > 0 else (middle, high)
    gradient = weight + PROBE_C * error @ inputs
    assert gradient.norm() < 0.01 * weight.norm()


def test_a_probe_of_one_class_is_refused() -> None:
    with pytest.raises(TrainingError, match="needs both classes; 3 of 3 training images"):
        fit_probe(torch.zeros(3, 2), torch.ones(3))
