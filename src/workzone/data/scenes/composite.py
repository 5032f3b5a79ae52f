"""Drawn objects put into a real photograph without road work.

With label 1 a work zone with a few ordinary things beside it, with label 0 many ordinary things
alone: that something was pasted says nothing about the label.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from workzone.data.scenes.background import make_light
from workzone.data.scenes.canvas import SUPERSAMPLING, Canvas
from workzone.data.scenes.distractors import add_distractors
from workzone.data.scenes.layout import add_work_zone
from workzone.data.scenes.place import Place, Stage, choose_place
from workzone.data.scenes.scene import VISIBLE_SHARE, find_objects, make_camera
from workzone.types import Box

Pixels = npt.NDArray[np.float32]

_DAYLIGHT = 105.0
"""Mean brightness of the lower half of a photograph in which drawn daylight looks right."""
_FADE = 0.02
"""Noise is added where objects cover more than this share of a pixel."""


@dataclass(frozen=True, slots=True)
class Composite:
    """A photograph with drawn objects in it.

    ``jpeg``: the encoded picture; ``masks``: bool ``[6, H, W]`` of the visible parts of the work
    zone in the order of ``OBJECT_CLASSES``; ``boxes``: class and box of each object of it.
    """

    jpeg: bytes
    masks: npt.NDArray[np.bool_]
    boxes: list[tuple[str, Box]]


def compose(photo: npt.NDArray[np.uint8], seed: tuple[int, ...], *, label: int) -> Composite:
    """Put drawn objects into a photograph; the same arguments give the same bytes.

    The camera is one of a dashcam's, by lot; brightness follows that of the photograph's lower
    half, softness its size in pixels.

    Args:
        photo: uint8 ``[H, W, 3]`` of a street without road work.
        seed: of everything; numbers that are not negative.
        label: 1 for a work zone with 0 to 2 ordinary things, 0 for 4 to 8 of them alone.
    """
    height, width = photo.shape[:2]
    for attempt in itertools.count():
        rng = np.random.default_rng([*seed, attempt])
        canvas = _draw_objects(rng, (width, height), label)
        masks, boxes = find_objects(canvas)
        if label == 0 or masks.any(axis=0).mean() >= VISIBLE_SHARE:
            break  # else the work zone lies outside the frame: another throw
    merged = _merge(photo, canvas, rng)
    buffer = io.BytesIO()
    Image.fromarray(merged).save(buffer, format="JPEG", quality=int(rng.integers(60, 96)))
    return Composite(buffer.getvalue(), masks, boxes)


def _draw_objects(rng: np.random.Generator, size: tuple[int, int], label: int) -> Canvas:
    """Objects on a white canvas, on which their shadows are the only other thing to be seen."""
    place = _by_day(choose_place(int(rng.integers(1 << 40))), rng)
    canvas = Canvas(make_camera(place, rng, size), make_light(place))
    canvas.backdrop(Image.new("RGB", canvas.image.size, "white"))
    stage = Stage(place)
    if label == 1:
        add_work_zone(stage, rng)
    fewest, most = (0, 2) if label == 1 else (4, 8)
    add_distractors(stage, rng, int(rng.integers(fewest, most + 1)))
    stage.draw(canvas)
    return canvas


def _by_day(place: Place, rng: np.random.Generator) -> Place:
    """Drawn by day whatever the photograph's hour: its brightness is matched afterwards."""
    weather = "overcast" if rng.random() < 0.5 else "clear"
    return dataclasses.replace(place, daytime="day", weather=weather)


def _merge(
    photo: npt.NDArray[np.uint8], canvas: Canvas, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Lay the objects of a white canvas, and their shadows, over the photograph."""
    height, width = photo.shape[:2]
    covered = canvas.covered()
    soft = ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9) * max(width, height) / 800)

    def reduced(picture: Image.Image) -> Pixels:
        return np.asarray(picture.reduce(SUPERSAMPLING).filter(soft), np.float32)

    black, white = (Image.new("RGB", canvas.image.size, name) for name in ("black", "white"))
    share = reduced(covered)[..., None] / 255
    objects = reduced(Image.composite(canvas.image, black, covered))  # times their share
    shade = reduced(Image.composite(white, canvas.image, covered)) / 255

    base = photo.astype(np.float32)
    brightness = float(base[height // 2 :].mean()) / _DAYLIGHT
    gain = min(max(brightness, 0.45), 1.25) * rng.uniform(0.85, 1.15)
    cast = rng.normal(1, 0.03, 3)
    objects *= (gain * cast).astype(np.float32)
    grey = objects.mean(axis=-1, keepdims=True)
    objects = grey + (objects - grey) * np.float32(rng.uniform(0.6, 1.1))
    noise = rng.standard_normal(photo.shape, np.float32) * np.float32(rng.uniform(0, 4))
    merged = base * shade * (1 - share) + objects + noise * (share > _FADE)
    picture: npt.NDArray[np.uint8] = np.clip(merged, 0, 255).astype(np.uint8)
    return picture
