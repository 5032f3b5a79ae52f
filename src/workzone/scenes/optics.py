"""What light does on its way through a windscreen and a lens: flare, reflections and drops.

All of it lies before the finished street: no object is moved, and masks stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from workzone.scenes.canvas import BACKGROUND, SUPERSAMPLING, Canvas, Colour, Lamp
from workzone.scenes.place import Place

Pixels = npt.NDArray[np.float32]

_STEP = 4
"""Light that spreads is drawn this much smaller, and enlarged."""
_SUNLIGHT: dict[str, Colour] = {"day": (255, 248, 226), "dusk": (255, 190, 120)}
_GHOSTS: tuple[Colour, ...] = ((90, 200, 120), (150, 110, 210), (230, 150, 70), (110, 170, 230))
_SUN, _HEADLAMP = 0.3, 0.35
"""How often a low sun, or an oncoming headlamp that is seen at dusk or at night, makes a flare."""
_REFLECTION = 0.2
"""How often the windscreen shows what lies on the dashboard."""
_DROPS = 0.6
"""How often there are drops on the windscreen when it rains."""


def look_through(frame: Pixels, canvas: Canvas, place: Place, rng: np.random.Generator) -> Pixels:
    """The street through windscreen and lens.

    Args:
        frame: ``[H, W, 3]``, light of 0 to about 255.
        canvas: what is drawn, for its lamps and for what hides the sun.
        place: for hour and weather.
        rng: what decides all of it.
    """
    source = _light_ahead(canvas, place, rng)
    if source is not None:
        frame = frame + _flare(frame.shape[:2], source, rng)
    if rng.random() < _REFLECTION:
        # Where the street is bright, little of a reflection is seen.
        shown = 1 - np.minimum(frame, 255) / 300
        frame = (frame + _reflection(frame.shape[:2], place, rng) * shown).astype(np.float32)
    if place.weather == "rain" and rng.random() < _DROPS:
        frame = _drops(frame, rng)
    return frame


def _light_ahead(canvas: Canvas, place: Place, rng: np.random.Generator) -> Lamp | None:
    """What dazzles: the sun, or the largest white lamp; None: nothing does. Pixels of the frame."""
    owners = canvas.owners()
    height, width = owners.shape
    if place.weather == "clear" and place.daytime in _SUNLIGHT:
        if rng.random() >= _SUN:
            return None
        horizon = canvas.camera.horizon / SUPERSAMPLING
        row, column = horizon * rng.uniform(-0.1, 0.8), width * rng.uniform(0.05, 0.95)
        hidden = row >= 0 and owners[int(row), int(column)] != BACKGROUND
        return None if hidden else Lamp(column, row, width / 40, _SUNLIGHT[place.daytime])
    white = [lamp for lamp in canvas.lamps if min(lamp.colour) > 0.7 * max(lamp.colour)]
    inside = [
        lamp
        for lamp in white
        if 0 <= lamp.column < width * SUPERSAMPLING and 0 <= lamp.row < height * SUPERSAMPLING
    ]
    if place.daytime == "day" or not inside or rng.random() >= _HEADLAMP:
        return None
    nearest = max(inside, key=lambda lamp: lamp.radius)
    return Lamp(
        nearest.column / SUPERSAMPLING,
        nearest.row / SUPERSAMPLING,
        min(nearest.radius / SUPERSAMPLING, width / 60),
        nearest.colour,
    )


def _flare(size: tuple[int, int], source: Lamp, rng: np.random.Generator) -> Pixels:
    """Glare around a light, and ghosts of it on the line through the middle of the picture.

    Ghosts are images of the light that the lens's surfaces throw back and forth; their place on
    that line and their size differ from surface to surface (Hullin et al. 2011, SIGGRAPH).
    """
    height, width = size
    rows, columns = height // _STEP, width // _STEP
    y, x = np.mgrid[:rows, :columns].astype(np.float32) * _STEP
    away = np.hypot(x - source.column, y - source.row)
    strength = rng.uniform(0.4, 1.0)
    light: Pixels = np.array(source.colour, np.float32) * np.float32(strength)
    veil = 0.45 * np.exp(-away / (0.22 * width)) + np.exp(-((away / source.radius) ** 2))
    spread = veil[..., None] * light
    ghosts = Image.new("RGB", (columns, rows))
    pen = ImageDraw.Draw(ghosts)
    middle = (columns / 2, rows / 2)
    for _ in range(int(rng.integers(3, 7))):
        beyond = rng.uniform(-0.3, 1.6)
        column = middle[0] + (middle[0] - source.column / _STEP) * beyond
        row = middle[1] + (middle[1] - source.row / _STEP) * beyond
        radius = columns * rng.uniform(0.008, 0.05)
        tint = _GHOSTS[int(rng.integers(len(_GHOSTS)))]
        share = strength * rng.uniform(0.08, 0.25)
        red, green, blue = (int(share * value) for value in tint)
        around = (column - radius, row - radius, column + radius, row + radius)
        pen.ellipse(around, (red, green, blue))
    spread += np.asarray(ghosts.filter(ImageFilter.GaussianBlur(0.8)), np.float32)
    return _enlarged(spread, size)


def _reflection(size: tuple[int, int], place: Place, rng: np.random.Generator) -> Pixels:
    """The dashboard in the windscreen: a grey ramp, papers, a vent; by night lights."""
    height, width = size
    rows, columns = height // _STEP, width // _STEP
    shapes = Image.new("RGB", (columns, rows))
    pen = ImageDraw.Draw(shapes)
    dark = place.daytime == "night"
    for _ in range(int(rng.integers(1, 4))):
        tint = (60, 190, 210) if dark and rng.random() < 0.5 else (200, 200, 205)
        share = rng.uniform(0.04, 0.1) if dark else rng.uniform(0.08, 0.28)
        red, green, blue = (int(share * value) for value in tint)
        left, top = columns * rng.uniform(-0.1, 0.9), rows * rng.uniform(0.35, 0.9)
        wide, lean = columns * rng.uniform(0.08, 0.3), columns * rng.uniform(-0.08, 0.08)
        high = rows * rng.uniform(0.06, 0.2)
        slits = int(rng.integers(4, 8)) if rng.random() < 0.4 else 1
        for slit in range(slits):
            start = top + slit * high / slits
            end = start + high / slits * (1.0 if slits == 1 else 0.5)
            pen.polygon(_leaning(left, wide, lean, start, end), (red, green, blue))
    ramp = np.clip((np.arange(rows, dtype=np.float32) / rows - 0.55) / 0.45, 0, 1)
    grey = np.float32(rng.uniform(0, 4) if dark else rng.uniform(4, 22))
    soft = shapes.filter(ImageFilter.GaussianBlur(rng.uniform(0.6, 1.6)))
    return _enlarged(
        np.asarray(soft, np.float32) + (grey * ramp).astype(np.float32)[:, None, None], size
    )


def _leaning(
    left: float, wide: float, lean: float, top: float, bottom: float
) -> Sequence[tuple[float, float]]:
    return (
        (left + lean, top),
        (left + lean + wide, top),
        (left + wide, bottom),
        (left, bottom),
    )


def _drops(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """Drops on the windscreen: each shows a wide piece of the street, small and upside down."""
    height, width = frame.shape[:2]
    seen = frame.copy()
    sizes = rng.gamma(2.0, 0.0035, int(rng.integers(15, 70))) * width
    for radius in np.clip(sizes, 1.5, width / 28).tolist():
        column, row = rng.uniform(0, width), rng.uniform(0, height)
        high = radius * rng.uniform(1.0, 1.35)  # they hang
        top, bottom = max(int(row - high), 0), min(int(row + high) + 1, height)
        left, right = max(int(column - radius), 0), min(int(column + radius) + 1, width)
        if bottom <= top or right <= left:
            continue
        v = (np.arange(top, bottom, dtype=np.float32)[:, None] - row) / high
        u = (np.arange(left, right, dtype=np.float32)[None] - column) / radius
        away = u * u + v * v
        share = np.clip((1 - away) * 3, 0, 1)[..., None] * np.float32(0.85)
        reach = 5 + 4 * away  # a drop is a strong lens: more so towards its rim
        rows = np.clip(row - v * reach * radius, 0, height - 1).astype(np.int32)
        columns = np.clip(column - u * reach * radius, 0, width - 1).astype(np.int32)
        shaded = (1.08 - 0.4 * away * (v < 0.3))[..., None]  # the rim is dark, the foot is bright
        inside = frame[rows, columns] * shaded
        spot = seen[top:bottom, left:right]
        seen[top:bottom, left:right] = spot + (inside - spot) * share
    return seen


def _enlarged(light: Pixels, size: tuple[int, int]) -> Pixels:
    """From a `_STEP`th of the size to all of it."""
    height, width = size
    picture = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
    wide: Pixels = np.asarray(
        picture.resize((width, height), Image.Resampling.BILINEAR), np.float32
    )
    return wide
