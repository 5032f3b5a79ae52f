"""What objects are drawn on: pictures, light, and a record of which pixel is whose.

Everything is drawn at `SUPERSAMPLING` times the size of the scene and reduced in the end, which
smooths the edges.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from workzone.scenes.camera import NEAREST, Camera, Point

Colour = tuple[int, int, int]
Quad = tuple[Point, Point, Point, Point]
"""Corners of a face: lower left, lower right, upper right, upper left, as seen from the road."""

SUPERSAMPLING = 2

_DIRT: Colour = (134, 122, 106)
"""What colours fade towards."""

BACKGROUND = 0
ORDINARY = 1
"""Owners of pixels: the background, ordinary objects, and from 2 on one number per work object."""


def scaled(colour: Colour, factor: float) -> Colour:
    """A colour made brighter or darker."""
    red, green, blue = (min(255, max(0, round(value * factor))) for value in colour)
    return red, green, blue


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with a ``share`` (0..1) of ``second``."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Light:
    """How the hour and the weather colour things."""

    ambient: tuple[float, float, float]  # factors per channel
    haze: Colour  # what far things fade into
    clearness: float  # metres after which 63% of a colour is haze
    headlights: float = 0.0  # of the own car, a factor at no distance
    shadows: float = 0.3  # darkness of shadows, 0..1

    def on(self, colour: Colour, z: float, retro: float = 0.0) -> Colour:
        """A colour as it is seen from ``z`` metres.

        ``retro`` (0..1): how much of the headlights the surface throws back, as signs do.
        """
        beam = self.headlights * (0.55 * math.exp(-z / 18) + retro * math.exp(-z / 70))
        lit = [
            value * (ambient + beam) for value, ambient in zip(colour, self.ambient, strict=True)
        ]
        peak = max(255.0, *lit)  # overexposed things keep their hue
        share = 1 - math.exp(-max(z, 0.0) / self.clearness)
        red, green, blue = (
            round(a * 255 / peak * (1 - share) + b * share)
            for a, b in zip(lit, self.haze, strict=True)
        )
        return red, green, blue


@dataclass(frozen=True, slots=True)
class Lamp:
    """Something that shines: pixels of the canvas, and how far its glow reaches."""

    column: float
    row: float
    radius: float
    colour: Colour


class Canvas:
    """A picture in the making."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        size = (camera.width, camera.height)
        self.image = Image.new("RGB", size)
        self.lamps: list[Lamp] = []
        self.kinds: list[str] = []  # of the work objects, in order of their numbers
        self._owners = Image.new("I", size)
        self._owner = BACKGROUND
        self._wear = 0.0
        self._bind()

    def _bind(self) -> None:
        self._pen = ImageDraw.Draw(self.image, "RGBA")
        self._owner_pen = ImageDraw.Draw(self._owners)

    def backdrop(self, image: Image.Image) -> None:
        """Lay a picture of the canvas' size under all that follows."""
        self.image.paste(image)
        self._bind()

    @contextmanager
    def owned(self, kind: str, wear: float = 0.0) -> Iterator[None]:
        """All that is drawn within belongs to one object: of a class, or ordinary ("").

        ``wear`` (0..1): how far its colours have faded and gathered dirt.
        """
        if kind:
            self.kinds.append(kind)
        self._owner = ORDINARY + len(self.kinds) if kind else ORDINARY
        self._wear = wear
        yield
        self._owner, self._wear = BACKGROUND, 0.0

    def face(
        self,
        points: Sequence[Point],
        colour: Colour,
        *,
        retro: float = 0.0,
        shining: bool = False,
        opacity: float = 1.0,
    ) -> None:
        """A flat polygon in space. Shining ones ignore the light; see :class:`Light` for retro."""
        if max(point[2] for point in points) <= NEAREST:
            return
        z = max(NEAREST, sum(point[2] for point in points) / len(points))
        ink = colour if shining else self.light.on(mixed(colour, _DIRT, self._wear), z, retro)
        corners = [self.camera.project(point) for point in points]
        self._pen.polygon(corners, fill=(*ink, round(255 * opacity)))
        if opacity == 1.0:
            self._owner_pen.polygon(corners, fill=self._owner)

    def flat(
        self,
        x: float,
        z: float,
        outline: Sequence[tuple[float, float]],
        colour: Colour,
        *,
        retro: float = 0.0,
        shining: bool = False,
    ) -> None:
        """An upright shape that faces the camera; ``outline`` holds offsets across and heights."""
        self.face([(x + dx, y, z) for dx, y in outline], colour, retro=retro, shining=shining)

    def ball(
        self, x: float, y: float, z: float, radius: float, colour: Colour, *, shining: bool = False
    ) -> None:
        """A disc that faces the camera."""
        column, row = self.camera.project((x, y, z))
        size = self.camera.pixels(radius, z)
        ink = colour if shining else self.light.on(mixed(colour, _DIRT, self._wear), z)
        around = (column - size, row - size, column + size, row + size)
        self._pen.ellipse(around, fill=ink)
        self._owner_pen.ellipse(around, fill=self._owner)

    def decal(
        self,
        quad: Quad,
        outline: Sequence[tuple[float, float]],
        colour: Colour,
        *,
        retro: float = 0.0,
        shining: bool = False,
    ) -> None:
        """A shape on a face; ``outline`` in fractions of its width and height, from below."""
        self.face([on_quad(quad, u, v) for u, v in outline], colour, retro=retro, shining=shining)

    def shadow(self, x0: float, x1: float, z0: float, z1: float, share: float = 1.0) -> None:
        """Darken a rectangle of ground."""
        points = [(x0, 0.01, z0), (x1, 0.01, z0), (x1, 0.01, z1), (x0, 0.01, z1)]
        self.face(points, (8, 8, 12), opacity=0.99 * self.light.shadows * share)

    def lamp(self, x: float, y: float, z: float, reach: float, colour: Colour) -> None:
        """Let a point glow; ``reach`` in metres."""
        column, row = self.camera.project((x, y, z))
        self.lamps.append(Lamp(column, row, self.camera.pixels(reach, z), colour))

    def covered(self) -> Image.Image:
        """255 where an object was drawn, else 0: mode L, at the canvas' own size."""
        return Image.fromarray((np.asarray(self._owners) != BACKGROUND).astype(np.uint8) * 255)

    def owners(self) -> npt.NDArray[np.int32]:
        """Whose each pixel of the scene is: int32 ``[H, W]`` at the reduced size."""
        half = SUPERSAMPLING // 2
        pixels = np.asarray(self._owners, dtype=np.int32)
        return pixels[half::SUPERSAMPLING, half::SUPERSAMPLING]


def on_quad(quad: Quad, u: float, v: float) -> Point:
    """The point at fractions ``u`` across and ``v`` up a face."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz), (dx, dy, dz) = quad
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
    return (
        a * ax + b * bx + c * cx + d * dx,
        a * ay + b * by + c * cy + d * dy,
        a * az + b * bz + c * cz + d * dz,
    )


def rectangle(u0: float, v0: float, u1: float, v1: float) -> list[tuple[float, float]]:
    """The corners of an upright rectangle, for `Canvas.flat` and `Canvas.decal`."""
    return [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
