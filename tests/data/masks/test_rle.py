"""Run lengths beside pycocotools' own and beside rasters made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as api

from workzone.data.masks import rle

MASKS = arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def runs_of(mask):
    """Slowly: down the columns, zeros first."""
    runs, last = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != last:
            runs.append(0)
            last = pixel
        runs[-1] += 1
    return runs


@settings(max_examples=40, deadline=None)
@given(mask=MASKS)
def test_masks_come_back(mask):
    counts = rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(counts, *mask.shape), mask)
    assert rle.read_runs(counts) == runs_of(mask)
    assert rle.from_runs(runs_of(mask), *mask.shape) == counts
    assert rle.area(counts) == mask.sum()


def test_long_runs_come_back():
    mask = np.zeros((3000, 4000), bool)
    mask[2000:, 1:3999] = True
    counts = rle.encode(mask)
    assert rle.read_runs(counts) == runs_of(mask[:, :])
    assert rle.area(counts) == mask.sum()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (b"", "are of 0 pixels, an image of 4 x 3 has 12"),
        (b"ab", "end too early"),
        (b"!!", "damaged"),
        (b"=", "are of 13 pixels"),
        (b"o", "end too early"),
        (b"O", "damaged"),  # -1
        (b"oooooooooooooooooooo", "damaged"),
    ],
)
def test_other_texts_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        rle.check(counts, 3, 4)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"are of 12 pixels, an image of 5 x 3 has 15"):
        rle.decode(rle.encode(np.zeros((3, 4), bool)), 3, 5)
    with pytest.raises(ValueError, match="are of 12 pixels"):
        rle.from_runs([4, 8], 3, 5)
    with pytest.raises(ValueError, match="damaged"):
        rle.from_runs([14, -2], 3, 4)
    with pytest.raises(ValueError, match="whole numbers"):
        rle.from_runs([4.5, 7.5], 3, 4)
    with pytest.raises(ValueError, match=r"\[h, w\] with pixels, got \[0, 3\]"):
        rle.encode(np.zeros((0, 3), bool))


def test_polygons_are_cocos():
    corners = np.array([[2.0, 1], [7, 1], [7, 5], [2, 5]])
    counts = rle.from_polygons([corners, corners + 8], 20, 30)
    mask = rle.decode(counts, 20, 30)
    expected = np.zeros((20, 30), bool)
    expected[1:5, 2:7] = expected[9:13, 10:15] = True
    np.testing.assert_array_equal(mask, expected)
    given = [corners.ravel().tolist(), (corners + 8).ravel().tolist()]
    theirs = api.decode(api.merge(api.frPyObjects(given, 20, 30)))
    np.testing.assert_array_equal(mask, theirs.astype(bool))


@pytest.mark.parametrize("polygons", [[], [np.zeros((2, 2))], [np.full((3, 2), 1e9)]])
def test_what_is_no_polygon_is_refused(polygons):
    with pytest.raises(ValueError, match="polygon"):
        rle.from_polygons(polygons, 10, 10)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((2, 1, 5, 3), slice(1, 3), slice(2, 5)),
        ((1.6, 0.4, 5.4, 3.2), slice(0, 3), slice(2, 5)),
        ((-5, -5, 100, 2), slice(0, 2), slice(0, 8)),
        ((3.1, 2.1, 3.2, 2.2), slice(2, 3), slice(3, 4)),  # within a pixel
        ((7.9, 5.9, 9, 9), slice(5, 6), slice(7, 8)),
        ((8, 0, 9, 9), slice(0, 0), slice(0, 0)),  # outside
    ],
)
def test_boxes_are_filled(box, rows, columns):
    expected = np.zeros((6, 8), bool)
    expected[rows, columns] = True
    np.testing.assert_array_equal(rle.decode(rle.from_box(box, 6, 8), 6, 8), expected)


def test_what_is_no_box_is_refused():
    with pytest.raises(ValueError, match="a box is left, top, right, bottom"):
        rle.from_box((5, 1, 2, 3), 6, 8)


def test_several_masks_at_once():
    first, second = np.zeros((2, 5, 6), bool)
    first[1:4, 1:4] = second[2:5, 3:6] = True
    both = [rle.encode(first), rle.encode(second)]
    np.testing.assert_array_equal(rle.union(both, 5, 6), first | second)
    common = rle.joined(both, 5, 6, common=True)
    np.testing.assert_array_equal(rle.decode(common, 5, 6), first & second)
    assert rle.bounds(common, 5, 6) == (3, 2, 4, 4)
    assert not rle.union([], 5, 6).any()
    assert rle.bounds(rle.encode(np.zeros((5, 6), bool)), 5, 6) == (0, 0, 0, 0)


def test_boxes_of_masks_with_runs_of_no_pixel():
    empty = rle.from_runs([5, 0, 4], 3, 3)
    assert rle.bounds(empty, 3, 3) == (0, 0, 0, 0)
    random = np.random.default_rng(0)
    for _ in range(50):
        runs = [int(run) for run in random.integers(0, 4, 9)]
        runs.append(max(0, 30 - sum(runs)))
        if sum(runs) != 30:
            continue
        counts = rle.from_runs(runs, 5, 6)
        rows, columns = np.nonzero(rle.decode(counts, 5, 6))
        if len(rows):
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert rle.bounds(counts, 5, 6) == box
