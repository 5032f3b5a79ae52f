"""The objects of a frame, outlined in the colours of their classes, with a legend that counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from workzone.report.answer import NO_OBJECT, evidence
from workzone.report.captions import (
    DARK,
    LIGHT,
    Colour,
    decision_block,
    decision_colour,
    stacked,
    written,
)
from workzone.report.overlay import fitted, shrunk, small_jpeg
from workzone.types import OBJECT_CLASSES, FoundObject

COLOURS: dict[str, Colour] = {
    "cone": (230, 159, 0),  # orange
    "barrier": (213, 94, 0),  # vermilion
    "sign": (240, 228, 66),  # yellow
    "worker": (86, 180, 233),  # sky blue
    "vehicle": (0, 158, 115),  # bluish green
    "equipment": (204, 121, 167),  # reddish purple
}
"""Of Okabe & Ito (2008): told apart with any colour vision."""
_LINES_ALONG, _LINES_ACROSS = 320, 8
"""How many widths of an outline the picture is long, and an object across at least, where that
makes a pixel or more."""


def draw_outlines(
    frame: npt.NDArray[np.uint8], objects: Sequence[FoundObject], *, probability: float
) -> Image.Image:
    """Outline objects; what they are is said below the frame, where it covers none of them.

    Args:
        frame: ``[H, W, 3]``, upright RGB.
        objects: in it.
        probability: of road work, 0..1.

    Returns:
        RGB: the frame, its longer side between 360 and 1,600 pixels, over a strip with the decision
        and the legend.
    """
    picture = fitted(frame)
    _outline(picture, objects)
    text_size = min(36, max(13, round(max(picture.size) / 40)))
    strip = legend_strip(picture.width, objects, probability, text_size=text_size)
    canvas = Image.new("RGB", (picture.width, picture.height + strip.height), DARK)
    canvas.paste(picture, (0, 0))
    canvas.paste(strip, (0, picture.height))
    return canvas


def outlined_thumbnail(
    frame: npt.NDArray[np.uint8], objects: Sequence[FoundObject], *, longest: int = 640
) -> bytes:
    """The frame ``[H, W, 3]`` with its objects outlined in the same way, as a small JPEG."""
    picture = shrunk(frame, longest)
    _outline(picture, objects)
    return small_jpeg(picture)


def _outline(picture: Image.Image, objects: Sequence[FoundObject]) -> None:
    """Lines in the colours of classes, thin around small objects, which they are not to hide."""
    draw = ImageDraw.Draw(picture)
    widest = max(1, round(max(picture.size) / _LINES_ALONG))
    for dark in (2, 0):  # beneath, and so much wider, so that all stand out
        for one in objects:
            x0, y0, x1, y1 = one.box
            shorter = min((x1 - x0) * picture.width, (y1 - y0) * picture.height)
            line = max(1, min(widest, round(shorter / _LINES_ACROSS)))
            for ring in one.rings:
                corners = [(x * picture.width, y * picture.height) for x, y in ring]
                colour = DARK if dark else COLOURS[one.name]
                draw.line(corners, fill=colour, width=line + dark, joint="curve")


def legend_strip(
    width: int, objects: Sequence[FoundObject], probability: float, *, text_size: int
) -> Image.Image:
    """The decision with its evidence in words, and each class that was found, with its number."""
    counts = Counter(one.name for one in objects)
    room = width - 2 * round(text_size * 0.8)
    blocks = [decision_block(probability, text_size, room)]
    said = evidence(objects) or NO_OBJECT
    blocks.append(written(said, text_size, LIGHT, room))
    for name in OBJECT_CLASSES:
        if counts[name]:
            text = written(f"{name} {counts[name]}", text_size, COLOURS[name], room - text_size)
            block = Image.new("RGB", (text.width + text_size, text.height), DARK)
            side = round(text_size * 0.6)
            top = (text.height - side) // 2
            ImageDraw.Draw(block).rectangle((0, top, side, top + side), fill=COLOURS[name])
            block.paste(text, (text_size, 0))
            blocks.append(block)
    return stacked(blocks, width, text_size, mark=decision_colour(probability))
