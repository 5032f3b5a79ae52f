"""The ROADWork reader on a set of six images."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from workzone.data.importing import import_source
from workzone.data.manifest import read_manifest
from workzone.data.masks.load import load_masks
from workzone.data.sources.roadwork import open_roadwork
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef

DRIVE = "cfcd208495d565ef66e7dff9f98764da"
CATEGORIES = [
    {"id": 1, "name": "Police Officer"},
    {"id": 3, "name": "Cone"},
    {"id": 12, "name": "Bike Lane"},
    {"id": 99, "name": "Unicorn"},
]


def image(number, *, travel=None, text="", **more):
    return {
        "id": number,
        "file_name": f"pittsburgh_000001_{DRIVE}_{number:05}.jpg",
        "width": 32,
        "height": 24,
        "license": 1,
        "gps": [40.4 + number / 100, -79.9],
        "city_name": "pittsburgh",
        "date_captured": "2023-04-05 06:07:08",
        "video_info": {"vid_id": DRIVE, "seq_id": f"{number:06}", "frame_id": f"{number:05}.jpg"},
        "scene_level_tags": {
            "travel_alteration": travel,
            "weather": ["Sunny"],
            "daytime": "Light",
            "scene_environment": "Urban",
        },
        "scene_description": text,
        **more,
    }


def make(folder, part, images, annotations, split="gps_split"):
    data = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    file = folder / "scene" / "annotations" / f"instances_{part}_{split}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data))
    (folder / "scene" / "images").mkdir(exist_ok=True)
    for item in images:
        Image.new("RGB", (32, 24)).save(folder / "scene" / "images" / item["file_name"])
    return file


def annotation(image_id, category):
    polygon = [2, 2, 8, 2, 8, 8, 2, 8]
    return {"image_id": image_id, "category_id": category, "segmentation": [polygon]}


@pytest.fixture
def source(tmp_path):
    train = [
        image(1, travel=["None"]),
        image(2, travel=["None"]),
        image(3, travel=["Partially Blocked", "Lane Shift"]),
        image(4, travel=["None"], text="A work zone."),
        image(5),
    ]
    make(tmp_path, "train", train, [annotation(1, 3), annotation(2, 1), annotation(2, 12)])
    make(tmp_path, "val", [image(6, travel=["None"])], [annotation(6, 99)])
    return open_roadwork(tmp_path, None)


def by_number(source):
    return {int(record.extra["image_id"]): record for record in source.records()}


def test_labels(source):
    labels = {number: record.values["label"] for number, record in by_number(source).items()}
    assert labels == {
        1: 1,  # a cone
        2: 0,  # police and a bike lane are no work zone
        3: 1,  # travel is altered
        4: 1,  # described
        5: None,  # nothing is said
        6: None,  # a category that nobody knows may be road work
    }


def test_lists_in_text_label_like_lists(tmp_path):
    images = [image(1, travel="['None']"), image(2, travel="['Lane Shift']"), image(3, travel="[]")]
    make(tmp_path, "train", images, [])
    records = by_number(open_roadwork(tmp_path, None))
    assert [records[number].values["label"] for number in (1, 2, 3)] == [0, 1, None]


def test_fields(source, tmp_path):
    record = by_number(source)[3]
    assert record.image == ImageRef(
        str(tmp_path / f"scene/images/pittsburgh_000001_{DRIVE}_00003.jpg")
    )
    assert record.values == {
        "id": f"pittsburgh_000001_{DRIVE}_00003",
        "label": 1,
        "group": DRIVE,
        "gps": [40.43, -79.9],
        "time": "2023-04-05 06:07:08",
        "weather": ["Sunny"],
        "daytime": "Light",
        "scene": "Urban",
        "text": "",
        "split": "train",
    }
    assert record.extra["scene_level_tags.travel_alteration"] == "Partially Blocked, Lane Shift"
    assert record.extra["city_name"] == "pittsburgh"
    assert by_number(source)[6].values["split"] == "val"
    assert by_number(source)[2].extra["objects"] == "1 Bike Lane, 1 Police Officer"
    assert source.source_columns["weather"] == "scene_level_tags.weather"
    assert source.source_columns["id"] == "file_name"
    assert source.total == 6


def test_mask_references_lead_to_masks(source, tmp_path):
    records = by_number(source)
    masks = load_masks(records[1].values["masks"], tmp_path, 24, 32).covered
    assert masks[0, 2:8, 2:8].all()
    assert masks.sum() == 36
    assert "masks" not in records[6].values


def test_an_unknown_category_is_told_once_a_file(source):
    assert [w.split(": ")[1] for w in source.warnings] == [
        "category 'Unicorn' is unknown and gives no masks"
    ] * 2


def test_the_published_splits_are_separate(tmp_path, source):
    make(tmp_path, "train", [image(8)], [], split="pittsburgh_only")
    only = open_roadwork(tmp_path, "pittsburgh_only")
    assert list(by_number(only)) == [8]
    assert "instances_val_pittsburgh_only.json is not there" in only.warnings[0]


def test_mistakes(tmp_path):
    with pytest.raises(UsageError, match="split 'gps' is unknown; did you mean 'gps_split'"):
        open_roadwork(tmp_path, "gps")
    with pytest.raises(UsageError, match=r"holds no instances_train_gps_split.json"):
        open_roadwork(tmp_path, None)
    file = make(tmp_path, "train", [image(1)], [])
    file.write_text("{}")
    with pytest.raises(ManifestError, match="has no list 'images'; it is not a COCO file"):
        open_roadwork(tmp_path, None)
    file.write_text("{")
    with pytest.raises(ManifestError, match="is not readable JSON"):
        open_roadwork(tmp_path, None)


def test_annotations_without_polygons_and_images_without_name(tmp_path):
    runs = {"image_id": 1, "category_id": 3, "segmentation": {"counts": [1], "size": [1, 1]}}
    make(tmp_path, "train", [image(1)], [runs])
    file = tmp_path / "scene/annotations/instances_train_gps_split.json"
    data = json.loads(file.read_text())
    data["images"].append({"id": 2})
    file.write_text(json.dumps(data))
    source = open_roadwork(tmp_path, None)
    assert any(
        "1 annotation has run lengths that cannot be read and gives no masks" in warning
        for warning in source.warnings
    )
    assert [record.problem and record.problem[0] for record in source.records()] == [
        *(None, "missing")
    ]


def test_ids_as_text_keep_labels_and_masks(tmp_path):
    cone = annotation("1", "3") | {"segmentation": [[[2, 2], [8, 2], [8, 8], [2, 8]]]}
    make(tmp_path, "train", [image(1, travel=["None"]), image(2, travel=["None"])], [cone])
    one, two = open_roadwork(tmp_path, None).records()
    assert (one.values["label"], two.values["label"]) == (1, 0)
    assert load_masks(one.values["masks"], tmp_path, 24, 32).covered[0, 2:8, 2:8].all()


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"category_id": None}, "an annotation has no category that the file lists"),
        ({"category_id": 50}, "an annotation has no category that the file lists"),
        ({"category_id": 99}, "the category 'Unicorn' of an annotation is unknown"),
        ({"image_id": "x"}, "too many annotations that may show road work fit no image"),
    ],
)
def test_what_may_be_road_work_is_no_label_0(tmp_path, change, doubt):
    make(tmp_path, "train", [image(1, travel=["None"])], [annotation(1, 3) | change])
    (record,) = open_roadwork(tmp_path, None).records()
    assert record.values["label"] is None
    ((code, reason),) = record.cleared
    assert code == "label-uncertain" and doubt in reason


@pytest.mark.parametrize(
    ("orphans", "label"),
    [
        ([], 0),
        ([("x", 3)], 0),
        ([("x", 3), ("y", 99)], None),  # of two images more, among sixty
        ([("x", 3), ("x", 3), ("x", 3)], None),  # of one image, but many of the annotations
        ([("x", 1), ("y", 12), ("z", 1)], 0),  # police, a bike lane
    ],
)
def test_few_annotations_without_their_image_cost_no_label_0(tmp_path, orphans, label):
    images = [image(n, travel=["None"]) for n in range(1, 61)]
    annotations = [annotation(1, 3)] * 150 + [annotation(*orphan) for orphan in orphans]
    make(tmp_path, "train", images, annotations)
    source = open_roadwork(tmp_path, None)
    assert [record.values["label"] for record in source.records()] == [1] + [label] * 59
    told = [w for w in source.warnings if "that may show road work" in w]
    assert len(told) == (any(category in (3, 99) for _, category in orphans))


def test_an_id_of_two_images_gives_neither_a_label(tmp_path):
    twins = [image(1, travel=["None"]), image(2, travel=["None"]) | {"id": "1"}]
    make(tmp_path, "train", [*twins, image(3, travel=["Lane Shift"])], [annotation(1, 3)])
    summary = import_source(str(tmp_path / "scene"), tmp_path / "m.parquet")
    assert [(s.label, s.masks) for s in read_manifest(summary.manifest)] == [
        *((None, None), (None, None), (1, None))
    ]
    assert any("2 images have an id that others have too" in w for w in summary.warnings)


@pytest.mark.parametrize(
    "segmentation",
    [[[None, 1, 2, 3, 4, 5]], {"counts": [1], "size": [24, 32]}, None, [[2, 2, 900, 2, 900, 9]]],
)
def test_road_work_without_an_outline_keeps_its_label_and_loses_its_masks(tmp_path, segmentation):
    cones = [annotation(1, 3), annotation(1, 3) | {"segmentation": segmentation}]
    make(tmp_path, "train", [image(1, travel=["None"])], cones)
    summary = import_source(str(tmp_path / "scene"), tmp_path / "m.parquet")
    (sample,) = read_manifest(summary.manifest)
    assert (sample.label, sample.masks) == (1, None)
    (entry,) = summary.entries
    assert entry.code == "masks-incomplete" and "Cone has no outline or box" in entry.reason


def test_categories_are_known_in_any_case(tmp_path):
    file = make(tmp_path, "train", [image(1, travel=["None"])], [annotation(1, 3)])
    file.write_text(file.read_text().replace('"Cone"', '"tubular_marker"'))
    (record,) = open_roadwork(tmp_path, None).records()
    assert record.values["label"] == 1


def test_frames_of_several_clips_with_one_name_are_all_kept(tmp_path):
    names = ["boston/clip1/0001.jpg", "boston\\clip2\\0001.jpg", "boston/clip2/0002.jpg", "x/a.jpg"]
    images = [image(n) | {"file_name": name} for n, name in enumerate([*names, "x/a.png"])]
    file = make(tmp_path, "train", [], [])
    file.write_text(json.dumps({"images": images, "annotations": [], "categories": CATEGORIES}))
    for item in images:
        path = tmp_path / "scene/images" / item["file_name"].replace("\\", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 24), (item["id"], 0, 0)).save(path)
    summary = import_source(str(tmp_path / "scene"), tmp_path / "m.parquet")
    assert [sample.id for sample in read_manifest(summary.manifest)] == [
        *("boston/clip1/0001", "boston/clip2/0001", "0002", "x/a.jpg", "x/a.png")
    ]


def test_images_that_are_no_objects_are_left_out(tmp_path):
    file = make(tmp_path, "train", [image(1, travel=["None"])], [])
    data = json.loads(file.read_text())
    data["images"] += ["b.jpg", None, {"id": None, "file_name": "c.jpg"}, {"id": 5}]
    file.write_text(json.dumps(data))
    problems = [record.problem for record in open_roadwork(tmp_path, None).records()]
    assert problems == [None, *[("missing", "no id or file_name")] * 4]
    file.write_text(json.dumps(data | {"images": ["a.jpg", "b.jpg"]}))
    with pytest.raises(ManifestError, match="not one entry of images has a file_name"):
        open_roadwork(tmp_path, None)
