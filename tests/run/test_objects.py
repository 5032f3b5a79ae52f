"""From masks to objects: outlines and scores against shapes that are known."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from workzone.engine.program import Answer
from workzone.report.answer import evidence
from workzone.run.objects import found_objects
from workzone.run.outlining import coco, described, geojson
from workzone.run.overlay import Outlined
from workzone.types import OBJECT_CLASSES, FoundObject, Prediction

CONE, SIGN = 0, 2
WHOLE = (0.0, 0.0, 1.0, 1.0)


def answer_of(masks: npt.NDArray[np.float32], view: tuple[float, ...] = WHOLE) -> Answer:
    boxes, read = np.array([view], np.float32), np.zeros(1, np.int64)
    shares = np.ones(1, np.float32)
    return Answer(
        0.9, 0.9, boxes, shares, read, shares, shares, False, masks=masks, masks_box=boxes[0]
    )


def empty(rows: int = 10, columns: int = 20) -> npt.NDArray[np.float32]:
    return np.full((len(OBJECT_CLASSES), rows, columns), -4.0, np.float32)


def test_a_block_of_cells_is_one_object_with_its_box_and_score() -> None:
    masks = empty()
    masks[CONE, 2:6, 5:10] = 4.0
    (found,) = found_objects(answer_of(masks))
    assert found.name == "cone"
    # logits of 4 and -4: the outline runs halfway between cells, on the block's own edges
    assert found.box == pytest.approx((5 / 20, 2 / 10, 10 / 20, 6 / 10), abs=1e-6)
    assert found.score == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-4)
    assert len(found.rings) == 1
    assert found.rings[0][0] == found.rings[0][-1]


def test_parts_that_do_not_touch_are_objects_of_their_own_the_surest_first() -> None:
    masks = empty()
    masks[CONE, 1:3, 1:3], masks[CONE, 6:9, 12:15], masks[SIGN, 0:2, 18:20] = 2.0, 5.0, 3.0
    found = found_objects(answer_of(masks))
    assert [one.name for one in found] == ["cone", "cone", "sign"]
    assert found[0].box[0] > 0.5 > found[1].box[0]
    assert found[2].box[1] == 0.0  # closed at the edge of the frame
    assert found[2].box[2] == 1.0


def test_a_hole_is_a_ring_of_its_own_and_counts_off() -> None:
    masks = empty()
    masks[CONE, 1:8, 1:8] = 4.0
    masks[CONE, 3:6, 3:6] = -4.0
    found = found_objects(answer_of(masks))
    assert [len(one.rings) for one in found] == [2]
    (image,) = [described("a", outlined_of(found))]
    (annotation,) = coco([image])["annotations"]
    # 7 x 7 cells without 3 x 3, a corner of each cut off by an eighth of a cell, of 4 x 10 pixels
    assert annotation["area"] == pytest.approx((49 - 9) * 40, rel=0.01)


def test_nothing_and_noise_are_no_object() -> None:
    masks = empty()
    assert found_objects(answer_of(masks)) == []
    masks[CONE, 5, 5] = 0.1  # barely more than half, in one cell
    assert found_objects(answer_of(masks)) == []


def test_what_a_view_has_beyond_the_frame_is_cut_off() -> None:
    masks = empty(20, 20)
    masks[CONE, 8:18, 4:8] = 4.0
    masks[CONE, 1:4, 10:14] = 4.0  # in the padding alone
    (found,) = found_objects(answer_of(masks, (0.0, -0.5, 1.0, 1.5)))  # padded above and below
    assert found.box == pytest.approx((0.2, 0.3, 0.4, 1.0), abs=1e-6)


def outlined_of(objects: list[FoundObject]) -> Outlined:
    prediction = Prediction("a", 0.9, "roadwork", 0, 1.0, WHOLE, "image", "onnx", "float32")
    return Outlined(prediction, objects, Image.new("RGB", (8, 8)), (80, 100))


def test_tables_hold_the_same_objects_in_pixels() -> None:
    masks = empty()
    masks[CONE, 2:6, 5:10] = 4.0
    image = described("street.jpg", outlined_of(found_objects(answer_of(masks))))
    assert (image["width"], image["height"]) == (80, 100)
    assert image["objects"][0]["box"] == [20.0, 20.0, 40.0, 60.0]
    table = coco([image])
    assert table["images"][0]["file_name"] == "street.jpg"
    (annotation,) = table["annotations"]
    assert annotation["bbox"] == [20.0, 20.0, 20.0, 40.0]
    assert table["categories"][annotation["category_id"] - 1]["name"] == "cone"
    assert annotation["area"] == pytest.approx(800, rel=0.05)
    assert len(annotation["segmentation"][0]) % 2 == 0
    (feature,) = geojson([image])["features"]
    assert feature["geometry"]["coordinates"] == image["objects"][0]["polygon"]
    assert feature["properties"]["image"] == "street.jpg"
    json.dumps([table, geojson([image])], allow_nan=False)


def test_pycocotools_reads_the_table(tmp_path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco")
    masks = empty()
    masks[CONE, 2:6, 5:10], masks[SIGN, 1:4, 14:18] = 4.0, 4.0
    image = described("a.jpg", outlined_of(found_objects(answer_of(masks))))
    (tmp_path / "coco.json").write_text(json.dumps(coco([image])))
    read = coco_api.COCO(str(tmp_path / "coco.json"))
    drawn = [read.annToMask(annotation).sum() for annotation in read.loadAnns(read.getAnnIds())]
    assert drawn == pytest.approx([800, 480], rel=0.1)


def found(name: str, x: float) -> FoundObject:
    return FoundObject(name, 0.9, (x, 0.5, x + 0.05, 0.6), ())


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([], ""),
        ([found("cone", 0.8)] * 4 + [found("sign", 0.75)], "4 cones, 1 sign, on the right"),
        ([found("worker", 0.1), found("worker", 0.2)], "2 workers, on the left"),
        ([found("equipment", 0.5)], "1 piece of equipment, ahead"),
        ([found("cone", 0.1), found("barrier", 0.9)], "1 cone, 1 barrier, on several sides"),
    ],
)
def test_a_decision_names_its_evidence(objects: list[FoundObject], said: str) -> None:
    assert evidence(objects) == said
