"""Masks against rasters made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from workzone.data.masks.categories import class_of_category, is_known_category
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.load import load_masks
from workzone.errors import ManifestError
from workzone.types import OBJECT_CLASSES


@settings(max_examples=20)
@given(masks=arrays(bool, st.tuples(st.just(6), st.integers(1, 9), st.integers(1, 9))))
def test_bit_images_come_back(tmp_path_factory, masks):
    root = tmp_path_factory.mktemp("masks")
    write_bit_image(masks, root / "m.png")
    loaded = load_masks("m.png", root, *masks.shape[1:]).covered
    np.testing.assert_array_equal(loaded, masks)
    assert loaded.dtype == bool


def test_bit_k_is_class_k(tmp_path):
    Image.fromarray(np.array([[0b000001, 0b100010]], np.uint8)).save(tmp_path / "m.png")
    masks = load_masks("m.png", tmp_path, 1, 2).covered
    assert masks[OBJECT_CLASSES.index("cone"), 0].tolist() == [True, False]
    assert masks[OBJECT_CLASSES.index("barrier"), 0].tolist() == [False, True]
    assert masks[OBJECT_CLASSES.index("equipment"), 0].tolist() == [False, True]
    assert masks.sum() == 3


def test_bit_images_are_scaled_by_the_nearest_pixel(tmp_path):
    masks = np.zeros((6, 2, 2), bool)
    masks[3, 0, 1] = True
    write_bit_image(masks, tmp_path / "m.png")
    np.testing.assert_array_equal(
        load_masks("m.png", tmp_path, 4, 6).covered, masks.repeat(2, axis=1).repeat(3, axis=2)
    )


def test_write_masks_wants_six_channels(tmp_path):
    with pytest.raises(ValueError, match=r"\[6, H, W\], got \[5, 2, 2\]"):
        write_bit_image(np.zeros((5, 2, 2), bool), tmp_path / "m.png")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Image.new("L", (2, 2), 255), "is no mask: it has the value 255, but .* sum"),
        (Image.new("RGB", (2, 2)), "is no mask: it is of mode RGB, but .* sum"),
    ],
)
def test_pictures_are_not_masks(tmp_path, image, message):
    image.save(tmp_path / "m.png")
    with pytest.raises(ManifestError, match=message):
        load_masks("m.png", tmp_path, 2, 2)


def test_mask_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ManifestError, match=r"no mask file at .*gone.png"):
        load_masks("gone.png", tmp_path, 2, 2)
    (tmp_path / "text.png").write_text("x")
    with pytest.raises(ManifestError, match=r"text.png is not a readable mask image"):
        load_masks("text.png", tmp_path, 2, 2)


CATEGORIES = [
    {"id": 3, "name": "Cone"},
    {"id": 8, "name": "Work Vehicle"},
    {"id": 12, "name": "Bike Lane"},
    {"id": 20, "name": "Temporary Traffic Control Sign: left arrow"},
]


def box(x0, y0, x1, y1):
    """The outline of the pixels x0..x1, y0..y1, both ends included."""
    return [x0, y0, x1 + 1, y0, x1 + 1, y1 + 1, x0, y1 + 1]


def write_coco(path, annotations, width=20, height=10):
    images = [{"id": 7, "file_name": "a.jpg", "width": width, "height": height}]
    data = {"images": images, "categories": CATEGORIES, "annotations": annotations}
    path.write_text(json.dumps(data))


def annotation(category, *polygons, image=7):
    return {"image_id": image, "category_id": category, "segmentation": list(polygons)}


def test_polygons_are_filled_into_their_class(tmp_path):
    annotations = [
        annotation(3, box(2, 1, 5, 4), box(10, 1, 11, 2)),
        annotation(8, box(4, 3, 9, 8)),
        annotation(20, box(0, 0, 0, 9)),
        annotation(12, box(0, 0, 19, 9)),  # no object of a work zone
        annotation(3, box(15, 5, 18, 8), image=8),  # another image
        {"image_id": 7, "category_id": 3, "segmentation": {"counts": [199, 1], "size": [10, 20]}},
    ]
    write_coco(tmp_path / "c.json", annotations)
    expected = np.zeros((6, 10, 20), bool)
    expected[0, 1:5, 2:6] = True
    expected[0, 1:3, 10:12] = True
    expected[4, 3:9, 4:10] = True
    expected[2, :, 0] = True
    expected[0, 9, 19] = True
    np.testing.assert_array_equal(load_masks("c.json#7", tmp_path, 10, 20).covered, expected)


def test_polygons_are_scaled(tmp_path):
    write_coco(tmp_path / "c.json", [annotation(3, box(20, 8, 63, 27))], width=80, height=32)
    small = load_masks("c.json#7", tmp_path, 8, 20).covered[0]
    expected = np.zeros((8, 20), bool)
    expected[2:7, 5:16] = True
    np.testing.assert_array_equal(small, expected)


def test_an_object_below_a_pixel_still_leaves_one(tmp_path):
    write_coco(tmp_path / "c.json", [annotation(3, box(40, 16, 41, 17))], width=80, height=32)
    assert load_masks("c.json#7", tmp_path, 4, 10).covered[0].sum() >= 1


def test_annotations_that_do_not_fit(tmp_path):
    write_coco(tmp_path / "c.json", [])
    assert load_masks("c.json#7", tmp_path, 4, 4).covered.sum() == 0
    with pytest.raises(ManifestError, match=r"c.json has no image with id '9'"):
        load_masks("c.json#9", tmp_path, 4, 4)
    with pytest.raises(ManifestError, match=r"no annotations at .*gone.json"):
        load_masks("gone.json#9", tmp_path, 4, 4)
    for text in ("{}", "[]", "{"):
        (tmp_path / f"bad{len(text)}{text[0] == '['}.json").write_text(text)
        with pytest.raises(ManifestError, match=r"is not a COCO file|is not readable JSON"):
            load_masks(f"bad{len(text)}{text[0] == '['}.json#9", tmp_path, 4, 4)


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("Drum", "cone"),
        ("Fence", "barrier"),
        ("Arrow Board", "sign"),
        ("Police Officer", "worker"),
        ("Work Equipment", "equipment"),
        ("Bike Lane", None),
        ("Unicorn", None),
    ],
)
def test_categories(category, expected):
    assert class_of_category(category) == expected
    assert is_known_category(category) == (category != "Unicorn")
