"""Masks of photographs that EXIF turns, and of other pictures: from the import to the frame."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from workzone.data.images import decode, read_bytes
from workzone.data.importing import import_source
from workzone.data.joining import moved
from workzone.data.manifest import read_manifest
from workzone.data.mask_fit import fit_masks
from workzone.data.masks.fit import Frame
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.load import load_masks, mask_size
from workzone.data.masks.references import stated_orientation
from workzone.data.sources.values import FieldError

BOX = (8, 4, 40, 20)  # left, top, right, bottom, in stored pixels


def photograph(path, orientation, *, width=96, height=64):
    """A grey picture with an orange box near a corner, as the sensor saw it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (width, height), (90, 90, 90))
    image.paste((250, 90, 10), BOX)
    exif = image.getexif()
    if orientation != 1:
        exif[0x0112] = orientation
    image.save(path, quality=95, exif=exif)


def import_annotated(folder, orientation, size, *, outline=BOX, width=96, height=64):
    """Import one photograph whose annotations tell ``size``, width and height."""
    photograph(folder / "set" / "images" / "a.jpg", orientation, width=width, height=height)
    left, top, right, bottom = outline
    cone = [left, top, right - 1, top, right - 1, bottom - 1, left, bottom - 1]
    image = {"id": 1, "file_name": "a.jpg"}
    if size is not None:
        image |= {"width": size[0], "height": size[1]}
    data = {
        "images": [image],
        "annotations": [{"image_id": 1, "category_id": 3, "segmentation": [cone]}],
        "categories": [{"id": 3, "name": "Cone"}],
    }
    file = folder / "set" / "annotations" / "instances_train_gps_split.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(data))
    return import_source(str(folder / "set"), folder / "m.parquet")


def overlap(manifest):
    """How well the masks of the first sample cover the orange pixels of its upright frame."""
    sample = manifest.samples[0]
    frame = decode(read_bytes(sample.image, manifest.root)).numpy()
    assert mask_size(sample.masks, manifest.root) == frame.shape[1:]
    mask = load_masks(sample.masks, manifest.root, *frame.shape[1:]).covered[0]
    orange = (frame[0] > 180) & (frame[2] < 80)
    return (mask & orange).sum() / (mask | orange).sum()


def codes(summary):
    with summary.quarantine.open(newline="") as handle:
        return [row["code"] for row in csv.DictReader(handle)]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_polygons_of_stored_pixels_turn_with_the_photograph(tmp_path, orientation):
    summary = import_annotated(tmp_path, orientation, (96, 64))
    manifest = read_manifest(summary.manifest)
    assert stated_orientation(manifest.samples[0].masks) == orientation
    assert overlap(manifest) > 0.9
    assert "the masks of 1 image are of the pixels as stored" in summary.warnings[-1]
    (tmp_path / "far").mkdir()
    assert overlap(moved(manifest, tmp_path / "far")) > 0.9


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_bit_images_of_stored_pixels_turn_too(tmp_path, suffix, orientation):
    photograph(tmp_path / f"a.{suffix}", orientation)
    masks = np.zeros((6, 64, 96), bool)
    masks[0, BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    write_bit_image(masks, tmp_path / "masks.png")
    (tmp_path / "t.csv").write_text(f"image,label,masks\na.{suffix},1,masks.png\n")
    import_source(str(tmp_path / "t.csv"), tmp_path / "m" / "m.parquet")
    assert overlap(read_manifest(tmp_path / "m" / "m.parquet")) > 0.9


def test_polygons_of_the_upright_picture_stay(tmp_path):
    # orientation 6: stored (x, y) is shown at (63 - y, x)
    left, top, right, bottom = BOX
    summary = import_annotated(tmp_path, 6, (64, 96), outline=(64 - bottom, left, 64 - top, right))
    manifest = read_manifest(summary.manifest)
    assert stated_orientation(manifest.samples[0].masks) is None
    assert overlap(manifest) > 0.9


@pytest.mark.parametrize("scale", [0.5, 2])
def test_annotations_of_a_scaled_copy(tmp_path, scale):
    outline = [side * scale for side in BOX]
    summary = import_annotated(tmp_path, 6, (96 * scale, 64 * scale), outline=outline)
    manifest = read_manifest(summary.manifest)
    sample = manifest.samples[0]
    assert stated_orientation(sample.masks) == 6
    assert load_masks(sample.masks, manifest.root, 96, 64).covered[0, BOX[0] + 2, 63 - BOX[1] - 2]


@pytest.mark.parametrize(
    ("orientation", "size", "shape", "code"),
    [
        *((o, (96, 64), (96, 64), "masks-orientation") for o in (2, 3, 4)),  # one size both ways
        *((o, (64, 64), (64, 64), "masks-orientation") for o in (5, 6, 8)),
        (6, None, (96, 64), "masks-size"),
        (1, None, (96, 64), "masks-size"),
        (1, (64, 96), (96, 64), "masks-size"),  # another picture
        (6, (200, 64), (96, 64), "masks-size"),
        (3, (64, 96), (96, 64), "masks-size"),
    ],
)
def test_what_cannot_be_told_is_cleared_and_listed(tmp_path, orientation, size, shape, code):
    width, height = shape
    summary = import_annotated(tmp_path, orientation, size, width=width, height=height)
    (sample,) = read_manifest(summary.manifest)
    assert (sample.masks, sample.label, codes(summary)) == (None, 1, [code])


def test_an_orientation_that_is_stated_is_believed(tmp_path):
    photograph(tmp_path / "a.jpg", 3)
    masks = np.zeros((6, 64, 96), bool)
    masks[0, BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    write_bit_image(masks, tmp_path / "a.png")
    for stated, good in ((3, True), (1, False)):
        (tmp_path / "t.csv").write_text(f"image,label,masks\na.jpg,1,a.png#orientation={stated}\n")
        summary = import_source(str(tmp_path / "t.csv"), tmp_path / "m" / "m.parquet")
        assert codes(summary) == []
        assert (overlap(read_manifest(summary.manifest)) > 0.9) == good


def test_nearly_square_pictures_are_told_apart_to_the_pixel(tmp_path):
    masks = np.zeros((6, 100, 101), bool)
    write_bit_image(masks, tmp_path / "a.png")
    assert fit_masks("a.png", tmp_path, Frame(101, 100, 6)) == "a.png#orientation=6"
    assert fit_masks("a.png", tmp_path, Frame(100, 101, 6)) == "a.png"
    with pytest.raises(FieldError, match="nothing tells whether its masks are of the turned one"):
        fit_masks("a.png", tmp_path, Frame(200, 202, 6))
    assert fit_masks("a.png", tmp_path, Frame(1000, 1010)) == "a.png"


def test_masks_of_0_and_255_are_no_bit_images(tmp_path):
    photograph(tmp_path / "a.jpg", 1)
    mask = Image.new("L", (96, 64))
    mask.paste(255, (8, 4, 9, 5))
    mask.save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("image,label,masks\na.jpg,1,a.png\n")
    summary = import_source(str(tmp_path / "t.csv"), tmp_path / "m.parquet")
    assert [s.masks for s in read_manifest(summary.manifest)] == [None]
    assert codes(summary) == ["masks-unreadable"]
    assert (
        "it has the value 255, but each 8-bit pixel must be the sum of its classes (1 cone, "
        in (summary.entries[0].reason)
    )


def test_masks_that_cannot_be_used_are_listed_at_import(tmp_path):
    for name in "abc":
        photograph(tmp_path / f"{name}.jpg", 1)
    write_bit_image(np.zeros((6, 64, 96), bool), tmp_path / "a.png")
    Image.new("RGB", (96, 64)).save(tmp_path / "c.png")
    rows = "a.jpg,1,a.png\nb.jpg,1,gone.png\nc.jpg,1,c.png\n"
    (tmp_path / "t.csv").write_text(f"image,label,masks\n{rows}")
    summary = import_source(str(tmp_path / "t.csv"), tmp_path / "m.parquet")
    assert [s.masks for s in read_manifest(summary.manifest)] == ["a.png", None, None]
    assert codes(summary) == ["masks-unreadable", "masks-unreadable"]
    assert "no mask file at" in summary.entries[0].reason
