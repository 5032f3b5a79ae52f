"""Barricades, boards, plastic and concrete barriers, fences."""

from __future__ import annotations

import math

import numpy as np

from workzone.scenes.rendered.markers import ORANGE, RED, WHITE, warning_lamp
from workzone.scenes.rendered.material import (
    DARK,
    RUBBER,
    STEEL,
    Colour,
    Material,
    Model,
    Part,
    lean,
    plain,
    sheeting,
    striped,
    surface,
    varied,
    worn,
)
from workzone.scenes.rendered.mesh import Floats, Mesh, box, grid, joined, loft, rod, wavy


def barricade(
    rng: np.random.Generator, wear: float, *, boards: int = 3, width: float = 2.2, red: bool = False
) -> Model:
    """Striped boards on two uprights with long feet; three of them close a road."""
    top = 0.6 + 0.42 * boards
    steel = surface(varied((176, 178, 176), rng), rng, wear, "metal", 0.4)
    parts: Model = []
    for side in (-0.38, 0.38):
        x = side * width
        parts.append(Part(box((0.05, 0.05, top - 0.05), (x, 0.04, top / 2), 0.004), steel))
        parts.append(Part(box((0.06, 1.0, 0.06), (x, 0.04, 0.03), 0.006), steel))
        if rng.random() < 0.6:
            parts += sandbag(rng, wear, x, 0.35)
    ink = varied(RED if red else ORANGE, rng)
    texture = striped(ink, WHITE, max(3, round(width / 0.42)), 0.55, (320, 48))
    for index in range(boards):
        middle = top - 0.14 - index * 0.42
        tilt = lean(rng, 0.6 + wear)
        board = box((width, 0.022, 0.21), (0, 0, 0), 0.004).turned(tilt, "y").moved(z=middle)
        bend = wavy(rng, 0.008 * wear, 1.0)
        parts.append(Part(board.bent(bend), sheeting(texture, rng, wear)))
    if rng.random() < 0.4:
        for side in (-0.38, 0.38):
            parts += warning_lamp(rng, (side * width, 0.04, top))
    return parts


def a_frame(
    rng: np.random.Generator, wear: float, *, boards: int = 2, width: float = 1.3, red: bool = False
) -> Model:
    """Legs that lean against each other, with one or two striped boards on either side."""
    height, spread = 1.05, 0.34
    legs = surface(varied((236, 236, 230), rng), rng, wear)
    parts: Model = []
    ink = varied(RED if red else ORANGE, rng)
    texture = striped(ink, WHITE, max(3, round(width / 0.32)), 0.7, (256, 48))
    for way in (-1, 1):
        for x in (0.07 - width / 2, width / 2 - 0.07):
            leg = rod((x, way * spread, 0.02), (x, way * 0.02, height), 0.024, n=8)
            parts.append(Part(leg, legs))
        angle = math.atan2(spread, height)
        for index in range(boards):
            middle = 0.9 - index * 0.42
            y = way * (spread * (1 - middle / height) + 0.035)
            board = box((width, 0.025, 0.22), (0, 0, 0), 0.006).turned(way * angle, "x")
            parts.append(Part(board.moved(0, y, middle), sheeting(texture, rng, wear)))
    return parts


def barrier_board(rng: np.random.Generator, wear: float, *, width: float = 2.0) -> Model:
    """A red and white board on two rubber feet over a low one, as it closes European roads."""
    parts: Model = []
    posts = surface(STEEL, rng, wear, "metal", 0.45)
    for side in (-0.36, 0.36):
        x = side * width
        parts.append(
            Part(
                box((0.36, 0.8, 0.11), (x, 0.05, 0.055), 0.03),
                surface(RUBBER, rng, 0.9, roughness=0.55),
            )
        )
        parts.append(Part(box((0.06, 0.06, 1.0), (x, 0.05, 0.6), 0.005), posts))
    texture = striped(varied(RED, rng), WHITE, max(3, round(width / 0.5)), 0.0, (256, 48))
    for size, middle in ((0.25, 0.95), (0.11, 0.28)):
        board = box((width, 0.022, size), (0, 0, middle), 0.006)
        parts.append(Part(board, sheeting(texture, rng, wear)))
    if rng.random() < 0.5:
        for side in (-0.42, 0.0, 0.42):
            parts += warning_lamp(rng, (side * width, 0.03, 1.08))
    return parts


def plastic_barrier(
    rng: np.random.Generator, wear: float, *, colour: Colour = ORANGE, length: float = 1.55
) -> Model:
    """A water-filled element: broad foot, narrow ribbed top, slots for forks."""
    ink = varied(colour, rng, 7)
    half = [(0.25, 0.0), (0.25, 0.17), (0.13, 0.42), (0.11, 0.55), (0.105, 0.88), (0.08, 0.95)]
    ring = np.array(half + [(-y, z) for y, z in half[::-1]])
    xs = np.linspace(-length / 2, length / 2, 41)
    rings = []
    for x in xs.tolist():
        share = abs(x) / (length / 2)
        rib = 1 - 0.09 * (abs(math.sin(x / length * math.pi * 4)) > 0.86)
        end = 1 - 0.35 * max(0.0, share - 0.96) / 0.04 * 0.3
        rings.append(np.stack([np.full(len(ring), x), ring[:, 0] * rib * end, ring[:, 1]], -1))
    body = outward(loft(rings)).bent(wavy(rng, 0.006 + 0.012 * wear, 0.5))
    texture = worn(plain(ink), rng, min(1, wear + 0.2))
    slots = [box((0.28, 0.515, 0.1), (side * length * 0.28, 0, 0.06), 0.004) for side in (-1, 1)]
    lid = [rod((0, 0, 0.9), (0, 0, 0.965), 0.05)]
    dark = surface((26, 24, 23), rng, 0.6, "matte")
    joint = box((0.03, 0.16, 0.6), (length / 2 + 0.005, 0, 0.45), 0.01)
    return [
        Part(body, Material(texture, "plastic", 0.38)),
        Part(joined(slots), dark),
        Part(joined([*lid, joint]), Material(texture, "plastic", 0.38)),
    ]


def concrete_barrier(rng: np.random.Generator, wear: float, *, length: float = 3.44) -> Model:
    """A temporary concrete barrier with a reflector on top."""
    half = [(0.3, 0.0), (0.3, 0.08), (0.17, 0.33), (0.1, 0.8), (0.085, 0.82)]
    ring = np.array(half + [(-y, z) for y, z in half[::-1]])
    rings = [
        np.stack([np.full(len(ring), x), ring[:, 0], ring[:, 1]], -1)
        for x in np.linspace(-length / 2, length / 2, 9).tolist()
    ]
    body = outward(loft(rings)).bent(wavy(rng, 0.006, 0.6))
    grey = varied((164, 160, 151), rng, 6)
    slots = [box((0.4, 0.61, 0.07), (side * length * 0.25, 0, 0.035), 0.004) for side in (-1, 1)]
    parts = [
        Part(body, Material(worn(plain(grey, (256, 96)), rng, min(1, wear + 0.4)), "matte")),
        Part(joined(slots), surface((30, 29, 28), rng, 0.5, "matte")),
    ]
    if rng.random() < 0.6:
        reflector = box((0.1, 0.02, 0.12), (0, 0, 0.9), 0.004)
        parts.append(Part(reflector, sheeting(plain(ORANGE), rng, wear)))
    return parts


def mesh_fence(rng: np.random.Generator, wear: float, *, length: float = 2.0) -> Model:
    """A field of orange plastic mesh between two stakes, sagging."""
    height, ink = 1.0, varied((246, 98, 30), rng)
    bend, sag = wavy(rng, 0.03 + 0.03 * wear, 0.7), rng.uniform(0.02, 0.08 + 0.08 * wear)

    def hung(points: Floats) -> Floats:
        share = 1 - (2 * points[:, 0] / length) ** 2
        lower = points - np.stack([0 * share, 0 * share, sag * share * points[:, 2]], -1)
        return bend(lower)

    strips = []
    for z in np.linspace(0.06, height, 17).tolist():
        strips.append(_strip(length, z, 0.032 if z not in (0.06, height) else 0.045))
    for x in np.linspace(-length / 2, length / 2, 29).tolist():
        strips.append(_post_strip(x, height, 0.022))
    plastic = Material(worn(plain(ink), rng, wear), "plastic", 0.4)
    stakes = [rod((x, 0.02, 0), (x, 0.02, 1.15), 0.014, n=8) for x in (-length / 2, length / 2)]
    return [
        Part(joined(strips).bent(hung), plastic),
        Part(joined(stakes), surface((96, 70, 52), rng, wear, "matte")),
    ]


def board_fence(rng: np.random.Generator, wear: float, *, length: float = 2.0) -> Model:
    """A steel frame with two red and white boards, as it fences pits in."""
    texture = striped(varied(RED, rng), WHITE, max(3, round(length / 0.5)), 0.0, (256, 32))
    parts: Model = []
    for low, high in ((0.84, 1.0), (0.2, 0.32)):
        board = box((length - 0.06, 0.02, high - low), (0, 0, (low + high) / 2), 0.004)
        parts.append(Part(board, sheeting(texture, rng, wear)))
    frame = [
        rod((x, 0, 0), (x, 0, 1.02), 0.019, n=8) for x in (0.02 - length / 2, length / 2 - 0.02)
    ]
    frame += [rod((-length / 2, 0, z), (length / 2, 0, z), 0.016, n=8) for z in (0.36, 0.8)]
    frame += [
        rod((x, 0, 0.36), (x, 0, 0.8), 0.007, n=6)
        for x in np.linspace(-length / 2 + 0.12, length / 2 - 0.12, 13).tolist()
    ]
    feet = [rod((x, -0.28, 0.02), (x, 0.28, 0.02), 0.02, n=8) for x in (-length / 2, length / 2)]
    parts.append(Part(joined([*frame, *feet]), surface((168, 172, 174), rng, wear, "metal", 0.4)))
    return parts


def sandbag(rng: np.random.Generator, wear: float, x: float, y: float) -> Model:
    """A bag that keeps a foot down."""
    from workzone.scenes.rendered.mesh import ellipsoid

    bag = ellipsoid((0.2, 0.3, 0.085), (x, y, 0.085)).bent(wavy(rng, 0.03, 0.15))
    colour = varied((196, 178, 142) if rng.random() < 0.6 else (60, 62, 60), rng)
    return [Part(bag, surface(colour, rng, min(1, wear + 0.3), "matte"))]


def railing(rng: np.random.Generator, wear: float, *, colours: tuple[Colour, Colour]) -> Model:
    """Two metres of a pedestrians' barrier of tubes; fixed ones at crossings look like this."""
    first, second = colours
    tubes = [rod((x, 0, 0), (x, 0, 1.0), 0.022, n=10) for x in (-0.98, 0.98)]
    bars = [
        rod((x, 0, 0.2), (x, 0, 0.92), 0.008, n=6) for x in np.linspace(-0.85, 0.85, 13).tolist()
    ]
    rails = [rod((-0.98, 0, z), (0.98, 0, z), 0.02, n=10) for z in (0.2, 0.95)]
    return [
        Part(joined([*tubes, *rails]), surface(varied(first, rng), rng, wear, "metal", 0.4)),
        Part(joined(bars), surface(varied(second, rng), rng, wear, "metal", 0.4)),
    ]


def _strip(length: float, z: float, width: float) -> Mesh:
    xs = np.linspace(-length / 2, length / 2, 21)
    low, high = (
        np.stack([xs, 0 * xs, 0 * xs + level], -1) for level in (z - width / 2, z + width / 2)
    )
    return grid(np.array([low, high]))


def _post_strip(x: float, height: float, width: float) -> Mesh:
    zs = np.linspace(0.06, height, 11)
    left, right = (
        np.stack([0 * zs + across, 0 * zs, zs], -1) for across in (x - width / 2, x + width / 2)
    )
    return grid(np.array([left, right]))


def outward(mesh: Mesh) -> Mesh:
    """A closed body whose faces look outwards, whichever way its rings ran."""
    corners = mesh.vertices[mesh.faces]
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return mesh if volume > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1].copy(), mesh.uv)


STEEL_RAILS: tuple[Colour, Colour] = ((150, 154, 156), (150, 154, 156))
DARK_RAILS: tuple[Colour, Colour] = (DARK, DARK)
RED_RAILS: tuple[Colour, Colour] = ((176, 34, 34), (222, 222, 218))
