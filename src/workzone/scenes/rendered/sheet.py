"""A contact sheet of rendered things beside drawn ones.

Made by, with the folder that keeps the cut-outs last::

    python -m workzone.scenes.rendered.sheet docs/train/rendered.jpg cutouts
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from workzone.scenes.background import make_light
from workzone.scenes.camera import Camera
from workzone.scenes.canvas import SUPERSAMPLING, Canvas
from workzone.scenes.distractors import add_distractors
from workzone.scenes.layout import add_work_zone
from workzone.scenes.place import Item, Stage, choose_place
from workzone.scenes.rendered.layers import Sheet
from workzone.scenes.rendered.library import CutoutLibrary, choose_spec
from workzone.scenes.rendered.light import CONDITIONS
from workzone.scenes.rendered.photo import PhotoLight
from workzone.scenes.rendered.requests import ALONG, requests
from workzone.scenes.sheet import CELL, tile, write_sheet

SHOWN = (
    "cone, two sleeves", "drum", "beacon", "panel", "tube", "fallen cone", "barricade",
    "A-frame, red", "barrier board", "plastic barrier, orange", "concrete barrier", "mesh fence",
    "board fence", "work sign on a stand", "arrow board", "worker", "flagger", "excavator",
    "roller", "tipper", "heap", "warm car", "passer-by in bright clothes", "bin",
)  # fmt: skip
"""Kinds, row by row, three in a row; each is shown drawn, then rendered."""

_DISTANCE = 9.0
_SIZE = (0.68, 0.6)
"""Of a cell's height and width that a thing may fill."""


def make_sheet(library: CutoutLibrary) -> Image.Image:
    """Drawn things, each with its rendered counterpart to the right, on grey ground."""
    examples = _examples()
    cells = []
    for number, name in enumerate(SHOWN):
        condition = CONDITIONS[number % len(CONDITIONS)]
        cells += _pair(examples[name], name, condition, library)
    return tile(cells)


def _examples() -> dict[str, Item]:
    """A drawn item for each kind that is shown."""
    found: dict[str, Item] = {}
    for seed in itertools.count():
        rng = np.random.default_rng(seed)
        stage = Stage(choose_place(seed))
        add_work_zone(stage, rng)
        add_distractors(stage, rng, 17)
        for item in stage.items:
            alone = Stage(stage.place, items=[item])
            for thing in requests(alone, np.random.default_rng(seed)):
                found.setdefault(thing.kind, item)
        if set(SHOWN) <= set(found):
            break
    return found


def _pair(item: Item, name: str, condition: str, library: CutoutLibrary) -> list[Image.Image]:
    along = name in ("concrete barrier", "mesh fence", "board fence")
    spec, mirrored = choose_spec(
        name, condition, _DISTANCE, ALONG + 18 if along else 0.0, left=False, lot=0.3
    )
    kept = library.get(spec)
    cutout = kept.mirrored() if mirrored else kept
    rows, columns = (np.flatnonzero(cutout.alpha.max(axis=axis) > 0.5) for axis in (1, 0))
    fit = min(_SIZE[0] * CELL[1] / np.ptp(rows), _SIZE[1] * CELL[0] / np.ptp(columns))
    scale = float(fit * cutout.scale)
    camera = Camera(
        width=CELL[0] * SUPERSAMPLING,
        height=CELL[1] * SUPERSAMPLING,
        focal=scale * _DISTANCE * SUPERSAMPLING,
        horizon=(CELL[1] * 0.86 - 1.4 * scale) * SUPERSAMPLING,
        centre=CELL[0] / 2 * SUPERSAMPLING,
        eye=1.4,
    )
    ground = _ground(camera)
    light = PhotoLight(
        condition=condition,
        left=False,
        white=np.full(3, 0.8, np.float32),
        haze=np.full(3, 0.6, np.float32),
        vividness=1.1,
        dark=False,
        noise=1.2,
        blur=0.5,
    )
    sheet = Sheet(ground, light)
    spot = (CELL[0] / 2, CELL[1] * 0.86)
    sheet.put(cutout, "", spot=spot, scale=scale, haze=0.0, shade=1.0, beam=0.0)
    picture = sheet.picture(np.random.default_rng(0))
    return [_drawn(item, camera, ground, along), Image.fromarray(picture)]


def _drawn(item: Item, camera: Camera, ground: npt.NDArray[np.float32], along: bool) -> Image.Image:
    x = 3.0 if along else 0.0  # seen from the side, and moved to the middle of the cell
    centred = dataclasses.replace(camera, centre=camera.centre - camera.pixels(x, _DISTANCE))
    canvas = Canvas(centred, make_light(choose_place(0)))
    picture = Image.fromarray(ground.astype(np.uint8))
    canvas.backdrop(picture.resize((camera.width, camera.height)))
    if isinstance(item.draw, partial):
        item.draw.func(canvas, **{**item.draw.keywords, "x": x, "z": _DISTANCE})
    return canvas.image.reduce(SUPERSAMPLING)


def _ground(camera: Camera) -> npt.NDArray[np.float32]:
    """Grey asphalt below a pale sky, sRGB 0..255, as large as a cell."""
    rng = np.random.default_rng(3)
    width, height = CELL
    rows = np.arange(height)[:, None, None]
    horizon = camera.horizon / SUPERSAMPLING
    speckles = Image.fromarray(rng.normal(128, 60, (height, width)).clip(0, 255).astype(np.uint8))
    grain = np.asarray(speckles.filter(ImageFilter.GaussianBlur(0.7)), np.float32)[..., None] - 128
    asphalt = np.array([108, 108, 110]) + grain * 0.22
    sky = np.array([206, 214, 222]) - 0.2 * (horizon - rows)
    below = np.clip((rows - horizon + 1) / 2, 0, 1)
    ground: npt.NDArray[np.float32] = (sky * (1 - below) + asphalt * below).astype(np.float32)
    return ground


if __name__ == "__main__":
    write_sheet(make_sheet(CutoutLibrary(Path(sys.argv[2]))), Path(sys.argv[1]))
