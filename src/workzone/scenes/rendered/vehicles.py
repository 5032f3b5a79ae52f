"""Cars, vans, lorries and a crew's vehicles: lofted bodies with glass, lamps and wheels.

All are built with their rear towards the viewer at ``y = 0``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workzone.scenes.place import pick
from workzone.scenes.rendered.barriers import outward
from workzone.scenes.rendered.machines import disc, wheel
from workzone.scenes.rendered.markers import AMBER, RED
from workzone.scenes.rendered.material import (
    DARK,
    GLASS,
    Colour,
    Material,
    Model,
    Part,
    painted,
    plain,
    striped,
    surface,
    varied,
    worn,
)
from workzone.scenes.rendered.mesh import Floats, Mesh, beam, box, joined, loft, rod

CAR_COLOURS: tuple[Colour, ...] = (
    (226, 226, 224),
    (28, 29, 32),
    (112, 116, 122),
    (168, 172, 176),
    (142, 26, 30),
    (34, 58, 108),
    (58, 72, 60),
    (180, 168, 146),
)
WARM_COLOURS: tuple[Colour, ...] = ((232, 96, 24), (240, 124, 24), (236, 176, 34), (204, 62, 30))
WORK_COLOURS: tuple[Colour, ...] = ((236, 112, 26), (240, 168, 34), (228, 228, 224), (60, 84, 116))


@dataclass(frozen=True, slots=True)
class Body:
    """Measures of a car, metres: rear overhang of the cabin, its roof, bonnet."""

    length: float
    width: float
    waist: float
    roof: float
    cabin: tuple[
        float, float, float, float
    ]  # y of: rear foot, roof's rear, roof's front, front foot
    radius: float


SALOON = Body(4.5, 1.8, 0.93, 1.44, (0.45, 1.15, 2.55, 3.3), 0.32)
HATCHBACK = Body(4.0, 1.76, 0.96, 1.5, (0.06, 0.45, 2.1, 2.95), 0.31)
ESTATE = Body(4.6, 1.84, 1.02, 1.68, (0.05, 0.4, 2.6, 3.4), 0.36)
PICKUP = Body(5.3, 1.92, 1.05, 1.82, (1.9, 2.1, 3.3, 4.0), 0.39)


def car(
    rng: np.random.Generator, wear: float, *, colour: Colour, stripe: Colour | None = None
) -> Model:
    """A car; with a ``stripe`` one of an emergency service, with a light bar."""
    body = pick(rng, (SALOON, HATCHBACK, ESTATE))
    parts = _car(rng, wear * 0.5, body, varied(colour, rng, 5), stripe)
    if stripe is not None:
        parts += _light_bar(
            rng, (0, (body.cabin[1] + body.cabin[2]) / 2, body.roof + 0.06), blue=True
        )
    return parts


def service_truck(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A pick-up of a crew: chevrons on its tailgate, tools on its bed, an amber light bar."""
    body = PICKUP
    parts = _car(rng, wear, body, varied(colour, rng, 5), None)
    bed = box((1.5, 1.5, 0.1), (0, 1.0, 1.06), 0.02)
    parts.append(Part(bed, surface((30, 30, 30), rng, 0.8, "matte")))
    for _ in range(int(rng.integers(2, 6))):
        size = tuple(rng.uniform(0.2, 0.5, 3).tolist())
        spot = (rng.uniform(-0.5, 0.5), rng.uniform(0.5, 1.5), 1.1 + size[2] / 2)
        colour_of_tool = pick(rng, ((60, 60, 64), (150, 60, 30), (200, 170, 60), (110, 84, 60)))
        load = box((size[0], size[1], size[2]), spot, 0.03)
        parts.append(Part(load, surface(colour_of_tool, rng, 0.8)))
    parts += _chevrons(rng, wear, 1.62, 0.5, (0, -0.02, 0.82))
    return parts + _light_bar(rng, (0, 2.7, body.roof + 0.06), blue=False)


def van(rng: np.random.Generator, wear: float, *, colour: Colour, work: bool = False) -> Model:
    """A delivery van, or with ``work`` one of a crew."""
    paint, glass = _paint(varied(colour, rng, 5), rng, wear), _glass()
    width, length, roof = 2.0, 5.4, 2.35
    profile = [
        (0.0, 0.98),
        (0.15, 1.0),
        (3.6, 1.0),
        (4.1, 0.97),
        (4.75, 0.62),
        (5.25, 0.48),
        (5.4, 0.4),
    ]
    rings = [
        _ring(
            y, 0.34, 0.34 + (roof - 0.34) * top, width / 2 * (0.96 if y in (0.0, 5.4) else 1), 0.88
        )
        for y, top in profile
    ]
    hull = outward(loft(rings))
    parts = [Part(hull, paint)]
    for x in (-0.43, 0.43):
        parts.append(Part(box((0.7, 0.02, 0.6), (x, -0.005, 1.7), 0.01), glass))
        parts.append(
            Part(box((0.12, 0.06, 0.42), (x * 2.05, 0.0, 1.2), 0.02), _lens((140, 16, 18)))
        )
        parts.append(Part(box((0.03, 0.9, 0.55), (x * 2.27, 3.95, 1.6), 0.01), glass))
    parts.append(Part(box((0.012, 0.02, 1.75), (0, -0.004, 1.35), 0.002), surface(DARK, rng, 0.2)))
    parts.append(Part(_windscreen(4.05, 4.8, 2.2, 1.55, 1.6), glass))
    parts += _ends(rng, wear, width, length, 0.5)
    parts += _wheels(rng, wear, width, 0.35, (1.0, 4.45), 0.36)
    if work:
        parts += _chevrons(rng, wear, 1.7, 0.75, (0, -0.02, 0.9))
        parts += _light_bar(rng, (0, 3.4, roof + 0.05), blue=False)
    return parts


def lorry(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A lorry with a plain box body."""
    wear = min(1, wear + 0.1)
    parts = _chassis(rng, wear, 8.2, varied(colour, rng, 5))
    body = varied(pick(rng, ((226, 226, 222), colour, (190, 194, 198))), rng, 5)
    parts += [
        Part(box((2.5, 6.0, 2.7), (0, 3.0, 2.35), 0.03), _paint(body, rng, wear)),
        Part(box((0.03, 0.02, 2.5), (0, -0.01, 2.3), 0.004), surface(DARK, rng, 0.3)),
        Part(
            joined([rod((x, -0.03, 1.1), (x, -0.03, 3.5), 0.018) for x in (-0.3, 0.3)]),
            surface((150, 150, 150), rng, wear, "metal", 0.4),
        ),
    ]
    return parts


def bus(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A city bus with a lit destination sign."""
    paint, glass = _paint(varied(colour, rng, 5), rng, wear), _glass()
    parts = [
        Part(box((2.5, 11.5, 2.75), (0, 5.75, 1.72), 0.14), paint),
        Part(box((2.1, 0.02, 1.0), (0, -0.005, 2.1), 0.02), glass),
        *(Part(box((0.02, 10.6, 0.95), (x, 5.8, 2.1), 0.01), glass) for x in (-1.25, 1.25)),
        Part(box((2.2, 0.02, 1.2), (0, 11.5, 1.95), 0.02), glass),
    ]
    picture, pen = painted(plain((8, 8, 8), (128, 24)))
    for x in range(14, 110, 12):
        pen.rectangle((x, 6, x + int(rng.integers(4, 10)), 17), fill=AMBER)
    text = Material(np.asarray(picture), "plastic", 0.2, lamp=2.0)
    parts.append(Part(box((1.3, 0.02, 0.24), (0, -0.012, 2.82), 0.004), text))
    parts += _ends(rng, wear, 2.5, 11.5, 0.62)
    return parts + _wheels(rng, wear, 2.45, 0.48, (2.9, 9.0), 0.3)


def tipper(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A crew's tipper: a dirty body, chevrons on its tailgate, a beacon on its cab."""
    wear = min(1, wear + 0.25)
    paint = varied(colour, rng, 5)
    parts = _chassis(rng, wear, 6.6, paint)
    tub = beam([((0.05, 1.0), (0.0, 2.05)), ((4.3, 1.0), (4.35, 2.25))], 2.4)
    ribs = [box((2.46, 0.09, 1.05), (0, y, 1.53), 0.02) for y in np.linspace(0.4, 4.0, 6).tolist()]
    body = _paint(
        varied((110, 112, 114) if rng.random() < 0.4 else paint, rng), rng, min(1, wear + 0.2)
    )
    parts += [Part(tub, body), Part(joined(ribs), body)]
    parts += _chevrons(rng, wear, 2.2, 0.8, (0, -0.03, 1.5))
    return parts + _light_bar(rng, (0, 5.4, 2.85), blue=False)


def motorcycle(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A parked scooter, seen from behind."""
    paint, dark = _paint(varied(colour, rng), rng, wear), surface(DARK, rng, 0.3)
    return [
        *wheel(rng, wear, (0, 0.3, 0.26), 0.26, 0.1),
        *wheel(rng, wear, (0, 1.5, 0.26), 0.26, 0.1),
        Part(box((0.34, 0.75, 0.3), (0, 0.5, 0.6), 0.1), paint),
        Part(box((0.28, 0.7, 0.12), (0, 0.5, 0.8), 0.05), dark),
        Part(box((0.3, 0.5, 0.08), (0, 1.0, 0.34), 0.03), dark),
        Part(box((0.42, 0.1, 0.7), (0, 1.3, 0.68), 0.05).turned(-0.25, "x"), paint),
        Part(rod((-0.32, 1.25, 1.1), (0.32, 1.25, 1.1), 0.018), dark),
        Part(rod((0, 1.28, 0.8), (0, 1.25, 1.1), 0.03), dark),
        Part(box((0.14, 0.05, 0.08), (0, 0.1, 0.62), 0.02), _lens((150, 18, 20))),
    ]


def _car(
    rng: np.random.Generator, wear: float, body: Body, colour: Colour, stripe: Colour | None
) -> Model:
    half, length = body.width / 2, body.length
    stations = [
        (0.0, 0.9, 0.86),
        (0.06, 0.97, 0.95),
        (0.25, 1.0, 1.0),
        (length * 0.5, 1.0, 1.0),
        (body.cabin[3] + 0.05, 0.99, 1.0),
        (length - 0.45, 0.95, 0.9),
        (length - 0.12, 0.88, 0.76),
        (length, 0.76, 0.62),
    ]
    rings = [
        _ring(y, 0.26, 0.26 + (body.waist - 0.26) * top, half * wide, 0.94)
        for y, wide, top in stations
    ]
    paint = _paint(colour, rng, wear)
    foot_rear, roof_rear, roof_front, foot_front = body.cabin
    low = body.waist - 0.06
    cabin = [
        _ring(foot_rear, low, low + 0.05, half * 0.9, 0.96),
        _ring((foot_rear + roof_rear) / 2, low, (low + body.roof) / 2 + 0.06, half * 0.93, 0.86),
        _ring(roof_rear, low, body.roof - 0.03, half * 0.94, 0.76),
        _ring((roof_rear + roof_front) / 2, low, body.roof, half * 0.95, 0.76),
        _ring(roof_front, low, body.roof - 0.04, half * 0.94, 0.76),
        _ring((roof_front + foot_front) / 2, low, (low + body.roof) / 2 + 0.03, half * 0.93, 0.86),
        _ring(foot_front, low, low + 0.05, half * 0.9, 0.96),
    ]
    glasshouse = outward(loft(cabin))
    roof = [
        _ring(y, body.roof - 0.1, top + 0.012, half * 0.8, 0.92)
        for y, top in (
            (roof_rear - 0.02, body.roof - 0.035),
            ((roof_rear + roof_front) / 2, body.roof),
            (roof_front + 0.04, body.roof - 0.05),
        )
    ]
    parts = [
        Part(outward(loft(rings)), paint),
        Part(glasshouse, _glass()),
        Part(outward(loft(roof)), paint),
        *_pillars(body, low, half, paint),
        *_ends(rng, wear, body.width * 0.94, length, 0.4),
        *_wheels(rng, wear, body.width, body.radius, (0.8, length - 0.85), 0.2),
    ]
    lamp = 2.5 if rng.random() < 0.2 else 0.0
    for side in (-1, 1):
        tail = box((0.3, 0.08, 0.15), (side * half * 0.74, 0.02, body.waist - 0.14), 0.03)
        parts.append(Part(tail, _lens((168, 18, 20), lamp)))
        head = box((0.34, 0.1, 0.12), (side * half * 0.66, length - 0.12, 0.62), 0.03)
        parts.append(Part(head, _lens((226, 230, 234), lamp)))
        mirror = box((0.2, 0.1, 0.13), (side * (half + 0.06), foot_front - 0.35, low + 0.1), 0.04)
        parts.append(Part(mirror, paint))
        if stripe is not None:
            band = box((0.012, length * 0.7, 0.22), (side * half * 0.985, length * 0.5, 0.7), 0.004)
            parts.append(
                Part(band, Material(striped(stripe, (230, 226, 60), 7, 0), "plastic", 0.25, 3))
            )
    return parts


def _pillars(body: Body, low: float, half: float, paint: Material) -> Model:
    foot_rear, roof_rear, roof_front, foot_front = body.cabin
    middle = (roof_rear + roof_front) / 2 + 0.05
    rods = []
    for side in (-1, 1):
        for foot, head in ((foot_rear, roof_rear), (middle, middle), (foot_front, roof_front)):
            rods.append(
                rod(
                    (side * half * 0.9, foot, low),
                    (side * half * 0.735, head, body.roof - 0.05),
                    0.035,
                    n=8,
                )
            )
    return [Part(joined(rods), paint)]


def _ring(y: float, low: float, high: float, half: float, top: float) -> Floats:
    """A cross-section: upright sides that lean in to ``top`` of the width, a crowned top."""
    z = low + (high - low) * np.array([0.0, 0.06, 0.35, 0.7, 0.9])
    lean_in = np.array([0.92, 0.98, 1.0, 1 - (1 - top) * 0.6, 1 - (1 - top) * 0.9])
    right = np.stack([half * lean_in, np.full(5, y), z], -1)
    turn = np.linspace(0.25, math.pi - 0.25, 9)
    cap = np.stack(
        [
            half * top * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.6,
            np.full(9, y),
            high - (high - low) * 0.1 * (1 - np.abs(np.sin(turn)) ** 0.6),
        ],
        -1,
    )
    left = right[::-1] * np.array([-1, 1, 1])
    return np.concatenate([right, cap, left])


def _windscreen(y0: float, y1: float, top: float, bottom: float, width: float) -> Mesh:
    slab = beam(
        [((y0, top), (y0 - 0.02, top + 0.01)), ((y1, bottom), (y1 - 0.02, bottom + 0.01))], width
    )
    return slab.moved(0, 0.04, 0.02)


def _chassis(rng: np.random.Generator, wear: float, length: float, colour: Colour) -> Model:
    """Frame, wheels, lamps and the cab of a lorry."""
    paint, dark = _paint(colour, rng, wear), surface(DARK, rng, min(1, wear + 0.3))
    cab = length - 1.0
    parts = [
        Part(box((0.9, length - 1, 0.3), (0, length / 2, 0.78), 0.03), dark),
        Part(box((2.3, 1.9, 1.95), (0, cab, 1.75), 0.16), paint),
        Part(box((2.0, 0.02, 0.75), (0, cab + 0.96, 2.15), 0.01), _glass()),
        *(
            Part(box((0.02, 0.8, 0.7), (x, cab + 0.2, 2.15), 0.01), _glass())
            for x in (-1.155, 1.155)
        ),
        Part(box((2.3, 0.12, 0.16), (0, 0.1, 0.6), 0.02), dark),
        Part(box((0.5, 0.02, 0.12), (0, 0.03, 0.78), 0.003), surface((214, 208, 170), rng, wear)),
        *_wheels(rng, wear, 2.4, 0.5, (1.5, cab), 0.3),
    ]
    for x in (-0.95, 0.95):
        parts.append(Part(box((0.4, 0.06, 0.14), (x, 0.03, 0.8), 0.02), _lens((160, 18, 20))))
        parts.append(Part(box((0.3, 0.06, 0.2), (x, length, 0.85), 0.02), _lens((224, 228, 232))))
    return parts


def _wheels(
    rng: np.random.Generator,
    wear: float,
    width: float,
    radius: float,
    axles: tuple[float, ...],
    tyre: float,
) -> Model:
    parts: Model = []
    for y in axles:
        for side in (-1, 1):
            parts += wheel(
                rng, wear, (side * (width / 2 - tyre / 2 + 0.02), y, radius), radius, tyre
            )
            arch = disc(radius * 1.17, 0.02).moved(side * (width / 2 - 0.006), y, radius * 1.04)
            parts.append(Part(arch, surface((17, 17, 18), rng, 0.2, "matte")))
    return parts


def _ends(
    rng: np.random.Generator, wear: float, width: float, length: float, height: float
) -> Model:
    """Bumpers and number plates."""
    dark = surface((36, 37, 39), rng, min(1, wear + 0.2), roughness=0.45)
    number = surface(pick(rng, ((226, 224, 214), (226, 196, 70))), rng, wear)
    return [
        Part(box((width, 0.16, 0.2), (0, 0.06, height), 0.05), dark),
        Part(box((width * 0.9, 0.16, 0.2), (0, length - 0.05, height), 0.05), dark),
        Part(box((0.5, 0.02, 0.115), (0, -0.025, height + 0.2), 0.004), number),
        Part(box((0.5, 0.02, 0.115), (0, length + 0.035, height), 0.004), number),
    ]


def _chevrons(
    rng: np.random.Generator,
    wear: float,
    width: float,
    height: float,
    middle: tuple[float, float, float],
) -> Model:
    half = width / 2
    parts: Model = []
    for side, slant in ((-1, 0.9), (1, -0.9)):
        texture = striped(
            (222, 180, 30) if rng.random() < 0.5 else (226, 226, 222), RED, 2.5, slant, (128, 96)
        )
        board = box(
            (half, 0.012, height), (middle[0] + side * half / 2, middle[1], middle[2]), 0.003
        )
        parts.append(Part(board, Material(worn(texture, rng, wear), "plastic", 0.25, 4)))
    return parts


def _light_bar(
    rng: np.random.Generator, middle: tuple[float, float, float], *, blue: bool
) -> Model:
    x, y, z = middle
    lit = 4.0 if rng.random() < 0.55 else 0.0
    ink: Colour = (40, 70, 255) if blue else (255, 150, 20)
    bar = box((1.1, 0.24, 0.1), middle, 0.03)
    ends = [box((0.3, 0.26, 0.12), (x + side * 0.42, y, z), 0.04) for side in (-1, 1)]
    return [Part(bar, surface(DARK, rng, 0.2)), Part(joined(ends), _lens(ink, lit))]


def _paint(colour: Colour, rng: np.random.Generator, wear: float) -> Material:
    return Material(worn(plain(colour), rng, wear * 0.7), "paint", 0.2)


def _glass() -> Material:
    return Material(plain(GLASS, (4, 4)), "plastic", 0.06)


def _lens(colour: Colour, lamp: float = 0.0) -> Material:
    return Material(plain(colour, (4, 4)), "plastic", 0.1, retro=0.0 if lamp else 1.5, lamp=lamp)
