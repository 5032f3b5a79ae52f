"""A contact sheet: a few dozen images with their labels, to look at before trusting a data set."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from workzone import progress
from workzone.data.images import decode, read_bytes
from workzone.data.manifest import Manifest
from workzone.errors import ImageError, ManifestError, UsageError
from workzone.files import writing
from workzone.types import Sample

THUMBNAIL = (240, 180)
"""Width and height of a picture on the sheet, pixels."""

_MARGIN = 8
_CAPTION = 42  # pixels: one line for the label, one for id and group
_CELL = (THUMBNAIL[0] + _MARGIN, THUMBNAIL[1] + _CAPTION + _MARGIN)
_MOST_CELLS = 2500

_WORDS = {1: "road work", 0: "no road work", None: "not labelled"}
_COLOURS = {1: "#b3430b", 0: "#1d4f91", None: "#595959"}  # white text on each: contrast above 5
_PAPER, _INK, _MAT = "#ffffff", "#222222", "#d9d9d9"


def contact_sheet(
    manifest: Manifest, output: Path, *, columns: int = 6, rows: int = 6, seed: int = 0
) -> Path:
    """Write a PNG of thumbnails with label, id and group; unreadable images are shown as such.

    Args:
        manifest: samples, labelled or not.
        output: a ``.png`` file to write.
        columns: thumbnails side by side.
        rows: thumbnails below each other, fewer where there are not enough samples.
        seed: which samples are drawn; the same for the same samples in any order.

    Returns:
        ``output``.

    Raises:
        UsageError: ``output`` is no PNG, or the sheet has no or too many cells.
        ManifestError: the manifest has no rows.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"a contact sheet is a .png file, got {str(output)!r}")
    if min(columns, rows) < 1 or columns * rows > _MOST_CELLS:
        raise UsageError(
            f"a sheet of {columns} x {rows} thumbnails cannot be drawn; "
            f"give at least 1 x 1 and at most {_MOST_CELLS} in all"
        )
    if not len(manifest):
        raise ManifestError("the manifest has no rows to show; import some images first")
    chosen = draw_samples(manifest, columns * rows, seed=seed)
    width = columns * _CELL[0] + _MARGIN
    height = -(-len(chosen) // columns) * _CELL[1] + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    for number, sample in enumerate(progress.track(chosen, "drawing")):
        row, column = divmod(number, columns)
        corner = (_MARGIN + column * _CELL[0], _MARGIN + row * _CELL[1])
        sheet.paste(_thumbnail(sample, manifest.root), corner)
        _caption(ImageDraw.Draw(sheet), sample, (corner[0], corner[1] + THUMBNAIL[1]))
    with writing(output) as aside:
        sheet.save(aside, format="PNG", optimize=True)
    return output


def draw_samples(manifest: Manifest, count: int, *, seed: int = 0) -> list[Sample]:
    """A sample of ``count`` rows: the labels by turns, and within a label the groups by turns."""
    samples = sorted(manifest, key=lambda sample: sample.id)
    shuffled = [samples[index] for index in np.random.default_rng(seed).permutation(len(samples))]
    of_group: Counter[tuple[int | None, str]] = Counter()
    by_turn: dict[int | None, list[tuple[int, Sample]]] = {1: [], 0: [], None: []}
    for sample in shuffled:
        key = (sample.label, sample.group or sample.id)
        by_turn[sample.label].append((of_group[key], sample))
        of_group[key] += 1
    queues = [
        [sample for _, sample in sorted(turns, key=lambda turn: turn[0])]
        for turns in by_turn.values()
    ]
    drawn = [sample for turn in zip_longest(*queues) for sample in turn if sample is not None]
    return drawn[:count]


def _thumbnail(sample: Sample, root: Path) -> Image.Image:
    """The whole image within `THUMBNAIL`, centred on a mat; an error in words instead."""
    name = str(sample.image)
    try:
        frame = decode(read_bytes(sample.image, root), enough_side=max(THUMBNAIL), name=name)
    except ImageError as error:
        picture = Image.new("RGB", THUMBNAIL, _MAT)
        draw = ImageDraw.Draw(picture)
        draw.line([(0, 0), THUMBNAIL], fill="#bbbbbb", width=2)
        draw.line([(0, THUMBNAIL[1]), (THUMBNAIL[0], 0)], fill="#bbbbbb", width=2)
        centre = (THUMBNAIL[0] // 2, THUMBNAIL[1] // 2)
        draw.text(centre, f"cannot be read:\n{error.code}", _INK, _font(18), "mm", align="center")
        return picture
    image = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy())
    return ImageOps.pad(image, THUMBNAIL, Image.Resampling.LANCZOS, color=_MAT)


def _caption(draw: ImageDraw.ImageDraw, sample: Sample, corner: tuple[int, int]) -> None:
    left, top = corner
    half = _CAPTION // 2
    draw.rectangle((left, top, left + THUMBNAIL[0] - 1, top + half), fill=_COLOURS[sample.label])
    draw.text((left + 6, top + half // 2), _WORDS[sample.label], "#ffffff", _font(15), "lm")
    known = sample.id if sample.group is None else f"{sample.id}  ·  {sample.group}"
    text = _fitted(draw, known, THUMBNAIL[0] - 4)
    draw.text((left + 2, top + half + half // 2 + 2), text, _INK, _font(13), "lm")


def _fitted(draw: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """``text``, its middle cut out where it is wider than ``width`` pixels."""
    if draw.textlength(text, _font(13)) <= width:
        return text
    keep = len(text) - 1
    while keep > 2:
        cut = text[: keep - keep // 2] + "…" + text[len(text) - keep // 2 :]
        if draw.textlength(cut, _font(13)) <= width:
            return cut
        keep -= 1
    return "…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
