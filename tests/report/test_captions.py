"""Labels lie beside what they mark, and captions never run into each other."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workzone.report.captions import caption_strip, outline_boxes, written
from workzone.report.overlay import draw_overlay

SIZES = [(100, 75), (224, 224), (450, 300), (4000, 3000), (300, 700), (1200, 150), (40, 400)]
GREY = 128


def overlay(size: tuple[int, int], box: list[float], label: str = "strongest cell") -> np.ndarray:
    frame = np.full((size[1], size[0], 3), GREY, dtype=np.uint8)
    known = {"boxes": [box], "view_weights": [1.0], "probability": 0.93, "labels": [label]}
    return np.asarray(draw_overlay(frame, np.zeros((4, 4)), **known)).astype(int)


def drawn_at(size: tuple[int, int]) -> tuple[int, int, int]:
    """Width and height of the frame as it is drawn, and how far it is from the left."""
    factor = min(max(*size, 360), 1600) / max(size)
    width, height = (max(1, round(side * factor)) for side in size)
    return width, height, (max(width, 360) - width) // 2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "box",
    [
        [0.4, 0.4, 0.6, 0.6],
        [0.0, 0.0, 0.1, 0.1],
        [0.9, 0.0, 1.0, 0.1],
        [0.0, 0.9, 0.1, 1.0],
        [0.9, 0.9, 1.0, 1.0],
        [0.0, 0.0, 1.0, 1.0],
        [0.0, 0.4, 1.0, 0.6],
    ],
)
def test_nothing_is_written_on_what_a_box_marks(size: tuple[int, int], box: list[float]) -> None:
    pixels = overlay(size, box)
    width, height, left = drawn_at(size)
    x0, y0, x1, y1 = (np.array(box) * (width, height, width, height)).round().astype(int)
    edge = 9  # the outline lies on the box only where the frame ends
    inside = pixels[y0 + edge : y1 - edge, left + x0 + edge : left + x1 - edge]
    assert (inside == GREY).all()
    if box[0] > 0:
        assert (pixels[(y0 + y1) // 2, left + x0] == GREY).all()


def test_the_label_is_beside_its_box_and_in_the_strip_if_there_is_no_room() -> None:
    def label_of(box: list[float]) -> np.ndarray:
        plain, labelled = overlay((500, 400), box, ""), overlay((500, 400), box)
        return (plain[:400] != labelled[:400]).any(axis=2)

    beside = np.argwhere(label_of([0.4, 0.4, 0.6, 0.6]))
    assert len(beside)
    assert beside[:, 0].max() < 160  # above the box
    corner = np.argwhere(label_of([0.8, 0.0, 1.0, 0.2]))
    assert corner[:, 0].min() >= 80  # below it
    assert not label_of([0.0, 0.0, 1.0, 1.0]).any()
    picture = Image.new("RGB", (500, 400))
    boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.6, 0.6]])
    assert outline_boxes(picture, boxes, ["whole", "part"], text_size=15) == ["whole"]


def test_labels_of_one_place_do_not_cover_each_other() -> None:
    def written(boxes: list[list[float]]) -> np.ndarray:
        picture = Image.new("RGB", (500, 400), (GREY,) * 3)
        outline_boxes(picture, np.array(boxes), ["30%"] * len(boxes), text_size=15)
        return np.asarray(picture).astype(int)

    box = [0.4, 0.4, 0.6, 0.6]
    one, two = written([box]), written([box, box])
    first = (one[:150] != GREY).any(axis=2)
    assert (one[:150][first] == two[:150][first]).all()
    assert (one != two).any()


def ramp(evidence: np.ndarray) -> np.ndarray:
    return np.repeat(evidence[..., None], 3, axis=-1)


@pytest.mark.parametrize("width", [360, 400, 450, 640, 1600])
@pytest.mark.parametrize("probability", [0.04, 0.93])
@pytest.mark.parametrize("text_size", [13, 24, 36])
@pytest.mark.parametrize("notes", [[], ["whole frame 34%"], ["whole frame 34%", "30%", "12%"]])
def test_blocks_of_the_strip_keep_apart(
    width: int, probability: float, text_size: int, notes: list[str]
) -> None:
    strip = caption_strip(width, probability, notes, text_size=text_size, ramp=ramp)
    assert strip.width == width
    assert strip.height < 12 * text_size
    margin = round(text_size * 0.8)
    ink = np.asarray(strip).astype(int)[:, margin // 3 + 2 :]
    ink = np.abs(ink - (20, 22, 26)).sum(axis=2) > 60
    assert not ink[:, -2:].any()  # nothing runs out of the strip
    lines = np.flatnonzero(np.diff(ink.any(axis=1).astype(int)) == 1)
    if width == 1600 and text_size == 13:
        assert len(lines) == 1
    assert 1 <= len(lines) <= 3


def test_long_texts_go_on_in_further_lines_and_stay_legible() -> None:
    text = "4 cones, 1 barrier, 2 signs, 1 worker, 1 vehicle, 1 piece of equipment, ahead"
    whole = written(text, 13, (240, 240, 240), 2000)
    assert whole.height == 17
    block = written(text, 13, (240, 240, 240), 180)
    ink = np.abs(np.asarray(block).astype(int) - (20, 22, 26)).sum(axis=2) > 60
    lines = np.flatnonzero(np.diff(ink.any(axis=1).astype(int)) == 1)
    assert len(lines) >= 3
    assert block.width <= 180
    assert not ink[:, -1:].any()  # no letter is cut
    letters = np.diff(np.flatnonzero(np.diff(ink.any(axis=1).astype(int))))
    assert letters.max() >= 9  # pixels from the top of a letter to the bottom of another


def test_a_word_that_is_too_long_is_made_smaller() -> None:
    block = written("equipment", 36, (240, 240, 240), 60)
    assert block.width <= 60
    assert block.height < 36
