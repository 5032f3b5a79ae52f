"""Solid things that objects are put together from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from workzone.scenes.canvas import Canvas, Colour, Quad, rectangle, scaled


@dataclass(frozen=True, slots=True)
class Slab:
    """A level rectangle: metres."""

    x0: float
    x1: float
    z0: float
    z1: float
    y: float


@dataclass(frozen=True, slots=True)
class Faces:
    """What of a solid the camera can see; ``side`` is None where it looks straight at it."""

    front: Quad
    side: Quad | None


def prism(canvas: Canvas, base: Slab, top: Slab, colour: Colour, *, retro: float = 0.0) -> Faces:
    """A box, or with a smaller ``top`` a tapered one. Returns its visible faces for decals."""
    front: Quad = (
        (base.x0, base.y, base.z0),
        (base.x1, base.y, base.z0),
        (top.x1, top.y, top.z0),
        (top.x0, top.y, top.z0),
    )
    side: Quad | None = None
    if canvas.camera.lateral(base.x0, base.z0) > 0:
        side = (
            (base.x0, base.y, base.z1),
            (base.x0, base.y, base.z0),
            (top.x0, top.y, top.z0),
            (top.x0, top.y, top.z1),
        )
    elif canvas.camera.lateral(base.x1, base.z0) < 0:
        side = (
            (base.x1, base.y, base.z0),
            (base.x1, base.y, base.z1),
            (top.x1, top.y, top.z1),
            (top.x1, top.y, top.z0),
        )
    if side:
        canvas.face(side, scaled(colour, 0.72), retro=retro)
    if top.y < canvas.camera.eye:
        lid = [(x, top.y, z) for z in (top.z0, top.z1) for x in (top.x0, top.x1)]
        canvas.face([lid[0], lid[1], lid[3], lid[2]], scaled(colour, 1.12), retro=retro)
    canvas.face(front, scaled(colour, 0.92), retro=retro)
    return Faces(front, side)


def box(
    canvas: Canvas,
    *,
    x: float,
    z: float,
    width: float,
    length: float,
    bottom: float,
    top: float,
    colour: Colour,
    retro: float = 0.0,
) -> Faces:
    """A box centred at ``x`` whose near face is at ``z``."""
    ends = (x - width / 2, x + width / 2, z, z + length)
    return prism(canvas, Slab(*ends, bottom), Slab(*ends, top), colour, retro=retro)


def limb(
    canvas: Canvas,
    x: float,
    z: float,
    start: tuple[float, float],
    end: tuple[float, float],
    thickness: float,
    colour: Colour,
    *,
    retro: float = 0.0,
) -> None:
    """A thick line in the plane that faces the camera, from joint to joint (across, height)."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy) or 1.0
    nx, ny = -dy / length * thickness / 2, dx / length * thickness / 2
    outline = [
        (start[0] + nx, start[1] + ny),
        (end[0] + nx, end[1] + ny),
        (end[0] - nx, end[1] - ny),
        (start[0] - nx, start[1] - ny),
    ]
    canvas.flat(x, z, outline, colour, retro=retro)


def pole(canvas: Canvas, x: float, z: float, height: float, width: float, colour: Colour) -> None:
    """A thin upright post."""
    canvas.flat(x, z, rectangle(-width / 2, 0, width / 2, height), colour)


def wheel(
    canvas: Canvas, x: float, z: float, radius: float, *, hub: Colour = (120, 120, 124)
) -> None:
    """A wheel seen from the side, in the plane of ``x``."""
    for size, colour in ((radius, (22, 22, 24)), (radius * 0.55, hub)):
        turns = [2 * math.pi * step / 14 for step in range(14)]
        canvas.face(
            [(x, radius + size * math.sin(turn), z + size * math.cos(turn)) for turn in turns],
            colour,
        )


def stripes(
    canvas: Canvas, quad: Quad, colour: Colour, *, count: int, slant: float, retro: float = 0.6
) -> None:
    """Slanting bands over a face: ``count`` of them, leaning by ``slant`` of their period."""
    period = 1 / count
    for step in range(-1 - math.ceil(slant), count + 1):
        left, lean = step * period, slant * period
        outline = [
            (left, 0.0),
            (left + period / 2, 0.0),
            (left + period / 2 + lean, 1.0),
            (left + lean, 1.0),
        ]
        clipped = _between_sides(outline)
        if len(clipped) > 2:
            canvas.decal(quad, clipped, colour, retro=retro)


def _between_sides(outline: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """What of a polygon lies between ``u`` 0 and 1, so that slanting bands end in clean cuts."""
    for edge, sign in ((0.0, 1), (1.0, -1)):
        kept: list[tuple[float, float]] = []
        for (u0, v0), (u1, v1) in zip(outline, [*outline[1:], *outline[:1]], strict=True):
            first, second = (u0 - edge) * sign, (u1 - edge) * sign
            if first >= 0:
                kept.append((u0, v0))
            if first * second < 0:
                share = first / (first - second)
                kept.append((edge, v0 + (v1 - v0) * share))
        outline = kept
    return outline


def disc_outline(radius: float, height: float, corners: int = 16) -> list[tuple[float, float]]:
    """A circle (or with few corners a polygon standing on an edge) for `Canvas.flat`."""
    start = math.pi / corners
    return [
        (
            radius * math.sin(start + 2 * math.pi * step / corners),
            height - radius * math.cos(start + 2 * math.pi * step / corners),
        )
        for step in range(corners)
    ]
