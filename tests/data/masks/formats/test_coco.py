"""Annotations in COCO's form as many tools write them."""

from __future__ import annotations

import json
import math
import re

import pytest

from workzone.data.masks.formats.coco import as_id, read_coco
from workzone.errors import ManifestError

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]


def write(path, annotations, *, images=None, categories=None, encoding="utf-8"):
    data = {
        "images": images or [{"id": 1, "file_name": "a.jpg", "width": 96, "height": 64}],
        "annotations": annotations,
        "categories": categories or [{"id": 7, "name": "Cone"}],
    }
    path.write_text(json.dumps(data), encoding=encoding)
    return path


def annotation(segmentation=(SQUARE,), **more):
    segmentation = list(segmentation) if isinstance(segmentation, tuple) else segmentation
    return {"image_id": 1, "category_id": 7, "segmentation": segmentation, **more}


def test_zeros_in_front_count_only_where_they_tell_ids_apart(tmp_path):
    images = [{"id": i, "file_name": f"{n}.jpg"} for n, i in enumerate(["000001", "02", 2, "000"])]
    given = [annotation(image_id=i) for i in (1, 2, "02", "002", 0, "a01")]
    coco = read_coco(write(tmp_path / "c.json", given, images=images))
    assert [len(image.objects) for image in coco.images] == [1, 1, 1, 1]
    assert [orphan.image_id for orphan in coco.orphans] == ["002", "a01"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((7, "7"), (7.0, "7"), ("7", "7"), (" 7 ", "7"), ("7.0", "7"), (0, "0"), ("a/7", "a/7")),
        *(("007", "007"), (7.5, "7.5"), (None, None), (True, None), ("", None), ([7], None)),
        *((math.nan, None), (math.inf, None), ({"id": 7}, None)),
    ],
)
def test_ids_are_the_same_as_numbers_and_as_text(value, expected):
    assert as_id(value) == expected


@pytest.mark.parametrize("image_id", [1, "1", 1.0, "1.0", "000001", "01.0"])
@pytest.mark.parametrize("category_id", [7, "7", 7.0, "007"])
def test_annotations_find_their_image_and_category(tmp_path, image_id, category_id):
    given = annotation(image_id=image_id, category_id=category_id)
    coco = read_coco(write(tmp_path / "c.json", [given]))
    (found,) = coco.images[0].objects
    assert (found.category, found.complete, coco.warnings) == ("Cone", True, ())


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,  # not in a list
        [[[10, 10], [30, 10], [30, 30], [10, 30]]],
        [[10, 10], [30, 10], [30, 30], [10, 30]],
        [["10", "10", "30", "10", "30", "30", "10", "30"]],
        [SQUARE, [5, 5, 6, 6]],  # two corners have no area
    ],
)
def test_corners_flat_and_in_pairs(tmp_path, segmentation):
    coco = read_coco(write(tmp_path / "c.json", [annotation(segmentation)]))
    (found,) = coco.images[0].objects
    assert found.complete and len(found.polygons) == 1
    assert found.polygons[0].tolist() == [[10, 10], [30, 10], [30, 30], [10, 30]]


@pytest.mark.parametrize(
    ("segmentation", "warning"),
    [
        ([[None, 1, 2, 3, 4, 5]], "polygons that cannot be read"),
        ([["10", "10", "30", "10", "30", "x"]], "polygons that cannot be read"),
        ([[math.nan, 1, 2, 3, 4, 5]], "polygons that cannot be read"),
        ([[10**400, 1, 2, 3, 4, 5]], "polygons that cannot be read"),
        ([[1, 2, 3, 4, 5, 6, 7]], "polygons that cannot be read"),
        ([[True, 2, 3, 4, 5, 6]], "polygons that cannot be read"),
        ([SQUARE, "x"], "polygons that cannot be read"),
        ([[10, 10, 900, 10, 900, 30]], "polygons that cannot be read"),  # of a larger picture
        ([[-50, 10, 30, 10, 30, 30]], "polygons that cannot be read"),
        ([[0.1, 0.1, 0.3, 0.1, 0.3, 0.3]], "polygons that cannot be read"),  # in fractions
        ([], "no polygon"),
        (None, "no polygon"),
        ([[5, 5, 6, 6]], "no polygon"),
        ({"counts": "x", "size": [64, 96]}, "run lengths that cannot be read"),
        ({"counts": [6143], "size": [64, 96]}, "run lengths that cannot be read"),
        ({"counts": [96], "size": [8, 12]}, "run lengths that cannot be read"),
        ({"size": [64, 96]}, "run lengths that cannot be read"),
        ("text", "no polygon"),
    ],
)
def test_what_cannot_be_read_is_counted_and_makes_the_object_incomplete(
    tmp_path, segmentation, warning
):
    coco = read_coco(write(tmp_path / "c.json", [annotation(), annotation(segmentation)]))
    good, bad = coco.images[0].objects
    assert good.complete and not bad.complete and bad.category == "Cone"
    (told,) = coco.warnings
    assert f"1 annotation has {warning}" in told and "gives no masks: annotation 1" in told


def test_what_fits_nothing_is_counted_with_examples(tmp_path):
    lost = [annotation(image_id=n) for n in (5, "x", 6, 8)]
    unnamed = [
        annotation(image_id=None),
        {"category_id": 7},
        "no object",
        None,
        annotation(image_id=[1]),
    ]
    odd = [annotation(category_id=99), {"image_id": 1, "segmentation": [SQUARE]}]
    categories = [{"id": 7, "name": "Cone"}, {"id": 8}, {"name": "Drum"}, "x", {"id": 9, "name": 3}]
    coco = read_coco(write(tmp_path / "c.json", lost + unnamed + odd, categories=categories))
    assert [item.category for item in coco.images[0].objects] == [None, None]
    told = " | ".join(coco.warnings)
    assert re.search(
        r"4 annotations fit no image of the file and are passed over: annotation 0 "
        r"\(image_id '5'\), annotation 1 \(image_id 'x'\), annotation 2 \(image_id '6'\)",
        told,
    )
    assert "5 annotations have no image_id and are passed over: annotation 4" in told
    assert "2 annotations have no category that the file lists: annotation 9 (category" in told
    assert "4 categories have no id or no name: category 1, category 2, category 3" in told
    assert (len(coco.orphans), coco.annotations) == (9, 11)
    assert {orphan.category for orphan in coco.orphans} == {"Cone", None}


def test_an_id_of_several_images_is_told(tmp_path):
    images = [
        {"id": i, "file_name": f"{n}.jpg"} for i, n in ((1, "a"), ("1", "b"), (2, "c"), (2, "c"))
    ]
    coco = read_coco(write(tmp_path / "c.json", [annotation()], images=images))
    assert [image.ambiguous for image in coco.images] == [True, True, False, False]
    assert list(coco.by_id) == ["2"]
    assert (
        "2 images have an id that others have too: id '1' of 'a.jpg' and 'b.jpg'"
        in coco.warnings[0]
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        *(((64, 96), (64, 96)), (("64", "96"), (64, 96)), ((64.0, 96.0), (64, 96))),
        *(((None, 96), None), ((0, 96), None), ((-64, 96), None), (("x", 96), None)),
        *(((math.nan, 96), None), ((64.5, 96), None), ((10**400, 96), None)),
    ],
)
def test_sizes(tmp_path, size, expected):
    images = [{"id": 1, "file_name": "a.jpg", "height": size[0], "width": size[1]}, "a name", None]
    coco = read_coco(write(tmp_path / "c.json", [annotation()], images=images))
    assert [image.size for image in coco.images] == [expected, None, None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(tmp_path, encoding):
    coco = read_coco(write(tmp_path / "c.json", [annotation()], encoding=encoding))
    assert coco.images[0].objects[0].category == "Cone"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; fetch or export it again"),
        (b" \n", "is empty"),
        (b'{"images": [', "is not readable JSON: .*; fetch or unpack it again"),
        (b"\xff\xd8\xff\xe0", "is not readable JSON"),
        (b'{"id": 1}\n{"id": 2}\n', r"holds an object a line \(JSON Lines\); a COCO file is one"),
        (b"[]", "has no list 'images'; it is not a COCO file"),
        (b'{"images": [], "annotations": {}, "categories": []}', "has no list 'annotations'"),
        (b'{"images": [], "annotations": [], "categories": null}', "has no list 'categories'"),
    ],
)
def test_other_files_are_refused_in_one_sentence(tmp_path, content, message):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(ManifestError, match=rf"c\.json {message}"):
        read_coco(tmp_path / "c.json")


def test_a_changed_file_is_read_anew(tmp_path):
    path = write(tmp_path / "c.json", [annotation()])
    assert len(read_coco(path).images[0].objects) == 1
    write(path, [annotation(), annotation()])
    assert len(read_coco(path).images[0].objects) == 2
