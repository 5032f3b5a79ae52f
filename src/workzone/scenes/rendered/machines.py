"""Machines of a site, and heaps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from workzone.scenes.rendered.material import (
    DARK,
    GLASS,
    RUBBER,
    STEEL,
    Colour,
    Material,
    Model,
    Part,
    plain,
    striped,
    surface,
    varied,
    worn,
)
from workzone.scenes.rendered.mesh import (
    Flat,
    Floats,
    Mesh,
    beam,
    box,
    grid,
    joined,
    revolve,
    rod,
    wavy,
)

MACHINE_COLOURS: tuple[Colour, ...] = (
    (236, 168, 20),
    (240, 176, 34),
    (232, 104, 24),
    (214, 184, 60),
)


def excavator(rng: np.random.Generator, wear: float, *, colour: Colour, size: float = 1.0) -> Model:
    """An excavator with its boom to the right; ``size`` 0.5 is a mini excavator."""
    wear = min(1, wear + 0.25)
    paint = surface(varied(colour, rng), rng, wear, "paint")
    dark = surface((40, 40, 42), rng, wear, roughness=0.5)
    steel = surface((88, 86, 84), rng, wear, "metal", 0.5)
    glass = Material(plain(GLASS), "plastic", 0.06)
    parts = [
        Part(_track(3.5, 0.55, y), surface((52, 48, 44), rng, 0.9, "metal", 0.6))
        for y in (-1.05, 1.05)
    ]
    house_turn = rng.normal(0, 0.25)
    upper: Model = [
        Part(box((1.2, 1.2, 0.3), (0, 0, 0.85), 0.05), dark),
        Part(box((2.0, 2.4, 0.25), (-0.35, 0, 1.08), 0.04), dark),
        Part(box((1.5, 2.4, 0.95), (-0.85, 0, 1.62), 0.12), paint),
        Part(box((0.9, 1.0, 0.7), (0.15, 0.65, 1.5), 0.06), paint),
        Part(box((0.05, 1.5, 0.5), (-1.605, 0, 1.6), 0.01), dark),
        Part(box((1.55, 1.0, 1.6), (0.28, -0.68, 1.98), 0.1), paint),
        Part(box((1.25, 0.02, 0.95), (0.3, -1.185, 2.2), 0.01), glass),
        Part(box((0.02, 0.8, 1.15), (1.06, -0.68, 2.15), 0.01), glass),
        Part(box((0.02, 0.8, 0.8), (-0.5, -0.68, 2.3), 0.01), glass),
        Part(box((1.2, 0.02, 0.9), (0.3, -0.175, 2.25), 0.01), glass),
        Part(rod((-0.9, 0.6, 2.0), (-0.9, 0.6, 2.5), 0.06), dark),
    ]
    reach, dip = rng.uniform(0.85, 1.15), rng.uniform(-0.3, 0.5)
    knee = (2.3 * reach + 0.4, 4.2 - dip)
    wrist = (knee[0] + 1.25 * reach, knee[1] - 2.0 - 0.4 * dip)
    boom = [
        ((0.55, 1.15), (0.75, 1.55)),
        ((1.0, 2.5), (1.35, 2.2)),
        ((1.5, 3.55), (1.85, 3.05)),
        ((knee[0] - 0.3, knee[1] + 0.12), (knee[0] - 0.25, knee[1] - 0.2)),
        ((knee[0] + 0.05, knee[1] + 0.1), (knee[0] + 0.05, knee[1] - 0.12)),
    ]
    arm = [
        ((knee[0] - 0.45, knee[1] + 0.42), (knee[0] - 0.5, knee[1] + 0.2)),
        ((knee[0] + 0.2, knee[1] + 0.22), (knee[0] - 0.05, knee[1] - 0.18)),
        ((wrist[0] + 0.1, wrist[1]), (wrist[0] - 0.12, wrist[1] - 0.05)),
    ]
    cup = _bucket(wrist)
    cylinders = [
        rod((1.2, 0, 1.25), (1.9, 0, 3.0), 0.07),
        rod((1.6, 0, 3.7), (knee[0] - 0.4, 0, knee[1] + 0.35), 0.06),
        rod((knee[0], 0, knee[1] + 0.25), (wrist[0] + 0.2, 0, wrist[1] + 0.25), 0.05),
    ]
    upper += [
        Part(_sideways(beam(boom, 0.38)), paint),
        Part(_sideways(beam(arm, 0.3)), paint),
        Part(cup, steel),
        Part(joined(cylinders), surface((150, 150, 150), rng, 0.2, "metal", 0.25)),
    ]
    parts += [Part(p.mesh.turned(house_turn), p.material) for p in upper]
    return [Part(p.mesh.scaled(size), p.material) for p in parts]


def roller(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A tandem roller seen from behind, below a roof on four posts."""
    wear = min(1, wear + 0.2)
    paint = surface(varied(colour, rng), rng, wear, "paint")
    dark = surface(DARK, rng, wear)
    drum = _lying(
        revolve(
            [(0.001, -0.72), (0.52, -0.72), (0.55, -0.7), (0.55, 0.7), (0.52, 0.72), (0.001, 0.72)],
            48,
        )
    )
    steel = surface((120, 118, 114), rng, wear, "metal", 0.35)
    posts = [rod((x, y, 1.1), (x, y, 2.35), 0.03) for x in (-0.6, 0.6) for y in (0.7, 2.0)]
    return [
        Part(drum.moved(0, 0.55, 0.55), steel),
        Part(drum.moved(0, 2.75, 0.55), steel),
        Part(box((1.25, 2.6, 0.5), (0, 1.65, 1.0), 0.1), paint),
        Part(box((1.6, 0.9, 0.14), (0, 0.6, 1.15), 0.05), paint),
        Part(box((1.6, 0.9, 0.14), (0, 2.7, 1.15), 0.05), paint),
        Part(box((0.08, 0.6, 0.75), (-0.78, 0.55, 0.85), 0.03), paint),
        Part(box((0.08, 0.6, 0.75), (0.78, 0.55, 0.85), 0.03), paint),
        Part(box((0.55, 0.5, 0.6), (0.1, 1.3, 1.5), 0.08), dark),
        Part(joined(posts), dark),
        Part(box((1.45, 1.7, 0.1), (0, 1.35, 2.4), 0.05), paint),
    ]


def paver(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A paver seen from behind: screed, controls, roof, hopper."""
    wear = min(1, wear + 0.3)
    paint, dark = surface(varied(colour, rng), rng, wear, "paint"), surface(DARK, rng, wear)
    steel = surface((96, 94, 92), rng, wear, "metal", 0.5)
    chevrons = Material(
        worn(striped((222, 180, 30), (24, 24, 24), 12, 0.8), rng, wear), "plastic", 0.3
    )
    hopper = beam([((4.4, 0.5), (4.4, 1.4)), ((6.1, 0.4), (6.3, 1.5))], 2.9)
    posts = [rod((x, y, 1.7), (x, y, 3.05), 0.035) for x in (-0.95, 0.95) for y in (1.1, 2.9)]
    return [
        *(Part(_track(3.2, 0.4, 0).turned(math.pi / 2).moved(x, 2.7), dark) for x in (-1.05, 1.05)),
        Part(box((2.3, 3.6, 1.1), (0, 2.7, 1.2), 0.08), paint),
        Part(box((2.0, 0.05, 0.6), (0, 0.88, 1.3), 0.02), dark),
        Part(hopper, paint),
        Part(box((3.3, 0.9, 0.42), (0, 0.45, 0.26), 0.04), steel),
        Part(box((3.3, 0.02, 0.14), (0, -0.01, 0.42), 0.004), chevrons),
        *(Part(box((0.25, 0.1, 0.32), (x, 0.2, 1.15), 0.02), dark) for x in (-1.45, 1.45)),
        Part(joined([rod((x, 0.25, 0.45), (x, 0.25, 1.1), 0.025) for x in (-1.45, 1.45)]), steel),
        *(Part(box((0.5, 0.5, 0.55), (x, 1.4, 2.0), 0.06), dark) for x in (-0.7, 0.7)),
        Part(joined(posts), dark),
        Part(box((2.4, 2.3, 0.12), (0, 2.0, 3.1), 0.05), paint),
    ]


def compressor(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A compressor or generator on a trailer, seen from behind."""
    paint = surface(varied(colour, rng), rng, wear, "paint")
    dark = surface(DARK, rng, wear)
    body = box((1.3, 2.0, 0.85), (0, 1.05, 0.95), 0.13)
    red = Material(plain((150, 18, 18)), "plastic", 0.2, retro=2)
    return [
        Part(body.bent(wavy(rng, 0.006 + 0.01 * wear, 0.6)), paint),
        Part(box((1.0, 0.03, 0.42), (0, 0.045, 1.0), 0.01), dark),
        Part(box((1.34, 2.1, 0.1), (0, 1.05, 0.5), 0.03), dark),
        Part(rod((0, 2.0, 0.5), (0, 3.1, 0.42), 0.04), dark),
        *(Part(box((0.16, 0.03, 0.1), (x, -0.01, 0.52), 0.01), red) for x in (-0.55, 0.55)),
        *trailer_wheels(rng, wear, 1.45, 1.1, 0.31),
    ]


def light_tower(rng: np.random.Generator, wear: float) -> Model:
    """Floodlights on a mast over a small generator."""
    parts = compressor(rng, wear, colour=(232, 182, 36))
    steel = surface(STEEL, rng, wear, "metal", 0.4)
    mast = [rod((0, 1.0, 1.3), (0, 1.0, 5.0), 0.05), rod((-0.6, 1.0, 5.0), (0.6, 1.0, 5.0), 0.03)]
    lamp = Material(plain((250, 248, 235)), "plastic", 0.2, lamp=3.0 if rng.random() < 0.4 else 0.0)
    parts.append(Part(joined(mast), steel))
    for x in (-0.5, -0.17, 0.17, 0.5):
        parts.append(Part(box((0.28, 0.14, 0.34), (x, 0.96, 5.0), 0.02), steel))
        parts.append(Part(box((0.24, 0.02, 0.3), (x, 0.88, 5.0), 0.01), lamp))
    return parts


def heap(rng: np.random.Generator, wear: float, *, colour: Colour = (138, 112, 84)) -> Model:
    """Dug-out earth, sand or gravel."""
    turn = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    width, height = rng.uniform(1.0, 1.5), rng.uniform(0.6, 0.9)
    lobes = 1 + sum(rng.uniform(0, 0.14) * np.sin(n * turn + rng.uniform(0, 6)) for n in (1, 2, 3))
    rings = []
    for share in np.linspace(0, 1, 26).tolist():
        radius = width * (1 - share) * lobes + 0.02
        level = height * (1 - (1 - share) ** 1.35)
        ring = [radius * np.cos(turn), radius * np.sin(turn) * 0.8, np.full(64, level - 0.03)]
        rings.append(np.stack(ring, -1))
    mound = grid(np.array(rings), closed=True)
    for amount, size in ((0.1, 0.7), (0.045, 0.3), (0.02, 0.12)):
        rough = wavy(rng, amount, size)(mound.vertices) - mound.vertices
        lift = np.minimum(mound.vertices[:, 2:] / 0.3, 1) * rough.sum(axis=1, keepdims=True)
        mound = Mesh(mound.vertices + lift * np.array([0, 0, 1]), mound.faces, mound.uv)
    texture = worn(plain(varied(colour, rng, 12), (192, 192)), rng, 1.0)
    noise = rng.normal(1, 0.16, (*texture.shape[:2], 1))
    grainy = np.clip(texture * noise, 0, 255).astype(np.uint8)
    return [Part(mound, Material(grainy, "matte"))]


def trailer_wheels(
    rng: np.random.Generator, wear: float, track: float, y: float, radius: float
) -> Model:
    """A pair of wheels ``track`` metres apart, at ``y`` metres behind an object's front."""
    return [
        part
        for side in (-1, 1)
        for part in wheel(rng, wear, (side * track / 2, y, radius), radius, 0.17)
    ]


def wheel(
    rng: np.random.Generator,
    wear: float,
    centre: tuple[float, float, float],
    radius: float,
    width: float,
    hub: Colour = (140, 142, 145),
) -> Model:
    """A tyre and its rim, whose axle lies across."""
    half = width / 2
    tyre = [
        (radius * 0.62, -half),
        (radius * 0.9, -half),
        (radius, -half * 0.7),
        (radius, half * 0.7),
        (radius * 0.9, half),
        (radius * 0.62, half),
    ]
    rim = [
        (0.001, -half * 0.55),
        (radius * 0.2, -half * 0.6),
        (radius * 0.5, -half * 0.25),
        (radius * 0.63, -half * 0.85),
        (radius * 0.63, half * 0.85),
        (radius * 0.5, half * 0.25),
        (radius * 0.2, half * 0.6),
        (0.001, half * 0.55),
    ]
    return [
        Part(
            _lying(revolve(tyre, 32)).moved(*centre),
            surface(RUBBER, rng, 0.5 + wear / 3, roughness=0.5),
        ),
        Part(_lying(revolve(rim, 24)).moved(*centre), surface(hub, rng, wear, "metal", 0.35)),
    ]


def disc(radius: float, thickness: float) -> Mesh:
    """A round plate whose axis lies across the view."""
    half = thickness / 2
    return _lying(revolve([(0.001, -half), (radius, -half), (radius, half), (0.001, half)], 32))


def _lying(mesh: Mesh) -> Mesh:
    """A body of revolution with its axis across the view."""
    return mesh.turned(math.pi / 2, "y")


def _track(length: float, width: float, y: float) -> Mesh:
    """A crawler track along the x axis."""
    half, radius = length / 2, 0.4
    ends = np.radians(np.linspace(-90, 90, 9)).tolist()
    right = [(half - radius + radius * math.cos(t), radius + radius * math.sin(t)) for t in ends]
    left = [(-x, z) for x, z in right[::-1]]
    ring = right + left
    rings = [
        np.array([(x * s, y + side * width / 2, radius + (z - radius) * s) for x, z in ring])
        for side, s in ((-1, 0.9), (-0.9, 1.0), (0.9, 1.0), (1, 0.9))
    ]
    from workzone.scenes.rendered.barriers import outward
    from workzone.scenes.rendered.mesh import loft

    body = outward(loft(rings))
    lugs = [
        box((0.06, width * 1.02, 0.035), (x, y, z), 0.006)
        for x in np.linspace(-half + 0.4, half - 0.4, round(length / 0.22)).tolist()
        for z in (0.012, 0.8)
    ]
    return joined([body, *lugs])


def _bucket(wrist: Flat) -> Mesh:
    x, z = wrist
    outline: Sequence[tuple[Flat, Flat]] = [
        ((x + 0.1, z + 0.05), (x - 0.1, z - 0.05)),
        ((x + 0.42, z - 0.2), (x - 0.12, z - 0.35)),
        ((x + 0.4, z - 0.7), (x - 0.25, z - 0.55)),
        ((x + 0.05, z - 1.0), (x - 0.4, z - 0.7)),
        ((x - 0.35, z - 0.98), (x - 0.5, z - 0.75)),
    ]
    return _sideways(beam(outline, 0.95))


def _sideways(mesh: Mesh) -> Mesh:
    """What lies in the plane of y and z, in that of x and z: ahead becomes right."""

    def turn(points: Floats) -> Floats:
        return np.stack([points[:, 1], -points[:, 0], points[:, 2]], -1)

    return mesh.bent(turn)
