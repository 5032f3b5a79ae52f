"""Outlines with their labels, and the strip below a picture: what is written on overlays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from workzone.decide.threshold import HALF
from workzone.report.answer import shown_probability

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels, the last two outside."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

DARK: Colour = (20, 22, 26)
_OUTLINE: Colour = (86, 180, 233)  # sky blue of Okabe & Ito: not among the heat map's colours
LIGHT: Colour = (240, 240, 240)
_ROADWORK: Colour = (230, 159, 0)
_NONE: Colour = (86, 180, 233)
_LEGIBLE, _SMALLEST = 12, 8
"""Pixels of type that is read well, and of the smallest, which words get that fit no line."""
_LEGEND = 15
"""The width of the legend with its margins, in heights of its type, rounded up."""


def outline_boxes(
    picture: Image.Image,
    boxes: npt.NDArray[np.float64],
    labels: Sequence[str],
    *,
    text_size: int,
) -> list[str]:
    """Draw around boxes, the heaviest first in the list and uppermost in the picture.

    A label lies beside its box, inside the picture, on no box that is outlined if it can be, and
    never on its own or on another label.

    Args:
        picture: drawn on.
        boxes: ``[n, 4]`` in fractions.
        labels: ``n`` texts.
        text_size: in pixels.

    Returns:
        The labels for which there is no room.
    """
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(text_size)
    line = max(1, text_size // 7)
    scale = np.tile(picture.size, 2)
    frames: list[Rectangle] = []
    for box in boxes:
        x0, y0, x1, y1 = (box.clip(0, 1) * scale).round().tolist()
        frames.append((x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))
    for frame in reversed(frames):
        _outline(draw, frame, line=line, size=picture.size)
    taken: list[Rectangle] = []
    left_over = []
    for own, label in zip(frames, labels, strict=True):
        width, height = _extent(draw, label, font)
        gap = line + 2
        free = [
            place
            for place in _beside(own, width + 6, height + 6, gap=gap, size=picture.size)
            if not any(_overlap(place, other) for other in (own, *taken))
        ]
        if not free:
            left_over.append(label)
            continue
        place = min(free, key=lambda p: sum(_overlap(p, frame) for frame in frames))
        taken.append(place)
        draw.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=DARK)
        middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
        draw.text(middle, label, font=font, fill=_OUTLINE, anchor="mm")
    return left_over


def _outline(
    draw: ImageDraw.ImageDraw, frame: Rectangle, *, line: int, size: tuple[int, int]
) -> None:
    """A light line between two dark ones, around the box, as far as the picture reaches."""
    x0, y0, x1, y1 = frame
    for grown, colour, width in ((line + 2, DARK, line + 2), (line + 1, _OUTLINE, line)):
        outer = (
            *(max(0, x0 - grown), max(0, y0 - grown)),
            *(min(size[0], x1 + grown) - 1, min(size[1], y1 + grown) - 1),
        )
        draw.rectangle(outer, outline=colour, width=width)


def _beside(
    box: Rectangle, width: float, height: float, *, gap: float, size: tuple[int, int]
) -> Iterator[Rectangle]:
    """Places for a label above, below, right and left of a box, within the picture."""
    x0, y0, x1, y1 = box
    across = [min(max(0, x), size[0] - width) for x in (x0, x1 - width)]
    down = [min(max(0, y), size[1] - height) for y in (y0, y1 - height)]
    corners = [
        *((x, y) for y in (y0 - gap - height, y1 + gap) for x in across),
        *((x, y) for x in (x1 + gap, x0 - gap - width) for y in down),
    ]
    for x, y in corners:
        if x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1]:
            yield (x, y, x + width, y + height)


def _overlap(one: Rectangle, other: Rectangle) -> float:
    """The area in square pixels that two rectangles share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def caption_strip(
    width: int,
    probability: float,
    notes: Sequence[str],
    *,
    text_size: int,
    ramp: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]],
) -> Image.Image:
    """The decision, what the outline shows if it could not be said beside it, and the legend.

    They stand side by side where the width allows it, else in lines below each other.

    Args:
        width: of the strip in pixels.
        probability: of road work.
        notes: labels of boxes.
        text_size: in pixels; made smaller where a line would not fit the width.
        ramp: from evidence in 0..1 to colours in 0..1, along a new last dimension.
    """
    text_size = min(text_size, width // _LEGEND)
    room = width - 2 * round(text_size * 0.8)
    blocks = [decision_block(probability, text_size, room)]
    if notes:
        blocks.append(written(f"box: {', '.join(notes)}", text_size, _OUTLINE, room))
    blocks.append(_legend(text_size, ramp))
    return stacked(blocks, width, text_size, mark=decision_colour(probability), last_right=True)


def decision_colour(probability: float) -> Colour:
    """Orange for road work, blue for none."""
    return _ROADWORK if probability > HALF else _NONE


def decision_block(probability: float, text_size: int, room: int) -> Image.Image:
    """The decision and its probability, a third larger than other text, in at most ``room``."""
    decision = "road work" if probability > HALF else "no road work"
    text = f"{decision} {shown_probability(probability)}"
    return written(text, round(text_size * 1.3), decision_colour(probability), room)


def stacked(
    blocks: Sequence[Image.Image],
    width: int,
    text_size: int,
    *,
    mark: Colour = DARK,
    last_right: bool = False,
) -> Image.Image:
    """Blocks side by side where the width allows it, else in lines below each other.

    Args:
        blocks: in order.
        width: of the strip, pixels.
        text_size: that margins go by.
        mark: colour of the strip's left edge.
        last_right: whether the last block stands at the right edge, where it has others beside it.
    """
    margin, gap = round(text_size * 0.8), round(text_size * 0.5)
    rows = _rows(blocks, width, margin)
    height = sum(max(block.height for block in row) for row in rows) + gap * (len(rows) + 1)
    strip = Image.new("RGB", (width, height), DARK)
    ImageDraw.Draw(strip).rectangle((0, 0, max(1, margin // 3), height), fill=mark)
    y = gap
    for row in rows:
        tall = max(block.height for block in row)
        x = margin
        for block in row:
            if last_right and block is blocks[-1] and len(row) > 1:
                x = width - margin - block.width
            strip.paste(block, (x, y + (tall - block.height) // 2))
            x += block.width + 2 * margin
        y += tall + gap
    return strip


def _rows(blocks: Sequence[Image.Image], width: int, margin: int) -> list[list[Image.Image]]:
    """Blocks in order, in as few lines as hold them."""
    rows: list[list[Image.Image]] = [[]]
    for block in blocks:
        together = sum(one.width + 2 * margin for one in (*rows[-1], block))
        if rows[-1] and together > width:
            rows.append([])
        rows[-1].append(block)
    return rows


def written(text: str, size: int, colour: Colour, room: int) -> Image.Image:
    """A text on the strip's ground in type of ``size``, or a quarter smaller.

    Where that does not fit the room, it goes on in further lines; where a single word does not, in
    smaller type.
    """
    draw = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = [text]
    least = max(_LEGIBLE, round(size * 0.75))
    while _length(draw, lines, size) > room and size > _SMALLEST:
        if size <= least:
            lines = _lines(draw, text, size, room)
            if _length(draw, lines, size) <= room:
                break
        size -= 1
    length = round(_length(draw, lines, size)) + 1
    height = round(size * 1.3)
    block = Image.new("RGB", (min(length, room), height * len(lines)), DARK)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        middle = (0, (number + 0.5) * height)
        ImageDraw.Draw(block).text(middle, line, font=font, fill=colour, anchor="lm")
    return block


def _length(draw: ImageDraw.ImageDraw, lines: Sequence[str], size: int) -> float:
    font = ImageFont.load_default(size)
    return max(draw.textlength(line, font=font) for line in lines)


def _lines(draw: ImageDraw.ImageDraw, text: str, size: int, room: int) -> list[str]:
    """A text in lines that fit the room, as far as single words do."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _length(draw, [longer], size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _legend(
    size: int, ramp: Callable[[npt.NDArray[np.floating]], npt.NDArray[np.floating]]
) -> Image.Image:
    """What the colours of the heat map mean."""
    wide, tall, gap = size * 4, round(size * 0.8), round(size * 0.4)
    left = written("evidence: least", size, LIGHT, size * 20)
    right = written("most", size, LIGHT, size * 20)
    block = Image.new("RGB", (left.width + wide + right.width + 2 * gap, left.height), DARK)
    block.paste(left, (0, 0))
    levels = ramp(np.linspace(0, 1, wide))[None] * 255
    colours = Image.fromarray(np.repeat(levels.astype(np.uint8), tall, axis=0))
    block.paste(colours, (left.width + gap, (block.height - tall) // 2))
    block.paste(right, (left.width + wide + 2 * gap, 0))
    return block


def _extent(draw: ImageDraw.ImageDraw, text: str, font: Font) -> tuple[int, int]:
    """Width and height of a written text in pixels."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    return round(right - left), round(bottom - top)
