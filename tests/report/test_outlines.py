"""Outlines stand out, and nothing that is written covers the frame."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from workzone.report.outlines import COLOURS, draw_outlines, legend_strip, outlined_thumbnail
from workzone.types import OBJECT_CLASSES, FoundObject


def square(name: str, x: float, y: float = 0.4, side: float = 0.1) -> FoundObject:
    ring = ((x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y))
    return FoundObject(name, 0.9, (x, y, x + side, y + side), (ring,))


ALL = [square(name, 0.05 + 0.15 * place) for place, name in enumerate(OBJECT_CLASSES)]


def frame(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 120, np.uint8)


def test_each_class_is_outlined_in_its_colour_and_its_inside_stays_as_it_is() -> None:
    picture = np.asarray(draw_outlines(frame(800, 400), ALL, probability=0.9))
    for one in ALL:
        x0, y0, x1, y1 = (
            round(edge * side) for edge, side in zip(one.box, (800, 400) * 2, strict=True)
        )
        assert tuple(picture[y0, (x0 + x1) // 2]) == COLOURS[one.name]
        assert (picture[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4] == 120).all()


def test_thumbnails_are_outlined_in_the_same_way() -> None:
    small = outlined_thumbnail(frame(1280, 640), ALL)
    with Image.open(io.BytesIO(small)) as image:
        assert image.size == (640, 320)
        picture = np.asarray(image).astype(int)
    for one in ALL:
        x0, y0, x1, y1 = (
            round(edge * side) for edge, side in zip(one.box, (640, 320) * 2, strict=True)
        )
        edge = picture[y0 - 2 : y0 + 3, x0 + 8 : x1 - 8]
        assert np.abs(edge - 120).max() > 60  # the outline's colours, as far as a JPEG keeps them
        assert np.abs(picture[y0 + 8 : y1 - 8, x0 + 8 : x1 - 8] - 120).max() < 30


def test_the_legend_lies_below_the_frame() -> None:
    bare = np.asarray(draw_outlines(frame(800, 400), [], probability=0.2))
    picture = np.asarray(draw_outlines(frame(800, 400), ALL, probability=0.2))
    assert picture.shape[0] > 400
    assert (bare[:400] == 120).all()
    for colour in COLOURS.values():
        assert (picture[400:] == colour).all(axis=2).any()


@pytest.mark.parametrize("width", [120, 200, 300, 360, 449, 640, 1600])
def test_blocks_of_the_legend_do_not_run_into_each_other(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block is pasted where no other one is, and within the strip."""
    pasted: list[tuple[int, int, int, int]] = []
    paste = Image.Image.paste

    def watched(
        canvas: Image.Image, block: object, place: object = None, mask: object = None
    ) -> None:
        if canvas.width == width and isinstance(block, Image.Image):
            x, y = place  # type: ignore[misc]
            pasted.append((x, y, x + block.width, y + block.height))
        paste(canvas, block, place, mask)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "paste", watched)
    strip = legend_strip(width, ALL * 30, 0.93, text_size=13)
    assert len(pasted) == 8
    for x0, y0, x1, y1 in pasted:
        assert 0 <= x0 < x1 <= strip.width
        assert 0 <= y0 < y1 <= strip.height
    for one, other in itertools.combinations(pasted, 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_colours_are_told_apart_without_red_or_green() -> None:
    """Okabe & Ito's, seen with no long-wave cones (Viénot et al. 1999) and with all."""
    to_lms = np.array(
        [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
    )
    blind = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    seen_as = np.linalg.inv(to_lms) @ blind @ to_lms
    colours = np.array(list(COLOURS.values())) / 255
    for seen in (colours, colours @ seen_as.T):
        for one, other in itertools.combinations(seen, 2):
            assert np.abs(one - other).max() > 0.1


def test_outlines_of_small_objects_do_not_hide_them() -> None:
    small = square("cone", 0.5, 0.5, 10 / 1600)  # 10 pixels wide
    picture = np.asarray(draw_outlines(frame(1600, 1600), [small], probability=0.9))
    inside = picture[803:807, 803:807]
    assert (inside == 120).all()
    wide = square("cone", 0.5, 0.5, 100 / 1600)
    picture = np.asarray(draw_outlines(frame(1600, 1600), [wide], probability=0.9))
    assert (picture[798:803, 850] == COLOURS["cone"]).all()  # five pixels thick
