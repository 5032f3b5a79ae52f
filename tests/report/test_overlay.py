from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from workzone.errors import UsageError
from workzone.report.overlay import draw_overlay, heat_from_views, heaviest, thumbnail

WHOLE = [0.0, 0.0, 1.0, 1.0]
LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]


def resized(grid, height, width):
    """torch's bilinear resizing, an implementation of its own."""
    return torch.nn.functional.interpolate(
        torch.as_tensor(np.asarray(grid))[None, None],
        size=(height, width),
        mode="bilinear",
        align_corners=False,
    )[0, 0].numpy()


def test_one_view_of_the_whole_frame_is_its_resized_grid():
    grid = np.random.default_rng(0).random((5, 7))
    expected = resized(grid, 40, 63)
    heat = heat_from_views([grid], [WHOLE], (40, 63))
    np.testing.assert_allclose(heat, expected / expected.max(), atol=1e-6)
    assert heat.dtype == np.float32


def test_overlapping_views_are_averaged_by_weight():
    random = np.random.default_rng(1)
    grids = random.normal(size=(3, 4, 4))
    boxes = [WHOLE, [0.25, 0.5, 0.75, 1.0], RIGHT]
    weights = [0.5, 0.3, 0.2]
    height, width = 16, 32
    total, cover = np.zeros((height, width)), np.zeros((height, width))
    for grid, box, weight in zip(grids, boxes, weights, strict=True):
        x0, y0, x1, y1 = (np.array(box) * [width, height, width, height]).astype(int)
        total[y0:y1, x0:x1] += weight * resized(grid, y1 - y0, x1 - x0)
        cover[y0:y1, x0:x1] += weight
    expected = np.maximum(total / cover, 0)
    heat = heat_from_views(grids, boxes, (height, width), view_weights=weights)
    np.testing.assert_allclose(heat, expected / expected.max(), atol=1e-6)


def test_evidence_stays_in_its_view():
    grids = np.stack([np.ones((3, 3)), np.zeros((3, 3))])
    heat = heat_from_views(grids, [LEFT, RIGHT], (8, 8))
    assert (heat[:, :4] == 1).all()
    assert (heat[:, 4:] == 0).all()


def test_what_no_view_covers_is_zero():
    heat = heat_from_views(np.ones((1, 2, 2)), [LEFT], (4, 4))
    assert heat.tolist() == [[1, 1, 0, 0]] * 4


@pytest.mark.parametrize("evidence", [0.0, -3.0])
@pytest.mark.parametrize("weights", [None, [0.5, 0.5], [0.0, 0.0]])
def test_no_evidence_gives_an_empty_map(evidence, weights):
    grids = np.full((2, 3, 3), evidence)
    heat = heat_from_views(grids, [WHOLE, LEFT], (6, 9), view_weights=weights)
    assert heat.shape == (6, 9)
    assert (heat == 0).all()


def test_heaviest_views():
    assert heaviest([0.1, 0.6, 0.0, 0.3], 2) == [1, 3]
    assert heaviest([0.0, 1.0], 5) == [1]
    assert heaviest([0.0, 0.0], 5) == []


def drawn(frame, heat=None, *, boxes=(WHOLE, RIGHT), weights=(0.0, 0.0), probability=0.93, top=3):
    heat = np.zeros((4, 4)) if heat is None else heat
    overlay = draw_overlay(
        frame, heat, boxes=boxes, view_weights=weights, probability=probability, top=top
    )
    return np.asarray(overlay).astype(int)


GREY = np.full((400, 500, 3), 128, dtype=np.uint8)


def test_without_evidence_the_frame_is_unchanged():
    frame = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    np.testing.assert_array_equal(drawn(frame)[:400, :500], frame)


def test_heat_colours_the_frame_where_it_is():
    heat = np.zeros((4, 4))
    heat[:, 3] = 1
    pixels = drawn(GREY, heat)
    assert (pixels[:400, :200] == 128).all()
    red, _, blue = pixels[200, 490]
    assert red > 180 > blue  # the bright end of the colour map is yellow
    faint = drawn(GREY, heat / 4)[200, 490]
    assert np.abs(faint - 128).sum() < np.abs(pixels[200, 490] - 128).sum()


def test_only_the_heaviest_views_are_outlined():
    boxes = [WHOLE, [0.2, 0.2, 0.8, 0.8]]
    edge = (slice(90, 310), slice(98, 106))  # the left edge of the second box
    assert (drawn(GREY, boxes=boxes, weights=(0.9, 0.1), top=1)[edge] == 128).all()
    assert (drawn(GREY, boxes=boxes, weights=(0.9, 0.1), top=2)[edge] != 128).any()
    assert (drawn(GREY, boxes=boxes, weights=(0.1, 0.9), top=1)[edge] != 128).any()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 400), (700, 20), (2000, 3000)])
def test_any_frame_size_gives_a_readable_caption(height, width):
    frame = np.full((height, width, 3), 128, dtype=np.uint8)
    pixels = drawn(frame, weights=(0.7, 0.3), probability=0.04)
    assert 360 <= pixels.shape[1] <= 1600
    caption = pixels[-60:]
    written = (np.abs(caption - caption[0, -1]).sum(axis=2) > 60).any(axis=0)
    assert written[10:60].any()  # the decision on the left
    assert written[pixels.shape[1] // 2 :].any()  # the legend on the right


def test_the_caption_tells_the_decision_apart():
    def caption(probability):
        return drawn(GREY, probability=probability)[400:]

    assert caption(0.93).shape == caption(0.04).shape
    assert (caption(0.93)[:, 0] != caption(0.04)[:, 0]).any()  # the colour of the decision
    np.testing.assert_array_equal(caption(0.5)[:, 0], caption(0.04)[:, 0])  # 0.5 is "none"


def test_thumbnail_is_a_small_jpeg():
    image = Image.open(io.BytesIO(thumbnail(GREY, longest=100)))
    assert (image.format, image.size) == ("JPEG", (100, 80))
    small = Image.open(io.BytesIO(thumbnail(GREY[:20, :30])))
    assert small.size == (30, 20)  # never enlarged
    assert np.abs(np.asarray(small).astype(int) - 128).max() <= 2


def test_wrong_calls_name_what_is_wrong():
    grids, boxes = np.ones((2, 3, 3)), [WHOLE, LEFT]
    with pytest.raises(UsageError, match=r"boxes of shape \(1, 4\): give \[V, 4\]"):
        heat_from_views(grids, [WHOLE], (8, 8))
    with pytest.raises(UsageError, match=r"view 1: box \[0\.5, 0\.0, 0\.5, 1\.0\] is empty"):
        heat_from_views(grids, [WHOLE, [0.5, 0.0, 0.5, 1.0]], (8, 8))
    with pytest.raises(UsageError, match="view 1: its evidence holds a value that is not finite"):
        heat_from_views([np.ones((3, 3)), np.full((3, 3), np.nan)], boxes, (8, 8))
    with pytest.raises(UsageError, match=r"view weights of shape \(1,\)"):
        heat_from_views(grids, boxes, (8, 8), view_weights=[1.0])
    with pytest.raises(UsageError, match=r"view weights of shape \(1,\) for 2 boxes"):
        drawn(GREY, weights=(1.0,))
    with pytest.raises(UsageError, match="probability nan; it must be a number in"):
        drawn(GREY, probability=float("nan"))
    with pytest.raises(UsageError, match=r"heat of shape \(2, 2\): give \[h, w\]"):
        drawn(GREY, np.full((2, 2), 1.5))
    with pytest.raises(UsageError, match=r"frame of shape \[400, 500, 3\] and float32"):
        drawn(GREY.astype(np.float32))


def test_an_outline_can_have_a_label_of_its_own():
    heat, box = np.zeros((4, 5)), [[0.4, 0.4, 0.6, 0.6]]
    known = {"boxes": box, "view_weights": [1.0], "probability": 0.7}
    share = np.asarray(draw_overlay(GREY, heat, **known))
    same = np.asarray(draw_overlay(GREY, heat, labels=["100%"], **known))
    other = np.asarray(draw_overlay(GREY, heat, labels=["strongest cell"], **known))
    assert (share == same).all()
    assert (share != other).any()
