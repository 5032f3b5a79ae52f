"""Each format in its published form, one picture of 20 x 12 with the same objects in all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from data.masks.made_masks import area
from workzone.data.masks import rle
from workzone.data.masks.formats.detect import detect_format, read_annotations
from workzone.data.masks.formats.label_studio import read_brush
from workzone.errors import ManifestError, UsageError

SIZE = (12, 20)
CONE = area(3, 9, 4, 8)


def objects(annotations, number=0):
    """Category, mask and knowledge of an image's shapes."""
    image = annotations.images[number]
    made = [shape.to_object("cone", image.size, SIZE) for shape in image.shapes]
    return [(item.category, rle.decode(item.counts, *SIZE), item.knowledge) for item in made]


def only(annotations, category="cone"):
    ((name, mask, knowledge),) = objects(annotations)
    assert name == category
    return mask, knowledge


def coco(folder, **annotation):
    data = {
        "info": {"description": "COCO 2017 Dataset", "year": 2017, "version": "1.0"},
        "licenses": [{"url": "", "id": 1, "name": ""}],
        "images": [{"id": 9, "file_name": "a.jpg", "width": 20, "height": 12, "license": 1}],
        "annotations": [{"id": 1, "image_id": 9, "category_id": 3, "iscrowd": 0, **annotation}],
        "categories": [{"id": 3, "name": "cone", "supercategory": "outdoor"}],
    }
    (folder / "instances.json").write_text(json.dumps(data))
    return read_annotations(folder / "instances.json")


@pytest.mark.parametrize(
    ("annotation", "knowledge"),
    [
        ({"segmentation": [[4, 3, 8, 3, 8, 9, 4, 9]], "bbox": [4, 3, 4, 6]}, "polygon"),
        ({"segmentation": {"size": [12, 20], "counts": [51, *[6, 6] * 4]}}, "polygon"),
        ({"bbox": [4, 3, 4, 6]}, "box"),
        ({"segmentation": [], "bbox": [4, 3, 4, 6]}, "box"),
    ],
)
def test_coco(tmp_path, annotation, knowledge):
    runs = annotation.get("segmentation")
    if isinstance(runs, dict):
        runs["counts"] = [51, *[6, 6] * 3, 6, 12 * 20 - 51 - 42]
    mask, known = only(coco(tmp_path, **annotation))
    np.testing.assert_array_equal(mask, CONE)
    assert known == knowledge


def test_cocos_crowds_compressed_runs_and_scores(tmp_path):
    counts = rle.encode(CONE).decode()
    found = coco(tmp_path, segmentation={"size": [12, 20], "counts": counts}, iscrowd=1, score=0.5)
    (shape,) = found.images[0].shapes
    assert shape.crowd and shape.score == 0.5
    np.testing.assert_array_equal(only(found)[0], CONE)


YOLO_BOX = "0 0.3 0.5 0.2 0.5"
YOLO_OUTLINE = "0 0.2 0.25 0.4 0.25 0.4 0.75 0.2 0.75"


def yolo(folder, text, names="names:\n  0: cone\n  1: person\n"):
    (folder / "data.yaml").write_text(f"path: .\ntrain: images/train\n{names}")
    (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "train" / "a.txt").write_text(text)
    return read_annotations(folder)


@pytest.mark.parametrize(
    ("text", "knowledge"),
    [(YOLO_BOX, "box"), (YOLO_OUTLINE, "polygon"), (f"{YOLO_BOX} 0.75\n\n", "box")],
)
def test_yolo(tmp_path, text, knowledge):
    found = yolo(tmp_path, text)
    mask, known = only(found)
    np.testing.assert_array_equal(mask, CONE)
    assert known == knowledge and found.images[0].name == "train/a"
    assert found.categories == ("cone", "person")
    assert found.images[0].shapes[0].score == (0.75 if "0.75\n" in text else None)


def test_yolo_names_in_a_list_or_a_file(tmp_path):
    assert yolo(tmp_path, "", "names: ['cone', 'drum']\n").categories == ("cone", "drum")
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("cone\nworker\n")
    found = read_annotations(tmp_path)
    assert found.categories == ("cone", "worker") and found.images[0].shapes == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7 0.3 0.5 0.2 0.5", r"a.txt line 2: class '7' is none of 0 to 1"),
        ("cone 0.3 0.5 0.2 0.5", "class 'cone' is none of 0 to 1"),
        ("0 0.3 0.5 0.2", "3 numbers after the class; a box has 4, an outline three pairs"),
        ("0 30 50 20 50", "not fractions of the frame"),
        ("0 0.3 0.5 nan 0.5", "not all its numbers are finite"),
        ("0 0.3 0.5 x 0.5", "could not convert string to float"),
        ("0 0.3 0.5 -0.2 0.5", "no negative width or height"),
        ("0 0.3 0.5 0.2 0.5 1.5", "confidence 1.5 is not within 0..1"),
        ("0 0.3 0.5 0.2 0.5 0.9 1", "a triangle, or a box with a confidence and the id 1"),
    ],
)
def test_wrong_lines_of_yolo_are_named(tmp_path, line, message):
    ((category, told),) = yolo(tmp_path, f"{YOLO_BOX}\n{line}\n").images[0].wrong
    assert category is None
    with pytest.raises(ManifestError, match=message):
        raise ManifestError(told)


@pytest.mark.parametrize(
    ("shape", "knowledge", "score"),
    [
        (YOLO_BOX, "box", None),
        (f"{YOLO_BOX} 0.75", "box", 0.75),
        (YOLO_OUTLINE, "polygon", None),
        (f"{YOLO_OUTLINE} 0.75", "polygon", 0.75),
    ],
)
def test_ids_of_yolo_tracks_are_no_corners(tmp_path, shape, knowledge, score):
    found = yolo(tmp_path, f"{shape} 1\n{shape} 12\n")  # 12 is no fraction, so that 1 is an id too
    assert found.images[0].wrong == ()
    for _, mask, known in objects(found):
        np.testing.assert_array_equal(mask, CONE)
        assert known == knowledge
    assert [one.score for one in found.images[0].shapes] == [score, score]


def test_tracks_and_other_yolo_labels_are_not_mixed(tmp_path):
    found = yolo(tmp_path, f"{YOLO_BOX} 7\n{YOLO_BOX}\n")
    ((_, told),) = found.images[0].wrong
    assert "a.txt line 2: it ends with 0.5 and not with the id of a track" in told


def cvat(folder, shape, size='width="20" height="12"'):
    text = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>t</name><labels>
    <label><name>cone</name><color>#fa3253</color><type>any</type><attributes></attributes></label>
    <label><name>sign</name></label>
  </labels></task></meta>
  <image id="0" name="street/a.jpg" {size}>{shape}</image>
</annotations>"""
    (folder / "annotations.xml").write_text(text)
    return read_annotations(folder / "annotations.xml")


CVAT_END = 'occluded="0" source="manual" z_order="0"'


@pytest.mark.parametrize(
    ("shape", "knowledge"),
    [
        (f'<box label="cone" xtl="4.0" ytl="3.0" xbr="8.0" ybr="9.0" {CVAT_END}></box>', "box"),
        (f'<polygon label="cone" points="4,3;8,3;8,9;4,9" {CVAT_END}/>', "polygon"),
        (
            f'<mask label="cone" rle="0, 4, 20" left="4" top="3" width="4" height="6" {CVAT_END}/>',
            None,
        ),
        (
            f'<mask label="cone" rle="7, 4, 2, 4, 2, 4, 2, 4, 2, 4, 2, 4, 1" left="3" top="2" '
            f'width="6" height="7" {CVAT_END}/>',
            "polygon",
        ),
        ('<box label="cone" xtl="3" ytl="4" xbr="9" ybr="8" rotation="90.0"/>', "box"),
    ],
)
def test_cvat(tmp_path, shape, knowledge):
    found = cvat(tmp_path, shape)
    assert found.categories == ("cone", "sign") and found.images[0].name == "street/a.jpg"
    mask, known = only(found)
    if knowledge is None:  # a row of it alone
        np.testing.assert_array_equal(mask, area(3, 4, 4, 8))
        return
    np.testing.assert_array_equal(mask, CONE)
    assert known == knowledge


def test_ellipses_of_cvat(tmp_path):
    mask, _ = only(cvat(tmp_path, '<ellipse label="cone" cx="10" cy="6" rx="8" ry="4"/>'))
    y, x = np.mgrid[:12, :20] + 0.5
    distance = ((x - 10) / 8) ** 2 + ((y - 6) / 4) ** 2
    assert mask[distance < 0.75].all() and not mask[distance > 1.3].any()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<box label="cone" xtl="4" ytl="3" xbr="8"/>', "image 0: <box>: no 'ybr'"),
        ('<box xtl="4" ytl="3" xbr="8" ybr="9"/>', "<box>: no 'label'"),
        ('<polygon label="cone" points="4;8,3;8,9"/>', "points are not x,y"),
        ('<polygon label="cone" points="4,inf;8,3;8,9"/>', "inf is no finite number"),
        ('<mask label="cone" rle="0, 4" left="4" top="3" width="4" height="6"/>', "its box has 24"),
        ('<mask label="cone" rle="0, 9" left="18" top="3" width="3" height="3"/>', "beyond the"),
    ],
)
def test_wrong_shapes_of_cvat_are_named(tmp_path, shape, message):
    ((_, told),) = cvat(tmp_path, shape).images[0].wrong
    assert message in told


def task(*results, **more):
    annotation = {"id": 1, "was_cancelled": False, "ground_truth": False, "result": list(results)}
    return {
        "id": 5,
        "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"},
        "annotations": [annotation],
        "predictions": [],
        **more,
    }


def result(kind, value):
    return {
        "id": "x1",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        "original_width": 20,
        "original_height": 12,
        "image_rotation": 0,
        "value": {"rotation": 0, kind: ["cone"], **value},
    }


def label_studio(folder, *tasks):
    (folder / "project.json").write_text(json.dumps(tasks))
    return read_annotations(folder / "project.json")


BOX = {"x": 20, "y": 25, "width": 20, "height": 50}
# `label_studio_sdk.converter.brush.encode_rle` of version 2.1.2 made it of a mask of 9 x 6 pixels.
BRUSH = [0, 0, 0, 216, 57, 27, 254, 43, 0, 194, 127, 247, 192, 48, 159, 253, 240, 12, 39]
BRUSH += [255, 138, 192, 35, 255, 195, 224, 0]


@pytest.mark.parametrize(
    ("kind", "value", "knowledge"),
    [
        ("rectanglelabels", BOX, "box"),
        ("polygonlabels", {"points": [[20, 25], [40, 25], [40, 75], [20, 75]]}, "polygon"),
    ],
)
def test_label_studio(tmp_path, kind, value, knowledge):
    found = label_studio(tmp_path, task(result(kind, value)))
    mask, known = only(found)
    np.testing.assert_array_equal(mask, CONE)
    assert (known, found.images[0].name, found.categories) == (knowledge, "a.jpg", None)


def test_brushes_of_label_studio():
    mask = read_brush(BRUSH, (6, 9))
    expected = area(1, 4, 2, 7, width=9, height=6) | area(5, 6, 0, 1, width=9, height=6)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (BRUSH[:-8], "ends too early"),
        (BRUSH[:3], "ends too early"),
        ([0, 0, 0, 217, *BRUSH[4:]], r"of 54.25 pixels, an image of 9 x 6 has 54"),
        ([*BRUSH[:6], 256], "is no list of bytes"),
        ("x", "is no list of bytes"),
    ],
)
def test_damaged_brushes(stream, message):
    with pytest.raises(ValueError, match=message):
        read_brush(stream, (6, 9))


def test_tasks_of_label_studio(tmp_path):
    local = {"image": "/data/local-files/?d=street/b%20c.jpg"}
    other = {"result": [result("rectanglelabels", BOX)] * 2, "ground_truth": True}
    tasks = [
        task(annotations=[]),
        task(annotations=[{"result": [], "was_cancelled": True}]),
        task(data=local, annotations=[other, {"result": [], "was_cancelled": False}]),
        task(result("choices", {"choices": ["day"]}), result("ellipselabels", {"x": 50, "y": 50})),
    ]
    found = label_studio(tmp_path, *tasks)
    assert [image.name for image in found.images] == ["street/b c.jpg", "a.jpg"]
    assert len(found.images[0].shapes) == 2
    ((_, told),) = found.images[1].wrong
    assert "task 5: ellipselabels: no 'radiusX'" in told
    assert "2 tasks have no annotation" in found.warnings[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"image_rotation": 90}, "its image was turned in Label Studio"),
        ({"original_width": float("inf")}, "infinity"),
    ],
)
def test_shapes_of_label_studio_that_cannot_be_placed(tmp_path, more, message):
    found = label_studio(tmp_path, task({**result("rectanglelabels", BOX), **more}))
    ((_, told),) = found.images[0].wrong
    assert message in told and not found.images[0].shapes


@pytest.mark.parametrize("box", [None, 3, [1, 2], ["a", 1, 2, 3]])
def test_what_an_export_of_ours_tells_may_be_damaged(tmp_path, box):
    own = {"knowledge": "polygon", "box": box}
    (shape,) = coco(tmp_path, bbox=[4, 3, 4, 6], workzone=own).images[0].shapes
    assert shape.box == (4, 3, 8, 9)


def test_ellipses_of_label_studio(tmp_path):
    value = {"x": 50, "y": 50, "radiusX": 40, "radiusY": 100 / 3}
    mask, _ = only(label_studio(tmp_path, task(result("ellipselabels", value))))
    assert abs(mask.sum() - np.pi * 8 * 4) < 12 and mask[6, 2:18].all()


def ids(folder, pixels, kind="instanceIds", names=None):
    (folder / "labels.json").write_text(json.dumps(names or {"cone": 34, "sign": 20}))
    file = folder / "aachen" / f"aachen_000000_000019_gtFine_{kind}.png"
    file.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(file)
    return read_annotations(folder)


def test_images_of_ids(tmp_path):
    pixels = np.full(SIZE, 7, np.uint16)
    pixels[CONE] = 34_000
    pixels[0, :5] = 34_001
    pixels[11, :2] = 34  # a group
    pixels[10, 10] = 24_000  # a person, who is in no table
    found = ids(tmp_path, pixels)
    image = found.images[0]
    assert (image.name, image.size) == ("aachen/aachen_000000_000019", SIZE)
    assert [(s.category, s.crowd) for s in image.shapes] == [
        *(("cone", True), ("cone", False), ("cone", False))
    ]
    np.testing.assert_array_equal(objects(found)[1][1], CONE)
    ids(tmp_path, np.full(SIZE, 20, np.uint8), "labelIds")  # instances win
    assert len(read_annotations(tmp_path).images[0].shapes) == 3
    (tmp_path / "aachen" / "aachen_000000_000019_gtFine_instanceIds.png").unlink()
    assert [s.category for s in read_annotations(tmp_path).images[0].shapes] == ["sign"]


def test_images_of_bits(tmp_path):
    pixels = CONE.astype(np.uint8) + 4 * area(0, 12, 6, 7)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    found = read_annotations(tmp_path)
    assert [name for name, *_ in objects(found)] == ["cone", "sign"]
    np.testing.assert_array_equal(objects(found)[1][1], area(0, 12, 6, 7))


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.write_bytes if isinstance(content, bytes) else path.write_text)(content)
    return path


TRUNCATED = '<?xml version="1.0"?><annotations><image id="0" name="a.jpg" width="2'
VIDEO = '<annotations><track id="0" label="cone"></track></annotations>'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", TRUNCATED, r"a\.xml is no whole XML: .*; export it again"),
        ("a.xml", "<svg/>", r"a\.xml is no export of CVAT: its root is <svg>"),
        ("a.xml", VIDEO, "export it as CVAT for images 1.1"),
        ("a.xml", "<annotations/>", r"a\.xml has no images"),
        ("a.xml", "<!DOCTYPE a><annotations/>", "defines entities"),
        ("a.xml", "", r"a\.xml is empty; fetch or export it again"),
        ("a.json", '[{"id": 1, "dat', r"a\.json is not readable JSON"),
        ("a.json", '[{"image": "a.jpg", "label": []}]', "export it as JSON, not as JSON-MIN"),
        ("a.json", "[3]", "it is no list of tasks"),
        ("a.json", '[{"data": {}, "annotations": []}]', "not one of its 1 tasks has an annotation"),
        ("a.json", '{"images": [', r"a\.json is not readable JSON"),
        ("a.json", "{}", "has no list 'images'; it is not a COCO file"),
        ("set/data.yaml", "names: [", "is no YAML"),
        ("set/data.yaml", "train: x", r"data\.yaml has no names of classes; add `names"),
        ("set/data.yaml", "names: [cone]", r"holds no label files"),
        ("set/classes.txt", b"\xff\xfe", r"classes\.txt is no text in UTF-8"),
        ("set/a_labelIds.png", b"x", r"no .*labels\.json, which tells the classes of ids"),
        ("set/a.png", b"\x89PNG", r"a\.png is not a readable mask image"),
    ],
)
def test_wrong_and_truncated_files_name_themselves(tmp_path, name, content, message):
    write(tmp_path / name, content)
    path = tmp_path / name.split("/")[0]
    with pytest.raises(ManifestError, match=message):
        read_annotations(path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"cone": "34"}, "is no object of names and numbers"),
        ({"cone": 34, "drum": 34}, "gives one number to two names"),
        ({"cone": 0}, "is no object of names and numbers"),
    ],
)
def test_wrong_tables_of_ids(tmp_path, names, message):
    with pytest.raises(ManifestError, match=message):
        ids(tmp_path, np.zeros(SIZE, np.uint8), names=names)


def test_images_of_ids_are_of_one_channel_and_whole(tmp_path):
    with pytest.raises(ManifestError, match=r"instanceIds\.png is no image of ids: .* RGB"):
        ids(tmp_path, np.zeros((*SIZE, 3), np.uint8))
    file = next(tmp_path.rglob("*Ids.png"))
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ManifestError, match=r"instanceIds\.png is not a readable image"):
        read_annotations(tmp_path)


def test_formats_are_told_apart(tmp_path):
    with pytest.raises(UsageError, match=r"nothing at .*gone"):
        detect_format(tmp_path / "gone")
    with pytest.raises(UsageError, match="of no format that is known"):
        detect_format(write(tmp_path / "a.csv", "x"))
    with pytest.raises(UsageError, match="format 'coc' is unknown; did you mean 'coco'"):
        read_annotations(tmp_path, "coc")
    with pytest.raises(ManifestError, match=r"has no data\.yaml and no classes\.txt"):
        read_annotations(tmp_path, "yolo")
    with pytest.raises(ManifestError, match=r"no annotations at .*gone"):
        read_annotations(tmp_path / "gone.xml", "cvat")
    with pytest.raises(ManifestError, match=r"holds no .*instanceIds"):
        write(tmp_path / "labels.json", "{}")
        read_annotations(tmp_path, "cityscapes")
    with pytest.raises(ManifestError, match=r"is no folder of"):
        read_annotations(tmp_path / "a.csv", "cityscapes")
    with pytest.raises(ManifestError, match=r"holds no \.png files"):
        read_annotations(tmp_path, "bits")
