"""Sheets of pictures with words below each, and their masks over them where wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from workzone import progress
from workzone.data.images import decode, read_bytes
from workzone.data.masks.colours import CLASS_COLOURS
from workzone.data.masks.load import load_masks
from workzone.errors import ImageError, ManifestError, StoreError, UsageError
from workzone.files import writing
from workzone.types import OBJECT_CLASSES, Sample

THUMBNAIL = (240, 180)
"""Width and height of a picture on a sheet, pixels."""
WITH_MASKS = (384, 288)
"""The same where masks are drawn over it."""

WORDS = {1: "road work", 0: "no road work", None: "not labelled"}
"""Labels in words."""

_MARGIN = 8
_CAPTION = 42  # pixels: one line for the label, one for id and group
_MOST_CELLS = 2500
_LEGEND_WIDTH = 460  # pixels, of all classes
_FILL = 0.4  # of a class's colour within a mask; its edge is all colour

_COLOURS = {1: "#b3430b", 0: "#1d4f91", None: "#595959"}  # white text on each: contrast above 5
_PAPER, _INK, _MAT = "#ffffff", "#222222", "#d9d9d9"


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture of a sheet: ``heading`` on the colour of its label, and ``note`` below."""

    sample: Sample
    heading: str
    note: str


def check_sheet(output: Path, cells: int) -> None:
    """See that a sheet can be written.

    Raises:
        UsageError: ``output`` is no PNG, or the sheet has no or too many cells.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"a contact sheet is a .png file, got {str(output)!r}")
    if not 1 <= cells <= _MOST_CELLS:
        raise UsageError(f"a sheet of {cells} thumbnails cannot be drawn; give 1 to {_MOST_CELLS}")


def draw_sheet(
    cells: Sequence[Cell], root: Path, output: Path, *, columns: int = 6, masks: bool = False
) -> Path:
    """Write a PNG of pictures; what cannot be read is shown as such.

    Args:
        cells: in reading order.
        root: the manifest's folder.
        output: a ``.png`` file to write.
        columns: pictures side by side.
        masks: whether the samples' masks lie over them, in the colours of their classes; what is
            unknown is hatched.

    Returns:
        ``output``.

    Raises:
        UsageError: see `check_sheet`.
    """
    check_sheet(output, len(cells))
    across, down = WITH_MASKS if masks else THUMBNAIL
    columns = min(columns, len(cells)) if masks else columns
    cell = (across + _MARGIN, down + _CAPTION + _MARGIN)
    legend = _CAPTION if masks else 0
    width = max(columns * cell[0] + _MARGIN, _LEGEND_WIDTH if masks else 0)
    height = -(-len(cells) // columns) * cell[1] + _MARGIN + legend
    sheet = Image.new("RGB", (width, height), _PAPER)
    if masks:
        _draw_legend(ImageDraw.Draw(sheet), height - legend)
    for number, one in enumerate(progress.track(cells, "drawing")):
        row, column = divmod(number, columns)
        corner = (_MARGIN + column * cell[0], _MARGIN + row * cell[1])
        sheet.paste(_thumbnail(one.sample, root, (across, down), masks=masks), corner)
        _caption(ImageDraw.Draw(sheet), one, (corner[0], corner[1] + down), across)
    with writing(output) as aside:
        sheet.save(aside, format="PNG", optimize=True)
    return output


def _draw_legend(draw: ImageDraw.ImageDraw, top: int) -> None:
    left = _MARGIN
    for name, colour in CLASS_COLOURS.items():
        draw.rectangle((left, top + 8, left + 14, top + 22), fill=colour)
        draw.text((left + 20, top + 15), name, _INK, _font(13), "lm")
        left += 26 + int(draw.textlength(name, _font(13))) + 10


def _thumbnail(sample: Sample, root: Path, size: tuple[int, int], *, masks: bool) -> Image.Image:
    """The whole image within ``size``, centred on a mat; an error in words instead."""
    name = str(sample.image)
    try:
        frame = decode(read_bytes(sample.image, root), enough_side=max(size), name=name)
    except ImageError as error:
        picture = Image.new("RGB", size, _MAT)
        draw = ImageDraw.Draw(picture)
        draw.line([(0, 0), size], fill="#bbbbbb", width=2)
        draw.line([(0, size[1]), (size[0], 0)], fill="#bbbbbb", width=2)
        centre = (size[0] // 2, size[1] // 2)
        draw.text(centre, f"cannot be read:\n{error.code}", _INK, _font(18), "mm", align="center")
        return picture
    image = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy())
    if masks and sample.masks is not None:
        image = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
        image = _with_masks(image, sample.masks, root)
    return ImageOps.pad(image, size, Image.Resampling.LANCZOS, color=_MAT)


def _with_masks(image: Image.Image, reference: str, root: Path) -> Image.Image:
    try:
        masks = load_masks(reference, root, image.height, image.width)
    except (ManifestError, StoreError) as error:
        draw = ImageDraw.Draw(image)
        draw.text(
            (4, 4), _fitted(draw, f"no masks: {error}", image.width - 8), "#ff0000", _font(13)
        )
        return image
    pixels = np.array(image, np.float32)
    stripes = np.add.outer(np.arange(image.height), np.arange(image.width)) % 8 < 2
    for channel, name in enumerate(OBJECT_CLASSES):
        colour = np.array(CLASS_COLOURS[name], np.float32)
        mask, unknown = masks.covered[channel], masks.unknown[channel]
        pixels[mask] += _FILL * (colour - pixels[mask])
        pixels[mask & ~_shrunk(mask)] = colour
        if not unknown.all():  # looked for, and a box is all that is known
            pixels[unknown & stripes] = colour
    return Image.fromarray(pixels.round().astype(np.uint8))


def _shrunk(
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """The mask without its edge: pixels whose four neighbours are in it."""
    around = np.pad(mask, 1)
    inner = around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:]
    return mask & inner


def _caption(draw: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int], width: int) -> None:
    left, top = corner
    half = _CAPTION // 2
    colour = _COLOURS[cell.sample.label]
    draw.rectangle((left, top, left + width - 1, top + half), fill=colour)
    heading = _fitted(draw, cell.heading, width - 12, _font(15))
    draw.text((left + 6, top + half // 2), heading, "#ffffff", _font(15), "lm")
    text = _fitted(draw, cell.note, width - 4, _font(13))
    draw.text((left + 2, top + half + half // 2 + 2), text, _INK, _font(13), "lm")


def _fitted(
    draw: ImageDraw.ImageDraw,
    text: str,
    width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont | None = None,
) -> str:
    """``text``, its middle cut out where it is wider than ``width`` pixels."""
    font = font or _font(13)
    if draw.textlength(text, font) <= width:
        return text
    keep = len(text) - 1
    while keep > 2:
        cut = text[: keep - keep // 2] + "…" + text[len(text) - keep // 2 :]
        if draw.textlength(cut, font) <= width:
            return cut
        keep -= 1
    return "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
