"""The faces of signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from workzone.scenes.place import pick
from workzone.scenes.rendered.material import Colour
from workzone.scenes.roadsigns.drawings import Drawings
from workzone.scenes.roadsigns.plates import recoloured
from workzone.scenes.signs import (
    BLACK,
    DIGGER,
    NARROWS,
    ORANGE,
    ORDINARY_PICTOGRAMS,
    RED,
    TEXT,
    WHITE,
    WORK_PICTOGRAMS,
    YELLOW,
    Outline,
)
from workzone.scenes.solids import disc_outline

_BLUE: Colour = (24, 70, 160)
_GREEN: Colour = (20, 96, 60)
_FOR_TRIANGLES = (DIGGER, DIGGER, NARROWS)


class SignFaces(Protocol):
    """Where the faces of signs come from."""

    @property
    def version(self) -> str:
        """Names all that the faces depend on beside the arguments."""

    def face(self, rng: np.random.Generator, *, work: bool, pixels: int) -> Image.Image:
        """A face by lot, from the front, RGBA; transparent outside its outline.

        Args:
            rng: of which.
            work: of road works, else an everyday one.
            pixels: of the longer side.
        """


@dataclass(frozen=True, slots=True)
class OutlinedFaces:
    """Faces put together from the outlines of the drawn scenes' signs."""

    version: str = "outlines-1"

    def face(self, rng: np.random.Generator, *, work: bool, pixels: int) -> Image.Image:
        """See :class:`SignFaces`."""
        return _work_face(rng, pixels) if work else _everyday_face(rng, pixels)


@dataclass(frozen=True, slots=True)
class DrawnFaces:
    """Faces from drawings of traffic signs."""

    drawings: Drawings

    @property
    def version(self) -> str:
        """By the drawings' contents."""
        return f"drawings-1 {self.drawings.digest}"

    def face(self, rng: np.random.Generator, *, work: bool, pixels: int) -> Image.Image:
        """See :class:`SignFaces`."""
        drawing = pick(rng, self.drawings.work if work else self.drawings.others)
        face = recoloured(np.asarray(drawing.face(), np.float32), drawing, rng)
        picture = Image.fromarray(face.clip(0, 255).astype(np.uint8))
        factor = pixels / max(picture.size)
        width, height = (max(1, round(side * factor)) for side in picture.size)
        return picture.resize((width, height), Image.Resampling.LANCZOS)


def _work_face(rng: np.random.Generator, pixels: int) -> Image.Image:
    kind, pictogram = rng.random(), pick(rng, WORK_PICTOGRAMS)
    if kind < 0.5:
        return _diamond(pixels, ORANGE, pictogram)
    if kind < 0.8:
        field, narrow = pick(rng, [WHITE, WHITE, YELLOW]), pick(rng, _FOR_TRIANGLES)
        return _triangle(pixels, field, narrow)
    colour = pick(rng, [ORANGE, ORANGE, YELLOW, RED])
    return _board(pixels, colour, WHITE if colour == RED else BLACK)


def _everyday_face(rng: np.random.Generator, pixels: int) -> Image.Image:
    kind, pictogram = int(rng.integers(6)), pick(rng, ORDINARY_PICTOGRAMS)
    if kind == 0:
        return _diamond(pixels, YELLOW, pictogram)
    if kind == 1:
        return _triangle(pixels, WHITE, pictogram)
    if kind == 2:
        return _disc(pixels, WHITE, RED, 8)
    if kind == 3:
        return _disc(pixels, RED, WHITE, 48)
    if kind == 4:
        return _disc(pixels, WHITE, _BLUE, 48)
    colour = pick(rng, [_GREEN, _BLUE, (120, 70, 40), WHITE])
    return _board(pixels, colour, BLACK if colour == WHITE else WHITE)


def _diamond(pixels: int, colour: Colour, pictogram: Sequence[Outline]) -> Image.Image:
    face = _Face(pixels, pixels)
    for reach, ink in ((1.0, colour), (0.93, BLACK), (0.89, colour)):
        face.fill([(0, -reach), (reach, 0), (0, reach), (-reach, 0)], ink)
    face.pictogram(pictogram, 0.5)
    return face.image


def _triangle(pixels: int, field: Colour, pictogram: Sequence[Outline]) -> Image.Image:
    face = _Face(pixels, round(pixels * 0.87))
    for reach, ink in ((1.0, RED), (0.64, field)):
        base, top = -0.333 - reach * 0.667, -0.333 + reach * 1.333
        face.fill([(-reach, base), (reach, base), (0, top)], ink)
    face.pictogram(pictogram, 0.36, -0.36)
    return face.image


def _disc(pixels: int, rim: Colour, field: Colour, corners: int) -> Image.Image:
    face = _Face(pixels, pixels)
    for reach, ink in ((1.0, rim), (0.94 if corners == 8 else 0.78, field)):
        face.fill(disc_outline(reach, 0, corners), ink)
    ink = BLACK if field == WHITE else WHITE
    for left in (-0.5, -0.14, 0.22):
        face.fill([(left, -0.25), (left + 0.26, -0.25), (left + 0.26, 0.25), (left, 0.25)], ink)
    return face.image


def _board(pixels: int, colour: Colour, ink: Colour) -> Image.Image:
    face = _Face(pixels, round(pixels * 0.66))
    for reach, paint in ((1.0, ink), (0.95, colour)):
        face.fill([(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)], paint)
    face.pictogram(TEXT, 0.75, ink=ink)
    return face.image


class _Face:
    """A picture whose sides lie at -1 and 1, height upwards; drawn large and reduced."""

    def __init__(self, width: int, height: int) -> None:
        self._large = Image.new("RGBA", (4 * width, 4 * height))
        self._pen = ImageDraw.Draw(self._large)

    def fill(self, outline: Outline, ink: Colour) -> None:
        width, height = self._large.size
        corners = [((u + 1) / 2 * width, (1 - v) / 2 * height) for u, v in outline]
        self._pen.polygon(corners, fill=(*ink, 255))

    def pictogram(
        self, parts: Sequence[Outline], size: float, middle: float = 0, ink: Colour = BLACK
    ) -> None:
        for outline in parts:
            self.fill([(u * size, middle + v * size) for u, v in outline], ink)

    @property
    def image(self) -> Image.Image:
        return self._large.reduce(4)
