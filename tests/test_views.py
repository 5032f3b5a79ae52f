"""Views: where they lie in closed form, what they show against a slow reference."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from workzone.data.augmentation import Augmentation
from workzone.data.images import content_hash, decode_pixels
from workzone.errors import ImageError, UsageError
from workzone.types import ImageRef, Sample
from workzone.views import (
    PADDING,
    ViewLayout,
    enough_side,
    make_views,
    preprocess,
    sample_bytes,
    sample_views,
    view_boxes,
)

ORIENTATION = 0x0112
LAYOUTS = st.builds(
    ViewLayout,
    size=st.integers(8, 40),
    tiles=st.integers(1, 5),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]),
)


FRAME = {"size": 896, "shorter": 512, "tiles": 0, "squares": ()}
"""The whole frame in its own shape."""


def street(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Gradients, edges and grain: ``[H, W, 3]`` uint8."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([255 * x / width, 255 * y / height, 128 + 80 * np.sin(x / 9 + y / 17)], -1)
    smooth[height // 3 : height // 2, width // 5 : width // 4] = (250, 120, 20)
    grain = random.normal(0, 12, (height, width, 3))
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def triangle_weights(size: int, target: int) -> np.ndarray:
    """Antialiased bilinear resampling of a line, ``[target, size]``, from its definition."""
    step = size / target
    support = max(step, 1.0)
    weights = np.zeros((target, size))
    for row in range(target):
        centre = (row + 0.5) * step
        distance = np.abs(np.arange(size) + 0.5 - centre) / support
        weights[row] = np.clip(1 - distance, 0, None)
    return weights / weights.sum(1, keepdims=True)


def slow_views(pixels: np.ndarray, layout: ViewLayout) -> np.ndarray:
    """``[V, S, S, 3]`` float64, by cropping and two dense matrix products."""
    height, width, _ = pixels.shape
    views = []
    for x0, y0, x1, y1 in view_boxes(layout, width, height).astype(np.float64):
        crop = pixels[
            round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)
        ]
        rows = triangle_weights(crop.shape[0], layout.size)
        columns = triangle_weights(crop.shape[1], layout.size)
        views.append(np.einsum("ij,jkc,lk->ilc", rows, crop.astype(np.float64), columns))
    return np.stack(views)


def test_the_twelve_default_views_in_closed_form():
    # Tiles of 2/5: three of them, less two overlaps of a quarter tile, are 1. On 16:9 a square
    # takes 9/16 of the width.
    starts = (0.0, 0.3, 0.6)
    expected = [(0.0, 0.0, 1.0, 1.0)]
    expected += [(x, y, x + 0.4, y + 0.4) for y in starts for x in starts]
    expected += [(3.5 / 16, 0.0, 12.5 / 16, 1.0), (7 / 16, 0.0, 1.0, 1.0)]
    layout = ViewLayout()
    assert layout.count == 12
    np.testing.assert_allclose(view_boxes(layout, 1280, 720), expected, atol=1e-6)
    assert layout.names() == [
        "whole frame",
        *(f"tile {row},{column}" for row in (1, 2, 3) for column in (1, 2, 3)),
        "centre square",
        "right square",
    ]


def test_on_a_portrait_frame_squares_slide_down():
    layout = ViewLayout(global_view=False, tiles=0, squares=("left", "centre", "right"))
    expected = [(0, 0, 1, 0.5), (0, 0.25, 1, 0.75), (0, 0.5, 1, 1)]
    np.testing.assert_allclose(view_boxes(layout, 300, 600), expected)
    turned = [(y0, x0, y1, x1) for x0, y0, x1, y1 in expected]
    np.testing.assert_allclose(view_boxes(layout, 600, 300), turned)


def test_on_a_square_frame_all_squares_are_the_frame():
    layout = ViewLayout(global_view=False, tiles=0, squares=("left", "centre", "right"))
    np.testing.assert_allclose(view_boxes(layout, 64, 64), [(0, 0, 1, 1)] * 3)


@given(LAYOUTS)
def test_tiles_cover_the_frame_exactly_and_overlap_as_told(layout):
    tiles = layout.tiles
    boxes = view_boxes(layout, 640, 360)[1 : 1 + tiles**2].reshape(tiles, tiles, 4)
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    for first, last, starts, ends in (
        (left[:, 0], right[:, -1], left, right),
        (top[0], bottom[-1], top.T, bottom.T),
    ):
        np.testing.assert_array_equal(first, 0)
        np.testing.assert_array_equal(last, 1)
        shared = (ends[:, :-1] - starts[:, 1:]) / (ends - starts)[:, :-1]
        np.testing.assert_allclose(shared, layout.overlap, atol=1e-5)


@given(LAYOUTS, st.integers(16, 90), st.integers(16, 90))
@settings(deadline=None)
def test_every_pixel_is_in_a_tile(layout, width, height):
    boxes = view_boxes(layout, width, height)[1 : 1 + layout.tiles**2]
    seen = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in np.rint(boxes * [width, height, width, height]).astype(int):
        seen[y0:y1, x0:x1] = True
    assert seen.all()


def test_own_boxes_come_last_as_they_are():
    box = (0.125, 0.25, 0.5, 1.0)
    layout = ViewLayout(tiles=2, squares=("left",), boxes=(box,))
    assert layout.count == 1 + 4 + 1 + 1
    np.testing.assert_array_equal(view_boxes(layout, 100, 50)[-1], box)
    assert layout.names()[-2:] == ["left square", "box 1"]


@pytest.mark.parametrize(
    "layout",
    [
        ViewLayout(size=32),
        ViewLayout(size=48, tiles=2, overlap=0.5, squares=("left",)),
        ViewLayout(size=40, global_view=False, tiles=0, squares=(), boxes=((0.1, 0.2, 0.33, 0.9),)),
    ],
)
@pytest.mark.parametrize(("width", "height"), [(161, 90), (70, 133)])
def test_views_equal_a_slow_reference(layout, width, height):
    pixels = street(width, height)
    views = make_views(pixels, layout)
    assert views.pixels.dtype == np.uint8
    assert tuple(views.pixels.shape) == (layout.count, 3, layout.size, layout.size)
    assert views.boxes.shape == (layout.count, 4)
    difference = np.abs(views.pixels.transpose(0, 2, 3, 1) - slow_views(pixels, layout))
    assert difference.max() < 1.6  # each of two passes rounds to whole grey levels
    assert difference.mean() < 0.5


@pytest.mark.parametrize(("width", "height"), [(160, 90), (60, 130), (97, 97), (300, 2)])
def test_a_whole_frame_that_keeps_its_aspect_is_padded(width, height):
    pixels = street(width, height)
    layout = ViewLayout(size=64, keep_aspect=True, tiles=0, squares=("left",))
    views = make_views(pixels, layout)
    squeezed = make_views(pixels, dataclasses.replace(layout, keep_aspect=False))
    # Other views stay as they are.
    np.testing.assert_array_equal(views.pixels[1], squeezed.pixels[1])
    np.testing.assert_array_equal(views.boxes[1], squeezed.boxes[1])
    x0, y0, x1, y1 = views.boxes[0].astype(np.float64)
    # The box tells where the frame lies in the view; of both sides alike, to half a pixel.
    left, right = (round(64 * (edge - x0) / (x1 - x0)) for edge in (0, 1))
    top, bottom = (round(64 * (edge - y0) / (y1 - y0)) for edge in (0, 1))
    assert max(right - left, bottom - top) == 64
    longer = max(width, height)
    assert right - left == max(1, round(64 * width / longer))
    assert bottom - top == max(1, round(64 * height / longer))
    assert abs(left - (64 - right)) <= 1
    assert abs(top - (64 - bottom)) <= 1
    inside = np.zeros((64, 64), dtype=bool)
    inside[top:bottom, left:right] = True
    assert (views.pixels[0][:, ~inside] == PADDING).all()
    rows = triangle_weights(height, bottom - top)
    columns = triangle_weights(width, right - left)
    expected = np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(np.float64), columns)
    shown = views.pixels[0, :, top:bottom, left:right].transpose(1, 2, 0)
    assert np.abs(shown - expected).max() < 1.6


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (1280, 720, (512, 896)),
        (1920, 1080, (512, 896)),
        (320, 180, (512, 896)),  # enlarged, as all views of small frames are
        (720, 1280, (896, 512)),
        (1024, 768, (512, 704)),  # 683: to the nearest step
        (768, 1024, (704, 512)),
        (700, 700, (512, 512)),
        (2560, 1080, (384, 896)),  # 378: the longer side has reached its most
        (3000, 600, (192, 896)),
        (600, 3000, (896, 192)),
        (9000, 10, (64, 896)),
    ],
)
def test_a_frame_has_its_own_shape(width, height, shape):
    layout = ViewLayout(**FRAME)
    assert layout.shape(width, height) == shape
    np.testing.assert_array_equal(view_boxes(layout, width, height), [(0, 0, 1, 1)])
    assert ViewLayout(size=96).shape(width, height) == (96, 96)


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 6),
    st.integers(1, 5000),
    st.integers(1, 5000),
)
def test_shapes_of_frames_keep_to_the_layout(step, shorter, more, width, height):
    size = 16 * step * (shorter + more)
    layout = ViewLayout(size=size, shorter=16 * step * shorter, step=16 * step, tiles=0, squares=())
    rows, columns = layout.shape(width, height)
    assert layout.shape(height, width) == (columns, rows)
    scale = min(layout.shorter / min(width, height), size / max(width, height))
    for side, whole in ((rows, height), (columns, width)):
        assert side % layout.step == 0
        assert layout.step <= side <= size
        assert side == layout.step or abs(side - scale * whole) <= layout.step / 2
    assert min(rows, columns) <= layout.shorter


@pytest.mark.parametrize(("width", "height"), [(160, 90), (90, 160), (97, 97), (400, 20)])
def test_a_frame_in_its_own_shape_is_resized_whole(width, height):
    pixels = street(width, height)
    layout = ViewLayout(size=112, shorter=64, step=16, tiles=0, squares=(), halves=True)
    views = make_views(pixels, layout)
    shape = layout.shape(width, height)
    assert views.pixels.dtype == np.uint8
    assert views.pixels.shape == (1, 3, *shape)
    np.testing.assert_array_equal(views.boxes, np.float32([[0, 0, 1, 1]]))
    assert views.pixels.transpose(0, 2, 3, 1).flags.c_contiguous
    assert views.pixels.flags.writeable
    rows, columns = (triangle_weights(*pair) for pair in zip((height, width), shape, strict=True))
    expected = np.einsum("ij,jkc,lk->ilc", rows, pixels.astype(np.float64), columns)
    assert np.abs(views.pixels[0].transpose(1, 2, 0) - expected).max() < 1.6


def test_a_frame_of_another_size_of_views_keeps_its_proportions():
    layout = ViewLayout(**FRAME, halves=True)
    assert layout.view_size == 512
    assert layout.with_view_size(512) == layout
    for size, longer, shape in ((384, 704, (384, 704)), (768, 1344, (768, 1344))):
        other = layout.with_view_size(size)
        assert other == dataclasses.replace(layout, shorter=size, size=longer)
        assert other.view_size == size
        assert other.shape(1280, 720) == shape
    squares = ViewLayout(size=96, tiles=2)
    assert squares.view_size == 96
    assert squares.with_view_size(64) == dataclasses.replace(squares, size=64)


def test_what_is_told_of_views():
    assert ViewLayout().told() == "12 views of 224 px"
    assert ViewLayout(**FRAME).told() == "the frame, its shorter side 512 px"


def test_large_photographs_are_decoded_smaller_but_never_below_a_frame_in_its_own_shape():
    layout = ViewLayout(size=112, shorter=64, step=16, tiles=0, squares=())
    assert enough_side(layout) == 64
    data = encoded(street(1000, 750), "JPEG", quality=90)
    reduced = decode_pixels(data, enough_side=enough_side(layout))
    assert 64 <= min(reduced.shape[:2]) < 375
    from_whole = make_views(decode_pixels(data), layout).pixels
    views = preprocess(data, layout).pixels
    np.testing.assert_array_equal(views, make_views(reduced, layout).pixels)
    assert np.abs(views.astype(float) - from_whole).mean() < 2


def test_memory_layout_changes_nothing():
    pixels = street(80, 60)
    layout = ViewLayout(size=32)
    views = make_views(np.asfortranarray(pixels), layout).pixels
    np.testing.assert_array_equal(views, make_views(pixels, layout).pixels)
    assert views.transpose(0, 2, 3, 1).flags.c_contiguous  # what convolutions read fastest


@pytest.mark.parametrize("box", [(0.999, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.001)])
def test_a_sliver_shows_one_row_of_pixels(box):
    pixels = street(20, 16)
    layout = ViewLayout(size=8, global_view=False, tiles=0, squares=(), boxes=(box,))
    view = make_views(pixels, layout).pixels[0].transpose(1, 2, 0)
    edge = pixels[:, -1] if box[0] else pixels[0]
    expected = np.einsum("ij,jc->ic", triangle_weights(len(edge), 8), edge.astype(float))
    got = view if box[0] else view.transpose(1, 0, 2)
    assert np.abs(got - expected[:, None]).max() < 1.1


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photographs_are_upright(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(street(53, 37), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert upright.size == ((53, 37) if orientation < 5 else (37, 53))
    expected = np.array(upright)
    np.testing.assert_array_equal(decode_pixels(data), expected)
    layout = ViewLayout(size=32)
    views = preprocess(data, layout)
    np.testing.assert_array_equal(views.pixels, make_views(expected, layout).pixels)
    np.testing.assert_array_equal(views.boxes, view_boxes(layout, *upright.size))


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_photographs_are_decoded_smaller_but_never_below_the_views(orientation):
    layout = ViewLayout(size=64)
    assert enough_side(layout) == 160  # a tile is 2/5 of the frame
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(street(1000, 750), "JPEG", quality=90, exif=exif)
    reduced = decode_pixels(data, enough_side=enough_side(layout))
    whole = decode_pixels(data)
    assert max(whole.shape) == 1000
    assert 160 <= min(reduced.shape[:2]) < 375
    from_reduced = make_views(reduced, layout).pixels
    from_whole = make_views(whole, layout).pixels
    assert np.abs(from_reduced.astype(float) - from_whole).mean() < 2
    np.testing.assert_array_equal(preprocess(data, layout).pixels, from_reduced)


def test_a_twelve_megapixel_photograph_keeps_enough_for_every_tile():
    data = encoded(np.full((3000, 4000, 3), 90, np.uint8), "JPEG")
    layout = ViewLayout()
    height, width = decode_pixels(data, enough_side=enough_side(layout)).shape[:2]
    assert enough_side(layout) == 560
    assert 560 <= height < 1500
    for x0, y0, x1, y1 in np.rint(view_boxes(layout, width, height) * ([width, height] * 2)):
        assert min(x1 - x0, y1 - y0) >= layout.size


def test_a_frame_between_once_and_twice_enough_is_decoded_whole():
    """Decoding at 7/8 would take twice as long as decoding all of it."""
    assert decode_pixels(encoded(street(250, 200), "JPEG"), enough_side=160).shape == (200, 250, 3)


def test_own_boxes_ask_for_larger_frames():
    box = (0.5, 0.5, 0.625, 1.0)
    assert enough_side(ViewLayout(size=32, tiles=0, boxes=(box,))) == 256
    assert enough_side(ViewLayout(size=32, tiles=0)) == 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"squares": ("center",)}, r"unknown square 'center'; did you mean 'centre'\?"),
        ({"overlap": 0.95}, "overlap is a share from 0 to 0.9, not 0.95"),
        ({"overlap": -0.1}, "not -0.1"),
        ({"size": 0}, "size and tiles are positive, not 0 and 3"),
        ({"tiles": -1}, "not 224 and -1"),
        ({"boxes": ((0.5, 0.0, 0.5, 1.0),)}, r"x0 < x1 .* not \(0.5, 0.0, 0.5, 1.0\)"),
        ({"boxes": ((0.0, 0.0, 1.5, 1.0),)}, "a box is"),
        ({"global_view": False, "tiles": 0, "squares": ()}, "has 1 to 1024 views, not 0"),
        *(
            ({**FRAME, **changes}, "the one view is the whole frame in its own shape")
            for changes in (
                {"tiles": 2},
                {"squares": ("left",)},
                {"boxes": ((0.0, 0.0, 0.5, 0.5),)},
                {"keep_aspect": True},
                {"global_view": False, "squares": ("left",)},
            )
        ),
        ({**FRAME, "shorter": 960}, "not shorter=960, step=64, size=896"),
        ({**FRAME, "shorter": 32}, "not shorter=32, step=64, size=896"),
        ({**FRAME, "shorter": -512}, "not shorter=-512, step=64, size=896"),
        ({"step": 32}, "step=32 is of frames in their own shape: give shorter too"),
        ({**FRAME, "step": 0}, "not shorter=512, step=0, size=896"),
        ({**FRAME, "size": 900}, "size is a multiple of step; not shorter=512, step=64, size=900"),
    ],
)
def test_layouts_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        ViewLayout(**settings)


@pytest.fixture
def sample(tmp_path):
    data = encoded(street(120, 80), "JPEG")
    (tmp_path / "a.jpg").write_bytes(data)
    return Sample("a", ImageRef("a.jpg"), content_hash=content_hash(data))


def test_a_sample_is_read_from_its_manifests_folder(sample, tmp_path):
    layout = ViewLayout(size=32)
    expected = preprocess((tmp_path / "a.jpg").read_bytes(), layout)
    views = sample_views(sample, sample_bytes(sample, tmp_path), layout)
    np.testing.assert_array_equal(views.pixels, expected.pixels)
    assert views.pixels.std() > 10


def test_bytes_that_changed_since_the_import_are_refused(sample, tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(street(120, 80, seed=1), "JPEG"))
    with pytest.raises(ImageError, match=r"a\.jpg: its bytes changed since") as caught:
        sample_views(sample, sample_bytes(sample, tmp_path), ViewLayout(size=32))
    assert caught.value.code == "changed"


def test_copy_zero_is_the_image_itself_and_others_are_not(sample, tmp_path):
    layout = ViewLayout(size=32)
    plain = sample_views(sample, sample_bytes(sample, tmp_path), layout).pixels
    copies = [
        sample_views(
            sample, sample_bytes(sample, tmp_path), layout, augmentation=Augmentation(), copy=copy
        ).pixels
        for copy in (0, 1, 2, 1)
    ]
    np.testing.assert_array_equal(copies[0], plain)
    np.testing.assert_array_equal(copies[1], copies[3])
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(copies[one].astype(float) - copies[other]).mean() > 2


def test_errors_name_the_image(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"broken\.jpg: not an image"):
        sample_views(
            Sample("b", ImageRef("broken.jpg")),
            sample_bytes(Sample("b", ImageRef("broken.jpg")), tmp_path),
            ViewLayout(),
        )
