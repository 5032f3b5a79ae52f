"""What surfaces are made of: colours with wear and dirt, gloss, sheeting, lamps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from workzone.scenes.rendered.mesh import Mesh

Colour = tuple[int, int, int]
"""sRGB, 0..255."""
Texture = npt.NDArray[np.uint8]
"""``[H, W, 3]`` sRGB, the upper row first."""

MUD = (112, 98, 80)
RUBBER: Colour = (34, 33, 33)
STEEL: Colour = (128, 130, 132)
DARK: Colour = (42, 43, 46)
GLASS: Colour = (22, 27, 31)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A surface.

    ``gloss``: ``matte``, ``plastic``, ``paint`` or ``metal``; ``roughness``: 0..1; ``retro``: how
    many times brighter than white paint it looks in headlights (0: no sheeting); ``lamp``: how
    bright it shines of itself, in multiples of white paper by day.
    """

    texture: Texture
    gloss: str = "plastic"
    roughness: float = 0.3
    retro: float = 0.0
    lamp: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A body of one material."""

    mesh: Mesh
    material: Material


Model = list[Part]
"""The parts of an object."""


def plain(colour: Colour, size: tuple[int, int] = (96, 96)) -> Texture:
    """One colour all over; ``size`` is width and height in pixels."""
    return np.full((size[1], size[0], 3), colour, np.uint8)


def banded(
    colour: Colour, bands: Sequence[tuple[float, float, Colour]], size: tuple[int, int] = (96, 256)
) -> Texture:
    """Level bands between heights 0..1 on a colour."""
    texture = plain(colour, size)
    for low, high, ink in bands:
        texture[round((1 - high) * size[1]) : round((1 - low) * size[1])] = ink
    return texture


def striped(
    first: Colour, second: Colour, count: float, slant: float, size: tuple[int, int] = (256, 64)
) -> Texture:
    """``count`` pairs of stripes across; ``slant``: how far they lean over their height."""
    width, height = size
    across, down = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    second_here = ((across * count + down * slant) % 1 >= 0.5)[..., None]
    return np.where(second_here, np.array(second), np.array(first)).astype(np.uint8)


def painted(texture: Texture) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture of a texture, and a pen for it."""
    picture = Image.fromarray(texture)
    return picture, ImageDraw.Draw(picture)


def worn(texture: Texture, rng: np.random.Generator, wear: float) -> Texture:
    """A texture after some time on the road.

    Colours fade and go blotchy, rain leaves streaks, mud gathers below, and things that touch it
    leave scuffs.

    Args:
        texture: clean.
        rng: of where.
        wear: 0 (new) to 1.
    """
    height, width = texture.shape[:2]
    base = texture.astype(np.float32)
    grey = base.mean(axis=2, keepdims=True)
    faded = base + (grey * 0.5 + 96 - base) * np.float32(0.22 * wear)
    blotches = clouds(rng, height, width, (5, 5)) * 0.6 + clouds(rng, height, width, (17, 17)) * 0.4
    streaks = clouds(rng, height, width, (4, 40))
    dirt = np.clip(blotches * 1.6 - 0.75 + 0.5 * wear, 0, 1) * (0.15 + 0.4 * wear)
    dirt = dirt + np.clip(streaks - 0.55, 0, 1) * 0.7 * wear
    rows = np.linspace(1, 0, height, dtype=np.float32)[:, None]
    splash = np.exp(-rows / (0.06 + 0.16 * wear)) * (0.4 + 0.8 * blotches) * (0.2 + 0.6 * wear)
    dirt = np.clip(dirt + splash, 0, 0.9)[..., None].astype(np.float32)
    mud = np.array(MUD, np.float32) * np.float32(rng.uniform(0.55, 1.1))
    soiled = faded * (1 - dirt) + mud * dirt
    picture, pen = painted(np.clip(soiled, 0, 255).astype(np.uint8))
    for _ in range(rng.poisson(7 * wear)):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dx, dy = rng.normal(0, width * 0.12), rng.normal(0, height * 0.05)
        tone = int(rng.uniform(20, 90))
        pen.line([(x, y), (x + dx, y + dy)], fill=(tone, tone, tone), width=int(rng.integers(1, 3)))
    grain = rng.normal(0, 1.5 + 2.5 * wear, (height, width, 1))
    return np.clip(np.asarray(picture, np.float32) + grain, 0, 255).astype(np.uint8)


def clouds(
    rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Smooth noise 0..1 of so many cells down and across."""
    field = Image.fromarray(rng.random((max(2, cells[0]), max(2, cells[1])), np.float32))
    return np.asarray(field.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def varied(colour: Colour, rng: np.random.Generator, spread: float = 9) -> Colour:
    """A colour as another batch of paint has it."""
    red, green, blue = (int(np.clip(value + rng.normal(0, spread), 0, 255)) for value in colour)
    return red, green, blue


def surface(
    colour: Colour,
    rng: np.random.Generator,
    wear: float,
    gloss: str = "plastic",
    roughness: float = 0.35,
) -> Material:
    """A worn surface of one colour."""
    return Material(worn(plain(colour), rng, wear), gloss, roughness)


def sheeting(texture: Texture, rng: np.random.Generator, wear: float, retro: float = 5) -> Material:
    """Retroreflective sheeting."""
    return Material(worn(texture, rng, wear), "plastic", 0.25, retro)


def lean(rng: np.random.Generator, degrees: float) -> float:
    """A small angle by lot, radians: nothing on a road stands quite upright."""
    return math.radians(float(np.clip(rng.normal(0, degrees), -2.5 * degrees, 2.5 * degrees)))
