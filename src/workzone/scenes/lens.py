"""What lies between the street and the picture: texture, wetness, glow, rain, lens and sensor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from workzone.scenes.canvas import BACKGROUND, SUPERSAMPLING, Canvas
from workzone.scenes.optics import look_through
from workzone.scenes.place import Place

Pixels = npt.NDArray[np.float32]


def develop(
    canvas: Canvas, place: Place, rng: np.random.Generator, optics: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """The picture that the dashcam keeps: uint8 ``[H, W, 3]``.

    ``optics`` decides what windscreen and lens add, ``rng`` all the rest.
    """
    frame: Pixels = np.asarray(canvas.image.reduce(SUPERSAMPLING), dtype=np.float32)
    horizon = canvas.camera.horizon / SUPERSAMPLING
    ground = (canvas.owners() == BACKGROUND)[..., None].astype(np.float32)
    ground[: int(horizon) + 1] = 0
    across, depth = _ground_position(canvas, frame.shape[:2])
    frame = frame * (1 + ground * _grain(across, depth, rng))
    if place.weather == "rain":
        paved = (across > place.road.left) & (across < place.road.verge)
        frame = _wet(frame, ground * paved[..., None], int(horizon))
    frame = frame + _glow(canvas, frame.shape[:2]) * (0.2 if place.daytime == "day" else 0.6)
    if place.weather == "rain":
        frame = _rain(frame, rng)
    frame = look_through(frame, canvas, place, optics)
    frame = _expose(frame, place, rng)
    return _sense(frame, place, rng)


def _ground_position(canvas: Canvas, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Metres across and ahead, ``[H, W]`` each, of the ground that pixels below the horizon see."""
    height, width = size
    camera = canvas.camera
    rows = np.arange(height, dtype=np.float32)[:, None] * SUPERSAMPLING
    columns = np.arange(width, dtype=np.float32)[None] * SUPERSAMPLING
    depth = camera.focal * camera.eye / np.maximum(rows - camera.horizon, 2.0)
    turned = (columns - camera.centre) * (-1 if camera.mirrored else 1)
    across = turned * depth / camera.focal - camera.curve * depth**2
    return across.astype(np.float32), np.broadcast_to(depth, size).astype(np.float32)


def _grain(across: Pixels, depth: Pixels, rng: np.random.Generator) -> Pixels:
    """Unevenness of the ground in perspective: factors around 0, ``[H, W, 1]``."""
    side = 256
    fine = rng.normal(0, 1, (side, side)).astype(np.float32)
    cells = rng.normal(0, 1, (32, 32)).astype(np.float32)
    coarse = ndimage.zoom(cells, side // 32, order=1, mode="grid-wrap", grid_mode=True)
    total = np.zeros_like(depth)
    for table, cells_across, cells_along, strength in (
        (fine, 24.0, 10.0, 0.05),
        (coarse, 24.0, 6.0, 0.05),
    ):
        u = np.floor(across * cells_across).astype(np.int32) % side
        v = np.floor(depth * cells_along).astype(np.int32) % side
        total += strength * table[v, u]
    grain: Pixels = total * np.exp(-depth / 35)
    return grain[..., None]


def _wet(frame: Pixels, ground: Pixels, horizon: int) -> Pixels:
    """A wet road mirrors what stands above the horizon."""
    below = frame.shape[0] - horizon
    mirrored = frame[:horizon][::-1][:below]
    if not len(mirrored):
        return frame
    mirrored = np.pad(mirrored, ((0, below - len(mirrored)), (0, 0), (0, 0)), mode="edge")
    picture = Image.fromarray(np.clip(mirrored, 0, 255).astype(np.uint8))
    smooth = np.asarray(picture.filter(ImageFilter.GaussianBlur(4)), np.float32)
    reflected = frame.copy()
    reflected[horizon:] = smooth
    wet: Pixels = frame + (reflected - frame) * ground * np.float32(0.28)
    return wet


def _glow(canvas: Canvas, size: tuple[int, int]) -> Pixels:
    """Light that spreads around lamps: drawn small, blurred, enlarged and added."""
    height, width = size
    step = 4
    small = Image.new("RGB", (width // step, height // step))
    pen = ImageDraw.Draw(small)
    for lamp in canvas.lamps:
        column, row = (value / SUPERSAMPLING / step for value in (lamp.column, lamp.row))
        radius = min(width / 16, lamp.radius / SUPERSAMPLING / step)
        pen.ellipse((column - radius, row - radius, column + radius, row + radius), lamp.colour)
    wide = small.filter(ImageFilter.GaussianBlur(3.5)).resize((width, height), 2)
    glow: Pixels = np.asarray(wide, np.float32)
    return glow


def _rain(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """Streaks in the air, and a duller picture."""
    height, width = frame.shape[:2]
    layer = Image.new("L", (width, height))
    pen = ImageDraw.Draw(layer)
    lean = rng.normal(0, 0.12)
    for x, y, length in rng.uniform(
        (0, -20, 0.015), (width, height, 0.05), (int(rng.integers(60, 200)), 3)
    ).tolist():
        long = length * height
        pen.line((x, y, x + lean * long, y + long), fill=int(30 + 700 * length))
    streaks = np.asarray(layer.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None]
    mean = frame.mean()
    rained: Pixels = (frame - mean) * np.float32(0.9) + mean + streaks * np.float32(0.7)
    return rained


def _expose(frame: Pixels, place: Place, rng: np.random.Generator) -> Pixels:
    """Exposure, white balance, saturation and the darker corners of a wide lens."""
    height, width = frame.shape[:2]
    gain = rng.uniform(0.85, 1.15) * (1.5 if place.daytime == "night" else 1.0)
    balance: Pixels = np.array([rng.normal(1, 0.04), 1.0, rng.normal(1, 0.05)], np.float32)
    v, u = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    corners = gain * (1 - rng.uniform(0, 0.22) * (u * u + v * v)[..., None] / 2)
    frame = frame * (balance * corners).astype(np.float32)
    red, green, blue = frame[..., :1], frame[..., 1:2], frame[..., 2:]
    peak = np.maximum(np.maximum(red, green), blue)
    grey = (red + green + blue) / 3
    exposed = grey + (frame - grey) * np.float32(rng.uniform(0.65, 1.1))
    exposed = exposed / np.maximum(peak / 255, 1)  # overexposed things keep their hue
    return exposed.astype(np.float32, copy=False)


def _sense(frame: Pixels, place: Place, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Blur of the lens and the motion, noise of the sensor, softness of a video frame."""
    height, width = frame.shape[:2]
    picture = Image.fromarray(np.clip(frame, 0, 255).astype(np.uint8))
    softness = rng.uniform(0.55, 1.0)
    if softness < 0.9:
        small = picture.resize(
            (int(width * softness), int(height * softness)), Image.Resampling.BILINEAR
        )
        picture = small.resize((width, height), Image.Resampling.BILINEAR)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.9)))
    strength = rng.uniform(1.0, 4.5) * (1.8 if place.daytime == "night" else 1.0)
    noise = rng.standard_normal((height, width, 1), np.float32) * np.float32(strength)
    tinted = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), np.float32) * strength / 2
    noise = noise + tinted.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.clip(np.asarray(picture, np.float32) + noise, 0, 255).astype(np.uint8)
