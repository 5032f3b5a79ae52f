"""Boxes of road work in photographs, as the masks that a detector learns from.

``boxes.csv`` beside this file (file, class, x0, y0, x1, y1; fractions of width and height) was
drawn by an AI model, by eye, on all photographs with road work but those of which PHOTOS itself
brings boxes (``boxes.csv`` there: file, class, xc, yc, w, h). Where both have boxes of a
photograph, those beside this file count. A box is taken for the object,
corners included; cranes and wire fences have none, nor has what is too small or far to tell.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.types import OBJECT_CLASSES, Sample

DRAWN = Path(__file__).with_name("boxes.csv")
Box = tuple[int, float, float, float, float]
"""Class, and left, top, right and bottom as fractions."""


def read_boxes(photos: Path) -> dict[str, list[Box]]:
    """Boxes by the name of a photograph's file."""
    drawn: dict[str, list[Box]] = {}
    with DRAWN.open(newline="") as file:
        for row in csv.DictReader(file):
            x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
            box = OBJECT_CLASSES.index(row["class"]), x0, y0, x1, y1
            drawn.setdefault(row["file"], []).append(box)
    brought: dict[str, list[Box]] = {}
    with (photos / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            x, y, width, height = (float(row[name]) for name in ("xc", "yc", "w", "h"))
            kind = OBJECT_CLASSES.index(row["class"].removeprefix("traffic_"))
            box = kind, x - width / 2, y - height / 2, x + width / 2, y + height / 2
            brought.setdefault(row["file"], []).append(box)
    return brought | drawn


def with_boxes(samples: Sequence[Sample], photos: Path, folder: Path) -> list[Sample]:
    """Photographs with road work get masks, written to a folder; all others stay as they are."""
    boxes = read_boxes(photos)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for sample in samples:
        name = Path(sample.image.path).relative_to(photos.resolve()).as_posix()
        if sample.label != 1:
            rows.append(sample)
            continue
        path = (folder / f"{Path(name).stem}.png").resolve()
        with Image.open(sample.image.path) as image:
            _write(boxes[name], image.width, image.height, path)
        rows.append(dataclasses.replace(sample, masks=str(path)))
    return rows


def _write(boxes: Sequence[Box], width: int, height: int, path: Path) -> None:
    """At the photograph's size, each box at least a pixel wide and high."""
    masks = np.zeros((len(OBJECT_CLASSES), height, width), np.bool_)
    for kind, x0, y0, x1, y1 in boxes:
        left, top = round(max(x0, 0) * width), round(max(y0, 0) * height)
        right, bottom = max(round(x1 * width), left + 1), max(round(y1 * height), top + 1)
        masks[kind, top:bottom, left:right] = True
    write_bit_image(masks, path)
