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

from workzone.scenes.background import make_light
from workzone.scenes.canvas import SUPERSAMPLING, Canvas
from workzone.scenes.compositor import Composite, PlacedObject
from workzone.scenes.distractors import add_distractors
from workzone.scenes.exposure import after_dark, brightness_of
from workzone.scenes.layout import add_work_zone
from workzone.scenes.place import Place, Stage, choose_place
from workzone.scenes.scene import VISIBLE_SHARE, find_objects, make_camera

Pixels = npt.NDArray[np.float32]

_FADE = 0.02
"""Noise is added where objects cover more than this share of a pixel."""
_HORIZONS = (0.3, 0.65)
"""Heights of the frame between which a dashcam's horizon lies."""


@dataclass(frozen=True, slots=True)
class DrawnObjects:
    """A `Compositor` of work zones and ordinary things as the scenes draw them."""

    version: str = "3"
    twins: bool = False

    def compose(
        self, photo: npt.NDArray[np.uint8], seed: tuple[int, ...], *, label: int
    ) -> Composite:
        """See :func:`compose`."""
        return compose(photo, seed, label=label)


def compose(photo: npt.NDArray[np.uint8], seed: tuple[int, ...], *, label: int) -> Composite:
    """Put drawn objects into a photograph; the same arguments give the same bytes.

    The camera is one of a dashcam's, by lot, but for the horizon where sky tells it. Brightness
    follows that of the photograph's lower half, softness its size in pixels. Some photographs by
    day become streets at dusk or at night.

    Args:
        photo: uint8 ``[H, W, 3]`` of a street without road work.
        seed: of everything; numbers that are not negative.
        label: 1 for a work zone with 0 to 2 ordinary things, 0 for 4 to 8 of them alone.
    """
    height, width = photo.shape[:2]
    horizon = find_horizon(photo)
    for attempt in itertools.count():
        rng = np.random.default_rng([*seed, attempt])
        canvas = _draw_objects(rng, (width, height), label, horizon)
        masks, boxes = find_objects(canvas)
        if label == 0 or masks.any(axis=0).mean() >= VISIBLE_SHARE:
            break  # else the work zone lies outside the frame: another throw
    merged, darkened = _merge(photo, canvas, rng)
    buffer = io.BytesIO()
    Image.fromarray(merged).save(buffer, format="JPEG", quality=int(rng.integers(60, 96)))
    objects = [PlacedObject(kind, box) for kind, box in boxes]
    return Composite(buffer.getvalue(), masks, objects, darkened)


def find_horizon(photo: npt.NDArray[np.uint8]) -> float | None:
    """Where the horizon of a photograph is, told by its sky.

    Along a street sky reaches down to where the road vanishes: the columns in which it reaches
    lowest tell the horizon. Sky is what is brighter than the road, smooth, not reddish, and joined
    to the upper edge.

    Args:
        photo: uint8 ``[H, W, 3]``.

    Returns:
        In heights of the frame, from above; None where no sky tells it, as under trees, by night
        and in a close-up.
    """
    rows, columns = 90, 120
    picture = Image.fromarray(photo).resize((columns, rows), Image.Resampling.BILINEAR)
    small = np.asarray(picture, np.float32)
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    bright = small.mean(axis=-1)
    smooth = np.abs(np.diff(bright, axis=0, prepend=bright[:1])) < 14
    least = max(110.0, 1.3 * float(bright[3 * rows // 4 :].mean()))  # brighter than the road
    sky = smooth & (bright > least) & (blue > red - 12) & (blue > green - 12)
    reach = np.logical_and.accumulate(sky, axis=0).sum(axis=0) / rows
    horizon = float(np.quantile(reach, 0.97))
    lowest, highest = _HORIZONS
    return horizon if lowest <= horizon <= highest else None


def _draw_objects(
    rng: np.random.Generator, size: tuple[int, int], label: int, horizon: float | None
) -> Canvas:
    """Objects on a white canvas, on which their shadows are the only other thing to be seen."""
    place = _by_day(choose_place(int(rng.integers(1 << 40))), rng)
    if horizon is not None:
        place = dataclasses.replace(place, horizon=horizon)
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
) -> tuple[npt.NDArray[np.uint8], str | None]:
    """Lay the objects of a white canvas, and their shadows, over the photograph.

    The second value says whether it was made dark, see `Composite`.
    """
    height, width = photo.shape[:2]
    covered = canvas.covered()
    soft = ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9) * max(width, height) / 800)

    def reduced(picture: Image.Image) -> Pixels:
        return np.asarray(picture.reduce(SUPERSAMPLING).filter(soft), np.float32)

    black, white = (Image.new("RGB", canvas.image.size, name) for name in ("black", "white"))
    share: Pixels = reduced(covered)[..., None] / np.float32(255)
    objects = reduced(Image.composite(canvas.image, black, covered))  # times their share
    shade = reduced(Image.composite(white, canvas.image, covered)) / 255

    base = photo.astype(np.float32)
    brightness = brightness_of(photo)
    gain = min(max(brightness, 0.45), 1.25) * rng.uniform(0.85, 1.15)
    cast = rng.normal(1, 0.03, 3)
    objects *= (gain * cast).astype(np.float32)
    grey = objects.mean(axis=-1, keepdims=True)
    objects = grey + (objects - grey) * np.float32(rng.uniform(0.6, 1.1))
    noise = rng.standard_normal(photo.shape, np.float32) * np.float32(rng.uniform(0, 4))
    merged: Pixels = base * shade * (1 - share) + objects + noise * (share > _FADE)
    horizon = canvas.camera.horizon / SUPERSAMPLING
    merged, darkened = after_dark(merged, share, horizon, brightness, rng)
    picture: npt.NDArray[np.uint8] = np.clip(merged, 0, 255).astype(np.uint8)
    return picture, darkened
