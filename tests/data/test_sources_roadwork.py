"""The ROADWork reader on a set of six images."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from workzone.data.masks import load_masks
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
        6: 0,  # a category that nobody knows
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
    masks = load_masks(records[1].values["masks"], tmp_path, 24, 32)
    assert masks[0, 2:9, 2:9].all()
    assert masks.sum() == 49
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
    assert any("1 annotations have no polygon" in warning for warning in source.warnings)
    assert [record.problem and record.problem[0] for record in source.records()] == [
        *(None, "missing")
    ]
