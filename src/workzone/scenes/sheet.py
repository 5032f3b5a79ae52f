"""Contact sheets: 48 pictures, small, to look at.

Sheets of drawn scenes, road work in the left half and the same streets without in the right one,
are made by::

    python -m workzone.scenes.sheet day docs/train/scenes-day.jpg
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from workzone.files import writing
from workzone.scenes.place import choose_place
from workzone.scenes.scene import draw_scene

COLUMNS, ROWS = 6, 8
CELL = (256, 144)
"""Pixels of one picture."""
CONDITIONS = ("day", "night", "rain")
_GAP = 3


def draw_sheet(condition: str, seed: int = 0) -> Image.Image:
    """24 drawn streets by ``day`` (dry), at ``night`` or in ``rain``, each with both labels."""
    seeds = (s for s in itertools.count(seed) if condition_of(s) == condition)
    half = COLUMNS // 2
    rows = [list(itertools.islice(seeds, half)) for _ in range(ROWS)]
    return tile(
        Image.fromarray(draw_scene(street, label=label).image)
        for row in rows
        for label in (1, 0)
        for street in row
    )


def condition_of(seed: int) -> str:
    """On which sheet the street of a seed belongs; ``""`` on none."""
    place = choose_place(seed)
    if place.weather == "rain":
        return "rain"
    return place.daytime if place.daytime in CONDITIONS else ""


def tile(pictures: Iterable[Image.Image]) -> Image.Image:
    """Up to ``ROWS`` times ``COLUMNS`` pictures on one sheet, row by row."""
    width, height = CELL
    cells = [_fitted(p) for p in itertools.islice(pictures, ROWS * COLUMNS)]
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + _GAP), rows * (height + _GAP)), "white")
    for index, cell in enumerate(cells):
        row, column = divmod(index, COLUMNS)
        sheet.paste(cell, (column * (width + _GAP), row * (height + _GAP)))
    return sheet


def make_contact_sheet(images: Sequence[Path], output: Path) -> None:
    """Write the first pictures of some files as one JPEG."""
    write_sheet(tile(map(_open, images)), output)


def write_sheet(sheet: Image.Image, output: Path) -> None:
    """Write a sheet as JPEG, whole or not at all."""
    with writing(output) as aside:
        sheet.save(aside, format="JPEG", quality=82)


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _fitted(picture: Image.Image) -> Image.Image:
    """A cell: the whole picture, in the middle of grey where its shape is another one."""
    small = picture.copy()
    small.thumbnail(CELL, Image.Resampling.LANCZOS)
    cell = Image.new("RGB", CELL, (90, 90, 90))
    cell.paste(small, ((CELL[0] - small.width) // 2, (CELL[1] - small.height) // 2))
    return cell


if __name__ == "__main__":
    write_sheet(draw_sheet(sys.argv[1]), Path(sys.argv[2]))
