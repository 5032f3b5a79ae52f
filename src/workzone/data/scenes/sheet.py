"""A contact sheet: scenes with road work on the left, the same streets without on the right.

``docs/scenes.png`` is made by::

    python -m workzone.data.scenes.sheet docs/scenes.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from workzone.data.scenes.scene import draw_scene
from workzone.files import writing

COLUMNS, ROWS = 4, 6
CELL = (256, 144)
"""Pixels of one scene."""
_GAP = 3


def make_sheet(seed: int = 0) -> Image.Image:
    """A sheet of ``ROWS`` times ``COLUMNS`` scenes, in pairs of the same street."""
    width, height = CELL
    sheet = Image.new("RGB", (COLUMNS * (width + _GAP), ROWS * (height + _GAP)), "white")
    for index in range(ROWS * COLUMNS // 2):
        row, pair = divmod(index, COLUMNS // 2)
        for label in (1, 0):
            scene = draw_scene(seed + index, label=label)
            column = pair + (0 if label else COLUMNS // 2)
            cell = Image.fromarray(scene.image).resize(CELL, Image.Resampling.LANCZOS)
            sheet.paste(cell, (column * (width + _GAP), row * (height + _GAP)))
    return sheet


if __name__ == "__main__":
    with writing(Path(sys.argv[1])) as aside:
        sheet = make_sheet()
        palette = sheet.quantize(256, method=Image.Quantize.MAXCOVERAGE)
        sheet.quantize(palette=palette).save(aside, format="PNG", optimize=True)
