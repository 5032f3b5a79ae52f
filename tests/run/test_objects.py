"""From masks to objects: outlines and scores against shapes that are known."""

from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy import ndimage

from workzone.engine.program import Answer
from workzone.report.answer import evidence
from workzone.run.objects import CORE_CELLS, MARKED, SURE, found_objects, object_labels
from workzone.run.outlining import coco, described, geojson
from workzone.run.overlay import Outlined
from workzone.types import OBJECT_CLASSES, FoundObject, Prediction

CONE, SIGN = 0, 2
WHOLE = (0.0, 0.0, 1.0, 1.0)
GROWN = (4 - math.log(MARKED / (1 - MARKED))) / 8 - 0.5
"""Cells by which an outline between logits of 4 and -4 lies beyond the edge between both."""


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
    edges = [(5 - GROWN) / 20, (2 - GROWN) / 10, (10 + GROWN) / 20, (6 + GROWN) / 10]
    assert found.box == pytest.approx(edges, abs=1e-6)
    assert 0 < GROWN < 0.2
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
    # 7 x 7 cells without 3 x 3, grown on either side, of 4 x 10 pixels; corners are cut off
    whole, hole = 7 + 2 * GROWN, 3 - 2 * GROWN
    assert annotation["area"] == pytest.approx((whole**2 - hole**2) * 40, rel=0.02)
    # The score is the block's own: what a hole lacks is not counted.
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-4)


def test_an_object_is_above_a_half_somewhere_and_reaches_as_far_as_it_is_marked() -> None:
    faint, sure = (math.log(p / (1 - p)) for p in (0.35, 0.6))
    masks = empty()
    masks[CONE, 2:6, 2:6] = faint
    masks[CONE, 2:6, 10:14] = faint
    masks[CONE, 3, 12] = sure
    masks[CONE, 8, 15:18] = sure  # beside it, apart
    one, other = found_objects(answer_of(masks))
    assert (one.box[0] * 20, other.box[0] * 20) == pytest.approx((15, 10), abs=0.5)
    assert (other.box[2] * 20, other.box[3] * 10) == pytest.approx((14, 6), abs=0.5)
    assert one.score == pytest.approx(0.6, abs=1e-4)
    assert other.score == pytest.approx((15 * 0.35 + 0.6) / 16, abs=1e-4)


def test_things_that_touch_where_they_are_faint_are_counted_apart() -> None:
    faint, sure = (math.log(p / (1 - p)) for p in (0.35, 0.9))
    masks = empty(10, 30)
    masks[CONE, 2:8, 2:22] = faint
    masks[CONE, 2:8, 3:6] = masks[CONE, 3:7, 16:20] = sure
    masks[CONE, 5, 11] = sure  # one cell is no core of its own beside others
    one, other = found_objects(answer_of(masks))
    assert sorted([one.box[0], other.box[0]]) == pytest.approx([2 / 30, 11 / 30], abs=1 / 30)
    assert one.rings[0][0] == one.rings[0][-1]
    labels = object_labels(1 / (1 + np.exp(-masks[CONE])))
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert (labels > 0).sum() == 6 * 20
    # Each cell is of the nearer core.
    assert len(np.unique(labels[2:8, 2:10])) == len(np.unique(labels[2:8, 13:22])) == 1


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_plain_connected_parts(seed: int) -> None:
    """Against scipy: cores, what they reach, and parts without a core that are sure somewhere."""
    logits = np.random.default_rng(seed).normal(-2, 3, (24, 30))
    probabilities = 1 / (1 + np.exp(-logits))
    marked, sure = probabilities > MARKED, probabilities > SURE
    labels = object_labels(probabilities)
    cores, count = ndimage.label(sure)
    large = [n for n in range(1, count + 1) if (cores == n).sum() >= CORE_CELLS]
    parts, _ = ndimage.label(marked)
    alone = set(np.unique(parts[sure])) - set(np.unique(parts[np.isin(cores, large)]))
    assert labels.max() == len(large) + len(alone)
    for core in large:  # each has one number, and no two have the same
        assert len(np.unique(labels[cores == core])) == 1
    assert len({int(labels[cores == core].min()) for core in large} - {0}) == len(large)
    # Marked cells of all connected parts that are sure somewhere, and no others.
    np.testing.assert_array_equal(labels > 0, np.isin(parts, np.unique(parts[sure])))
    for number in range(1, labels.max() + 1):
        assert ndimage.label(labels == number)[1] == 1
    masks = empty(24, 30)
    masks[CONE] = logits
    for one in found_objects(answer_of(masks)):
        assert MARKED < one.score < 1
        assert all(ring[0] == ring[-1] for ring in one.rings)


def test_values_that_are_no_numbers_are_no_object() -> None:
    masks = empty()
    masks[CONE, 2:6, 5:10] = np.inf
    masks[CONE, 2:6, 14:18] = np.nan
    (found,) = found_objects(answer_of(masks))
    assert found.score == 1.0
    assert found.box[2] < 0.6


def test_nothing_and_noise_are_no_object() -> None:
    masks = empty()
    assert found_objects(answer_of(masks)) == []
    masks[CONE, 5, 5] = 0.1  # barely more than half, in one cell
    assert found_objects(answer_of(masks)) == []
    masks[CONE, 2:8, 5:9] = -0.1  # marked, and nowhere sure
    assert found_objects(answer_of(masks)) == []


def test_what_a_view_has_beyond_the_frame_is_cut_off() -> None:
    masks = empty(20, 20)
    masks[CONE, 8:18, 4:8] = 4.0
    masks[CONE, 1:4, 10:14] = 4.0  # in the padding alone
    (found,) = found_objects(answer_of(masks, (0.0, -0.5, 1.0, 1.5)))  # padded above and below
    edges = [(4 - GROWN) / 20, (8 - GROWN) / 10 - 0.5, (8 + GROWN) / 20, 1.0]
    assert found.box == pytest.approx(edges, abs=1e-6)


def outlined_of(objects: list[FoundObject]) -> Outlined:
    prediction = Prediction("a", 0.9, "roadwork", 0, 1.0, WHOLE, "image", "onnx", "float32")
    return Outlined(prediction, objects, Image.new("RGB", (8, 8)), (80, 100))


def test_tables_hold_the_same_objects_in_pixels() -> None:
    masks = empty()
    masks[CONE, 2:6, 5:10] = 4.0
    image = described("street.jpg", outlined_of(found_objects(answer_of(masks))))
    assert (image["width"], image["height"]) == (80, 100)
    assert image["objects"][0]["box"] == pytest.approx([20, 20, 40, 60], abs=10 * GROWN + 0.1)
    table = coco([image])
    assert table["images"][0]["file_name"] == "street.jpg"
    (annotation,) = table["annotations"]
    assert annotation["bbox"] == pytest.approx([20, 20, 20, 40], abs=20 * GROWN + 0.1)
    assert table["categories"][annotation["category_id"] - 1]["name"] == "cone"
    assert annotation["area"] == pytest.approx((5 + 2 * GROWN) * (4 + 2 * GROWN) * 40, rel=0.05)
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
    sides = [(5, 4), (4, 3)]
    areas = [(a + 2 * GROWN) * (b + 2 * GROWN) * 40 for a, b in sides]
    assert [float(area) for area in drawn] == pytest.approx(areas, rel=0.1)


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
