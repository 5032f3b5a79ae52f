from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from made_images import blob_image
from workzone.backbones import Backbone
from workzone.errors import StoreError, TrainingError, UsageError
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore, StoreWriter
from workzone.features.tiles import (
    PROBE_C,
    GlanceCost,
    cell_coverage,
    choose_views,
    fit_probe,
    glance,
    score_cells,
    score_views_from_grid,
    simulate,
)
from workzone.views import ViewLayout, make_views, view_boxes

GRID = (4, 5)
LAYOUT = ViewLayout(size=32, tiles=2, overlap=0.0, squares=())
SPEC = FeatureSpec(
    backbone="fake",
    weight_hash="0" * 32,
    width=3,
    mean=(0.5,),
    std=(0.5,),
    pooling="mean",
    layout=LAYOUT,
    grid_views=(0,),
    grid_size=GRID,
    grid_width=2,
)


def grid_with_marks(marks: list[tuple[int, int]]) -> torch.Tensor:
    """Images whose grid is zero but for one cell (row, column), where channel 1 is 8."""
    grid = torch.zeros(len(marks), *GRID, 2)
    for image, (row, column) in enumerate(marks):
        grid[image, row, column, 1] = 8
    return grid.flatten(1, 2)


def boxes_of(layout: ViewLayout, images: int = 1) -> torch.Tensor:
    return torch.from_numpy(view_boxes(layout, 100, 80)).expand(images, -1, -1)


@pytest.mark.parametrize(
    ("scores", "keep", "held", "expected"),
    [
        ([0.0, 5, 1, 5, 2], 3, (0,), [0, 1, 3]),
        ([0.0, 5, 1, 5, 2], 2, (0,), [0, 1]),  # equal scores: the lower number
        ([0.0, 5, 1, 5, 2], 1, (0,), [0]),
        ([0.0, 5, 1, 5, 2], 2, (), [1, 3]),
        ([0.0, 5, 1, 5, 2], 3, (4, 2), [1, 2, 4]),
        ([0.0, 5, 1, 5, 2], 5, (0,), [0, 1, 2, 3, 4]),
    ],
)
def test_the_best_views_are_chosen(
    scores: list[float], keep: int, held: tuple[int, ...], expected: list[int]
) -> None:
    chosen = choose_views(torch.tensor([scores, scores]), keep=keep, held=held)
    assert chosen.tolist() == [expected, expected]


@pytest.mark.parametrize(
    ("keep", "held", "message"),
    [
        (0, (), "from 1 to 5 .*not 0"),
        (6, (0,), "from 1 to 5 .*not 6"),
        (1, (0, 2), r"from 2 to 5 \(held: \[0, 2\]\), not 1"),
        (2, (5,), "view 5 cannot be held; the views are 0 to 4"),
    ],
)
def test_an_impossible_choice_is_refused(keep: int, held: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_views(torch.zeros(1, 5), keep=keep, held=held)


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


@pytest.mark.parametrize(("mark", "tile"), [((0, 0), 1), ((0, 4), 2), ((3, 1), 3), ((3, 3), 4)])
@pytest.mark.parametrize("weight", [None, torch.tensor([0.0, 1.0])])
def test_the_tile_of_the_marked_cell_wins(
    mark: tuple[int, int], tile: int, weight: torch.Tensor | None
) -> None:
    grid, boxes = grid_with_marks([mark]), boxes_of(LAYOUT)
    scores = score_views_from_grid(grid, boxes, grid_size=GRID, weight=weight)
    assert choose_views(scores, keep=2).tolist() == [[0, tile]]


def test_a_views_score_is_the_mean_over_its_cells() -> None:
    grid = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[[0.0, 0.0, 0.4, 0.25], [0.2, 0.0, 0.5, 0.25]]]).expand(2, -1, -1)
    weight = torch.tensor([1.0, -2.0, 0.5])
    scores = score_views_from_grid(grid, boxes, grid_size=GRID, weight=weight)
    cells = (grid - grid.mean(1, keepdim=True)) @ weight
    torch.testing.assert_close(scores[:, 0], cells[:, :2].mean(1))
    torch.testing.assert_close(scores[:, 1], (cells[:, 1] + cells[:, 2] / 2) / 1.5)


def test_cells_without_a_probe_score_by_how_they_stand_out() -> None:
    grid = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]]])
    scores = score_cells(grid)
    torch.testing.assert_close(scores, torch.tensor([[5 / 3, 5 / 3, 10 / 3]]))


def test_a_grid_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="4 x 5 has 20 cells, not 19"):
        score_views_from_grid(torch.zeros(1, 19, 2), boxes_of(LAYOUT), grid_size=GRID)


def test_the_probe_finds_the_channel_that_tells_the_classes_apart() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    grids = torch.randn(80, 20, 4, generator=random) * torch.tensor([1.0, 100.0, 1.0, 1.0])
    grids[labels == 1, 7, 2] += 20  # one cell of twenty
    weight = fit_probe(grids, labels)
    assert weight.dtype == torch.float32
    assert int(weight.abs().argmax()) == 2
    assert weight[2] > 0
    assert int(score_cells(grids[1], weight).argmax()) == 7
    # the scale of a channel is the probe's affair, not the caller's
    scale = torch.tensor([1.0, 0.01, 10.0, 1.0])
    torch.testing.assert_close(fit_probe(grids * scale, labels) * scale, weight, rtol=1e-3, atol=0)


def test_the_probe_is_the_optimum_of_balanced_logistic_regression() -> None:
    """Where the gradient of its loss is zero, each class weighing half."""
    random = torch.Generator().manual_seed(1)
    labels = (torch.arange(60) % 6 == 0).long()
    grids = torch.randn(60, 3, 4, generator=random) * 3 + labels[:, None, None]
    means = grids.mean(1).double()
    weight = fit_probe(grids, labels).double() * means.std(0, correction=0)
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
        fit_probe(torch.zeros(3, 4, 2), torch.ones(3))


def test_cost_counts_the_glance_only_where_views_are_left_out() -> None:
    cost = GlanceCost(view=100.0, glance=7.0, views=12)
    assert cost.flops(1) == 107
    assert cost.flops(8) == 807
    assert cost.flops(12) == 1200
    assert cost.share(5) == pytest.approx(507 / 1200)
    assert GlanceCost(view=100.0, glance=200.0, views=12).share(11) > 1
    for keep in (0, 13):
        with pytest.raises(UsageError, match=f"from 1 to 12, not {keep}"):
            cost.flops(keep)


def test_a_glance_finds_the_orange_square(lite0: Backbone) -> None:
    """The probe learns on eight frames what to look for; tiles are chosen on four others."""
    layout = dataclasses.replace(LAYOUT, size=128)
    corners = [(0, 0), (64, 0), (0, 64), (64, 64)]

    def frame(seed: int, label: int, corner: tuple[int, int]) -> torch.Tensor:
        image = blob_image(seed, label, width=128, height=128, at=(corner[0] + 10, corner[1] + 10))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    pairs = [(label, corner) for corner in corners for label in (0, 1)]
    training = [frame(n, label, corner) for n, (label, corner) in enumerate(pairs)]
    grids = lite0(torch.stack(training)).grid
    weight = fit_probe(grids, torch.tensor([label for label, _ in pairs]))
    for number, corner in enumerate(corners):
        views = make_views(frame(50 + number, 1, corner), layout)
        boxes = torch.from_numpy(views.boxes)
        kept = glance(views.pixels, boxes, lite0, keep=2, size=96, weight=weight)
        assert kept.tolist() == [0, 1 + number]


def test_a_glance_of_a_wrong_size_is_refused(lite0: Backbone) -> None:
    pixels = torch.zeros(5, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(UsageError, match=r"size 65 does not fit.*nearest are 64 and 96"):
        glance(pixels, boxes_of(LAYOUT)[0], lite0, keep=2, size=65)


def stored(folder: Path, spec: FeatureSpec, grid: torch.Tensor) -> FeatureStore:
    """A store whose views tell their own number."""
    count = len(grid)
    pooled = torch.arange(5.0)[None, :, None].expand(count, 5, 3).half()
    arrays = {"pooled": pooled.numpy(), "boxes": boxes_of(LAYOUT, count).numpy()}
    if spec.grid_views:
        grids = [grid if view == 0 else torch.randn_like(grid) for view in spec.grid_views]
        arrays["grid"] = torch.stack(grids, dim=1).half().numpy()
    with StoreWriter(folder, spec) as writer:
        writer.append([(f"image{n}", 0) for n in range(count)], arrays)
    return FeatureStore(folder)


@pytest.mark.parametrize("grid_views", [(0,), (0, 3), (2, 0)])
def test_simulation_keeps_what_the_stored_grid_says(
    tmp_path: Path, grid_views: tuple[int, ...]
) -> None:
    spec = dataclasses.replace(SPEC, grid_views=grid_views)
    store = stored(tmp_path, spec, grid_with_marks([(0, 0), (0, 4), (3, 3)]))
    kept = simulate(store, [2, 0], keep=2, weight=torch.tensor([0.0, 1.0]))
    assert kept.view_ids.tolist() == [[0, 4], [0, 1]]
    assert kept.features.tolist() == [[[0] * 3, [4] * 3], [[0] * 3, [1] * 3]]
    torch.testing.assert_close(
        kept.boxes, boxes_of(LAYOUT, 2)[:1].repeat(2, 1, 1)[torch.arange(2)[:, None], kept.view_ids]
    )
    assert kept.scores.shape == (2, 5)
    everything = simulate(store, [0, 1, 2], keep=5)
    torch.testing.assert_close(everything.features, store.read("pooled", [0, 1, 2]))


def test_simulation_needs_the_grid_of_the_global_view(tmp_path: Path) -> None:
    without = dataclasses.replace(SPEC, grid_views=(), grid_size=(0, 0), grid_width=0)
    other = dataclasses.replace(SPEC, grid_views=(3,))
    no_global = dataclasses.replace(
        SPEC, layout=dataclasses.replace(LAYOUT, global_view=False, squares=("right",))
    )
    for number, spec in enumerate((without, other, no_global)):
        store = stored(tmp_path / str(number), spec, grid_with_marks([(0, 0)]))
        with pytest.raises(StoreError, match="needs that of the global view, 0: extract again"):
            simulate(store, [0], keep=2)
