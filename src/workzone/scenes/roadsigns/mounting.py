"""Where a sign stands in a photograph, how the camera sees it, and what holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Pixels = npt.NDArray[np.float32]

SUPERSAMPLING = 3
SMALLEST, LARGEST = 12, 0.3
"""Height of a sign with its frame and its board: pixels, and of the photograph's shorter side; all
sizes between are alike likely, by their logarithm."""
SHARPEST = 1080
"""Pixels of a photograph's shorter side: where there are more, the smallest signs have more too."""
_METALS = ((128, 130, 132), (96, 98, 100), (168, 170, 170), (60, 60, 62), (110, 84, 58))
"""Colours of posts; the last is wood."""
_OVERLAP = 0.02
"""Of the frame: signs stand at least so far apart."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A place for a sign; lengths in pixels of the photograph."""

    height: float  # of the plate: the sign with its frame and its board
    column: float  # its middle
    row: float  # its foot
    ground: float  # row where its post ends
    yaw: float  # radians: how far it is turned from the camera
    pitch: float
    roll: float
    distance: float  # of the camera, in heights of the sign
    posts: int  # 1 or 2; 0: folding legs


def choose_mounts(
    rng: np.random.Generator, size: tuple[int, int], horizon: float | None, count: int
) -> list[Mount]:
    """Places for signs beside a street, seen by a dashcam; none before another.

    Args:
        rng: of all of it.
        size: width and height of the photograph.
        horizon: in heights of the photograph from above; None: by lot.
        count: signs; fewer where the frame is full.
    """
    width, height = size
    row = height * (rng.uniform(0.42, 0.56) if horizon is None else horizon)
    eye = rng.uniform(1.1, 1.7)
    mounts: list[Mount] = []
    for _ in range(8 * count):
        if len(mounts) == count:
            break
        mount = _choose_mount(rng, (width, height), row, eye)
        if all(_apart(mount, other, width) for other in mounts):
            mounts.append(mount)
    return mounts


def _choose_mount(
    rng: np.random.Generator, size: tuple[int, int], horizon: float, eye: float
) -> Mount:
    width, height = size
    smallest = SMALLEST * max(1.0, min(size) / SHARPEST)
    side = math.exp(rng.uniform(math.log(smallest), math.log(LARGEST * min(size))))
    per_metre = side / rng.uniform(0.55, 1.2)
    on_post = rng.random() < 0.7
    foot = rng.uniform(1.2, 2.6) if on_post else rng.uniform(0.1, 0.6)  # metres above the ground
    row = horizon + (eye - foot) * per_metre
    row = min(max(row, side * 1.05), height - 2.0)  # in the frame
    edge = 0.5 * side
    column = rng.beta(0.7, 0.7) * (width - 2 * edge) + edge  # more often at the sides
    return Mount(
        height=side,
        column=column,
        row=row,
        ground=max(horizon + eye * per_metre, row),
        yaw=float(np.clip(rng.normal(0, 0.35), -1.0, 1.0)),
        pitch=rng.normal(0, 0.08),
        roll=rng.normal(0, 0.05),
        distance=rng.uniform(4, 40),
        posts=(1 if rng.random() < 0.8 else 2) if on_post else 0,
    )


def _apart(one: Mount, other: Mount, width: int) -> bool:
    reach = 0.7 * (one.height + other.height) + _OVERLAP * width
    return abs(one.column - other.column) > reach


@dataclass(frozen=True, slots=True)
class Mounted:
    """A sign and its post in a window of the photograph.

    ``post`` and ``sign``: ``[h, w, 4]``, 0..255, colours multiplied by cover.
    """

    rows: slice
    columns: slice
    post: Pixels
    sign: Pixels


def draw_mounted(
    plate: Pixels, mount: Mount, size: tuple[int, int], rng: np.random.Generator
) -> Mounted:
    """A plate in its place, with its post.

    Args:
        plate: ``[h, w, 4]``, 0..255; see `plates.make_plate`.
        mount: its place.
        size: width and height of the photograph.
        rng: of the post.
    """
    quad = _corners(plate, mount)
    lowest = max(quad[:, 1].max(), mount.ground)
    left, top = np.maximum(np.floor(quad.min(axis=0)).astype(int) - 2, 0).tolist()
    right = min(math.ceil(quad[:, 0].max()) + 2, size[0])
    foot = min(math.ceil(lowest) + 2, size[1])
    window = (right - left, foot - top)
    shift = np.array((left, top))
    return Mounted(
        rows=slice(top, foot),
        columns=slice(left, right),
        post=_post(quad - shift, mount.ground - top, window, mount, rng),
        sign=_seen(plate, quad - shift, window, mount),
    )


def _corners(plate: Pixels, mount: Mount) -> npt.NDArray[np.float64]:
    """Of the plate ``[4, 2]``, columns and rows: upper left, upper right, lower right, lower left.

    A camera at some distance sees a rectangle that is turned about its middle.
    """
    rows, columns = plate.shape[:2]
    x, y = 0.5 * columns / rows, 0.5
    flat = np.array([(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)])
    (sy, cy), (sp, cp), (sr, cr) = (
        (math.sin(angle), math.cos(angle)) for angle in (mount.yaw, mount.pitch, mount.roll)
    )
    turn = (
        np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    )
    seen = flat @ turn.T
    scale = mount.height * mount.distance / (mount.distance + seen[:, 2])
    quad: npt.NDArray[np.float64] = seen[:, :2] * scale[:, None]
    quad += np.array((mount.column, mount.row - quad[:, 1].max()))
    return quad


def _seen(
    plate: Pixels, quad: npt.NDArray[np.float64], window: tuple[int, int], mount: Mount
) -> Pixels:
    """The plate in a window, colours multiplied by cover."""
    fine = SUPERSAMPLING * mount.height
    rows = min(len(plate), max(2, round(1.5 * fine)))
    columns = max(2, round(plate.shape[1] * rows / len(plate)))
    premultiplied = plate.copy()
    premultiplied[..., :3] *= plate[..., 3:] / np.float32(255)
    channels = []
    for channel in range(4):
        flat = Image.fromarray(premultiplied[..., channel]).resize(
            (columns, rows), Image.Resampling.BOX
        )
        box = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float64)
        wide = (window[0] * SUPERSAMPLING, window[1] * SUPERSAMPLING)
        turned = flat.transform(
            wide,
            Image.Transform.PERSPECTIVE,
            _homography(quad * SUPERSAMPLING, box),
            Image.Resampling.BILINEAR,
        )
        channels.append(np.asarray(turned.reduce(SUPERSAMPLING), np.float32))
    return np.stack(channels, axis=-1)


def _homography(
    source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]
) -> tuple[float, ...]:
    """Eight coefficients by which Pillow finds, of a pixel in ``source``, its place in ``target``.

    Hartley & Zisserman, "Multiple View Geometry", 2nd ed., section 4.1.
    """
    rows, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        values += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def _post(
    quad: npt.NDArray[np.float64],
    ground: float,
    window: tuple[int, int],
    mount: Mount,
    rng: np.random.Generator,
) -> Pixels:
    """What holds the sign, in a window, colours multiplied by cover."""
    picture = Image.new("RGBA", (window[0] * SUPERSAMPLING, window[1] * SUPERSAMPLING))
    pen = ImageDraw.Draw(picture)
    metal = np.array(_METALS[int(rng.integers(len(_METALS)))]) * rng.uniform(0.6, 1.15)
    ink = (*np.clip(metal, 0, 255).astype(int).tolist(), 255)
    thick = max(1.0, mount.height * rng.uniform(0.06, 0.12)) * SUPERSAMPLING
    middle, spread = quad.mean(axis=0), mount.height  # of twins alike
    top, foot = quad[:, 1].min() + 0.1 * mount.height, ground
    offsets = {0: (-0.35, 0.35), 1: (0.0,), 2: (-0.3, 0.3)}[mount.posts]
    for offset in offsets:
        start = (middle[0] if mount.posts == 0 else middle[0] + offset * spread, top)
        end = (middle[0] + offset * spread, foot)
        line = [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in (start, end)]
        pen.line(line, fill=ink, width=round(thick))
    post = np.asarray(picture, np.float32)
    post = np.concatenate([post[..., :3] * (post[..., 3:] / 255), post[..., 3:]], axis=-1)
    rows, columns = window[1], window[0]
    shape = (rows, SUPERSAMPLING, columns, SUPERSAMPLING, 4)
    reduced: Pixels = post.reshape(shape).mean(axis=(1, 3), dtype=np.float32)
    return reduced
