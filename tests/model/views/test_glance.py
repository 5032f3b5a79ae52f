from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from made_images import blob_image
from workzone.backbones.base import Backbone
from workzone.errors import TrainingError, UsageError
from workzone.model.views.config import GlanceConfig
from workzone.model.views.glance import Glance
from workzone.views import ViewLayout, make_views, view_boxes

GRID = (4, 5)
LAYOUT = ViewLayout(size=32, tiles=2, overlap=0.0, squares=())


def boxes_of(images: int = 1) -> torch.Tensor:
    return torch.from_numpy(view_boxes(LAYOUT, 100, 80)).expand(images, -1, -1)


def ids_of(images: int = 1) -> torch.Tensor:
    return torch.arange(5).expand(images, 5)


def marked(*marks: tuple[int, int]) -> torch.Tensor:
    """Images whose grid is zero but for one cell (row, column), where channel 1 is 8."""
    grid = torch.zeros(len(marks), *GRID, 2)
    for image, (row, column) in enumerate(marks):
        grid[image, row, column, 1] = 8
    return grid.flatten(1, 2)


def looking_at_channel_1(keep: int) -> Glance:
    glance = Glance(GlanceConfig(keep=keep, width=2))
    glance.weight.copy_(torch.tensor([0.0, 1.0]))
    return glance


def test_the_tile_of_the_marked_cell_is_read_beside_the_global_view() -> None:
    grid = marked((0, 0), (0, 4), (3, 1), (3, 3))
    kept = looking_at_channel_1(2)(grid, grid_size=GRID, boxes=boxes_of(4), view_ids=ids_of(4))
    assert kept.tolist() == [[0, 1], [0, 2], [0, 3], [0, 4]]


def test_one_view_is_the_global_one() -> None:
    glance = looking_at_channel_1(1)
    kept = glance(marked((3, 3)), grid_size=GRID, boxes=boxes_of(), view_ids=ids_of())
    assert kept.tolist() == [[0]]


def test_the_order_of_the_views_does_not_matter() -> None:
    order = torch.tensor([3, 0, 4, 2, 1])
    kept = looking_at_channel_1(2)(
        marked((0, 4)), grid_size=GRID, boxes=boxes_of()[:, order], view_ids=ids_of()[:, order]
    )
    assert order[kept[0]].tolist() == [0, 2]


def test_views_that_do_not_exist_are_not_chosen() -> None:
    mask = torch.tensor([[True, False, True, True, True]])
    kept = looking_at_channel_1(2)(
        marked((0, 0)), grid_size=GRID, boxes=boxes_of(), view_ids=ids_of(), view_mask=mask
    )
    assert kept.tolist() == [[0, 2]]  # equal scores are left: the lower id


def test_a_global_view_that_does_not_exist_takes_no_place() -> None:
    mask = torch.tensor([[False, True, True, True, True]])
    kept = looking_at_channel_1(2)(
        marked((3, 3)), grid_size=GRID, boxes=boxes_of(), view_ids=ids_of(), view_mask=mask
    )
    assert kept.tolist() == [[1, 4]]


def test_a_grid_with_a_hole_is_named() -> None:
    means = torch.zeros(4, 2)
    means[2, 1] = torch.nan
    with pytest.raises(TrainingError, match="a patch grid holds a value that is not a finite"):
        Glance(GlanceConfig(width=2)).fit(means, torch.tensor([0, 1, 0, 1]))


def test_a_fitted_glance_finds_the_orange_square(lite0: Backbone) -> None:
    """The probe learns on eight frames what to look for; tiles are chosen on four others."""
    layout = dataclasses.replace(LAYOUT, size=128)
    corners = [(0, 0), (64, 0), (0, 64), (64, 64)]

    def frame(seed: int, label: int, corner: tuple[int, int]) -> np.ndarray:
        at = (corner[0] + 10, corner[1] + 10)
        return np.array(blob_image(seed, label, width=128, height=128, at=at))

    pairs = [(label, corner) for corner in corners for label in (0, 1)]
    training = [frame(n, label, corner) for n, (label, corner) in enumerate(pairs)]
    output = lite0(torch.from_numpy(np.stack(training)).permute(0, 3, 1, 2))
    glance = Glance(GlanceConfig(keep=2, width=lite0.width))
    glance.fit(output.grid.mean(1), torch.tensor([label for label, _ in pairs]))
    for number, corner in enumerate(corners):
        views = make_views(frame(50 + number, 1, corner), layout)
        seen = lite0(torch.from_numpy(views.pixels[:1]))
        boxes = torch.from_numpy(views.boxes)[None]
        kept = glance(seen.grid, grid_size=seen.grid_size, boxes=boxes, view_ids=ids_of())
        assert kept.tolist() == [[0, 1 + number]]


def test_one_class_is_refused() -> None:
    with pytest.raises(TrainingError, match="needs both classes; 3 of 3 training images"):
        Glance(GlanceConfig(width=2)).fit(torch.zeros(3, 2), torch.ones(3))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="keep is 1 or more, width 0 or more"):
        GlanceConfig(keep=0)
    with pytest.raises(UsageError, match="the width of the grid is needed: give width"):
        Glance(GlanceConfig())
