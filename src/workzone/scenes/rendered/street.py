"""Ordinary things of a street."""

from __future__ import annotations

import itertools
import math

import numpy as np

from workzone.scenes.place import pick
from workzone.scenes.rendered.machines import wheel
from workzone.scenes.rendered.markers import RED, WHITE
from workzone.scenes.rendered.material import (
    DARK,
    STEEL,
    Colour,
    Material,
    Model,
    Part,
    banded,
    plain,
    sheeting,
    striped,
    surface,
    varied,
    worn,
)
from workzone.scenes.rendered.mesh import (
    Mesh,
    box,
    ellipsoid,
    grid,
    joined,
    plate,
    revolve,
    rod,
    wavy,
)

BIN_COLOURS: tuple[Colour, ...] = (
    (54, 84, 54),
    (62, 64, 68),
    (232, 108, 26),
    (226, 172, 34),
    (40, 70, 120),
)
HYDRANT_COLOURS: tuple[Colour, ...] = ((190, 38, 32), (230, 176, 36), (236, 102, 30))
POST_COLOURS: tuple[Colour, ...] = ((60, 60, 62), (140, 40, 34), (204, 88, 30), (186, 152, 42))
CANVAS_COLOURS: tuple[Colour, ...] = (
    (232, 100, 26),
    (236, 170, 36),
    (178, 34, 34),
    (224, 216, 196),
    (40, 80, 60),
)
FLAG_COLOURS: tuple[Colour, ...] = ((232, 96, 26), (236, 170, 30), (30, 80, 150), (200, 40, 40))


def hydrant(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A fire hydrant."""
    paint = surface(varied(colour, rng), rng, wear, "paint")
    profile = [
        (0.17, 0),
        (0.17, 0.04),
        (0.11, 0.05),
        (0.105, 0.42),
        (0.14, 0.43),
        (0.14, 0.47),
        (0.115, 0.48),
        (0.1, 0.58),
        (0.06, 0.64),
        (0.025, 0.655),
        (0.025, 0.7),
        (0.001, 0.7),
    ]
    caps = [rod((-0.2, 0, 0.36), (0.2, 0, 0.36), 0.05), rod((0, 0, 0.36), (0, -0.17, 0.36), 0.06)]
    return [Part(revolve(profile, 32), paint), Part(joined(caps), paint)]


def wheelie_bin(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A bin on wheels."""
    paint = surface(varied(colour, rng), rng, min(1, wear + 0.2), roughness=0.4)
    low, high = (0.2, 0.24), (0.28, 0.34)
    rings = []
    for z, share in ((0.08, 0.0), (0.1, 0.02), (0.9, 1.0), (0.92, 1.03)):
        w, d = (a + (b - a) * share for a, b in zip(low, high, strict=True))
        turn = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        square = (np.abs(np.cos(turn)) ** 6 + np.abs(np.sin(turn)) ** 6) ** (-1 / 6)
        rings.append(
            np.stack([w * square * np.cos(turn), d * square * np.sin(turn), np.full(40, z)], -1)
        )
    lid = box((0.6, 0.72, 0.06), (0, 0.02, 0.95), 0.025).turned(rng.normal(0, 0.05), "x")
    lid_colour = varied(colour if rng.random() < 0.6 else pick(rng, BIN_COLOURS), rng)
    return [
        Part(grid(np.array(rings), closed=True).bent(wavy(rng, 0.008 * (wear + 0.2), 0.3)), paint),
        Part(lid, surface(lid_colour, rng, wear, roughness=0.4)),
        Part(rod((-0.22, 0.4, 0.93), (0.22, 0.4, 0.93), 0.018), paint),
        *(part for x in (-0.22, 0.22) for part in wheel(rng, wear, (x, 0.28, 0.1), 0.1, 0.05)),
    ]


def litter_bin(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A round litter bin."""
    paint = surface(varied(colour, rng), rng, wear, "paint")
    body = revolve([(0.22, 0.06), (0.24, 0.7), (0.255, 0.72), (0.255, 0.76), (0.2, 0.78)], 40)
    roof = revolve([(0.26, 0.98), (0.24, 1.03), (0.14, 1.08), (0.001, 1.1)], 40)
    posts = [
        rod(
            (0.2 * math.cos(t), 0.2 * math.sin(t), 0.7),
            (0.2 * math.cos(t), 0.2 * math.sin(t), 1.0),
            0.014,
        )
        for t in (0.4, 2.5, 4.6)
    ]
    hole = revolve([(0.235, 0.755), (0.001, 0.755)], 24)
    return [
        Part(joined([body, roof, *posts]), paint),
        Part(hole, surface((15, 15, 15), rng, 0.1, "matte")),
    ]


def bollard(
    rng: np.random.Generator, wear: float, *, colour: Colour, ringed: bool = False
) -> Model:
    """A fixed post of steel; no foot, other than a cone or a tubular marker."""
    texture = banded(varied(colour, rng), [(0.68, 0.82, WHITE)] if ringed else [])
    profile = [
        (0.075, 0),
        (0.075, 0.8),
        (0.083, 0.81),
        (0.083, 0.84),
        (0.075, 0.85),
        (0.072, 0.92),
        (0.05, 0.96),
        (0.001, 0.975),
    ]
    return [Part(revolve(profile, 28), Material(worn(texture, rng, wear), "paint", 0.3))]


def post_box(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A pillar box, or a box on legs."""
    paint, dark = surface(varied(colour, rng), rng, wear, "paint"), surface((16, 16, 16), rng, 0.1)
    if rng.random() < 0.5:
        body = revolve(
            [
                (0.25, 0),
                (0.25, 0.12),
                (0.22, 0.14),
                (0.22, 1.3),
                (0.26, 1.34),
                (0.26, 1.38),
                (0.2, 1.46),
                (0.001, 1.5),
            ],
            40,
        )
        return [Part(body, paint), Part(box((0.26, 0.06, 0.03), (0, -0.2, 1.18), 0.004), dark)]
    legs = [rod((x, y, 0), (x, y, 0.4), 0.025) for x in (-0.2, 0.2) for y in (-0.15, 0.15)]
    return [
        Part(box((0.52, 0.44, 0.85), (0, 0, 0.8), 0.09), paint),
        Part(box((0.36, 0.02, 0.04), (0, -0.222, 1.05), 0.004), dark),
        Part(joined(legs), dark),
    ]


def planter(rng: np.random.Generator, wear: float) -> Model:
    """A tub with a shrub."""
    colour = varied(pick(rng, ((150, 142, 130), (92, 72, 58), (64, 64, 66), (176, 92, 62))), rng)
    tub = revolve([(0.3, 0), (0.38, 0.48), (0.4, 0.5), (0.4, 0.54), (0.36, 0.54)], 36)
    leaves = []
    for _ in range(260):
        spot = rng.normal(0, 1, 3)
        spot *= rng.uniform(0.6, 1.0) / np.linalg.norm(spot)
        leaf = ellipsoid((0.075, 0.05, 0.012), segments=6).turned(rng.uniform(0, 3), "x")
        x, y, z = (spot * np.array([0.36, 0.36, 0.34]) + np.array([0, 0, 0.82])).tolist()
        leaves.append(leaf.turned(rng.uniform(0, 6), "z").moved(x, y, z))
    green = varied((62, 84, 40), rng, 14)
    core = ellipsoid((0.28, 0.28, 0.26), (0, 0, 0.78))
    return [
        Part(tub, surface(colour, rng, min(1, wear + 0.2), "matte")),
        Part(core, surface((30, 38, 22), rng, 0.3, "matte")),
        Part(joined(leaves), Material(worn(plain(green), rng, 0.5), "matte")),
    ]


def parasol(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """A café's parasol over a table with chairs."""
    ribs, radius = 8, 1.45
    turn = np.linspace(0, 2 * math.pi, 65)
    scallop = 1 - 0.05 * np.abs(np.sin(turn * ribs / 2))
    rings = []
    for share in np.linspace(0.02, 1, 9).tolist():
        r = radius * share * (scallop if share > 0.3 else 1)
        z = 2.65 - 0.55 * share**1.2 - 0.05 * share * (1 - np.abs(np.cos(turn * ribs / 2)))
        rings.append(np.stack([r * np.cos(turn), r * np.sin(turn), z + 0 * turn], -1))
    rim = rings[-1]
    skirt = grid(np.array([rim, rim - np.array([0, 0, 0.18])]))
    cloth = Material(worn(plain(varied(colour, rng)), rng, wear), "matte")
    wood = surface((122, 92, 62), rng, 0.3, "matte")
    table = revolve([(0.001, 0.72), (0.4, 0.72), (0.4, 0.75), (0.001, 0.75)], 32)
    chairs: list[Mesh] = []
    for angle in rng.uniform(0, 6.3, 3).tolist():
        chair = [box((0.42, 0.42, 0.04), (0.75, 0, 0.45)), box((0.04, 0.42, 0.45), (0.95, 0, 0.72))]
        chair += [
            rod((x, y, 0), (x, y, 0.45), 0.014, n=6) for x in (0.56, 0.94) for y in (-0.18, 0.18)
        ]
        chairs.append(joined(chair).turned(angle))
    return [
        Part(grid(np.array(rings)), cloth),
        Part(skirt, cloth),
        Part(rod((0, 0, 0.05), (0, 0, 2.66), 0.025), surface((196, 192, 184), rng, wear)),
        Part(revolve([(0.26, 0), (0.26, 0.06), (0.04, 0.09)], 24), surface(DARK, rng, wear)),
        Part(joined([table, *chairs]), wood),
    ]


def banner(rng: np.random.Generator, wear: float, *, colour: Colour) -> Model:
    """An upright advertising flag."""
    outline = [(0.0, 0.8), (0.62, 0.9), (0.72, 2.6), (0.55, 3.1), (0.2, 3.4), (0.0, 3.4)]
    texture = plain(varied(colour, rng), (96, 256))
    for low in (60, 110, 160):
        texture[low : low + 26, 22:74] = pick(rng, (WHITE, (30, 30, 30)))
    front, _ = plate(outline, 0.002)
    cloth = Material(worn(texture, rng, wear), "matte")
    return [
        Part(front.bent(wavy(rng, 0.06, 0.7)), cloth),
        Part(rod((0, 0, 0), (0, 0, 3.42), 0.016), surface(STEEL, rng, wear)),
        Part(box((0.5, 0.5, 0.05), (0, 0, 0.025), 0.01), surface(DARK, rng, 0.4)),
    ]


def gate(rng: np.random.Generator, wear: float, *, length: float = 3.4) -> Model:
    """The striped arm of a car park's barrier on its housing."""
    housing = surface(
        varied(pick(rng, ((222, 146, 34), (196, 40, 36), (200, 202, 204))), rng), rng, wear, "paint"
    )
    arm = box((length, 0.05, 0.11), (length / 2 + 0.1, -0.02, 0.95), 0.01)
    texture = striped(RED, WHITE, 5, 0, (256, 24))
    return [
        Part(box((0.36, 0.32, 1.08), (0, 0.1, 0.54), 0.04), housing),
        Part(arm, sheeting(texture, rng, wear, retro=2)),
        Part(rod((length, 0, 0), (length, 0, 0.9), 0.035), surface(STEEL, rng, wear)),
    ]


def bicycle_rack(rng: np.random.Generator, wear: float) -> Model:
    """Hoops for bicycles, with one or two of them."""
    from workzone.scenes.rendered.people import bicycle

    steel = surface(STEEL, rng, wear, "metal", 0.3)
    hoops: list[Mesh] = []
    for y in (0.0, 0.8, 1.6):
        turn = np.linspace(0, math.pi, 9)
        arc = [(0.3 * math.cos(t), y, 0.5 + 0.3 * math.sin(t)) for t in turn.tolist()]
        spots = [(0.3, y, 0.0), *arc, (-0.3, y, 0.0)]
        hoops += [rod(a, b, 0.024, n=8) for a, b in itertools.pairwise(spots)]
    parts = [Part(joined(hoops), steel)]
    for y in (0.12, 0.95)[: int(rng.integers(1, 3))]:
        turn_by = rng.normal(0, 0.1)
        parts += [Part(p.mesh.turned(turn_by).moved(0, y), p.material) for p in bicycle(rng, wear)]
    return parts


def pallet_of_goods(rng: np.random.Generator, wear: float) -> Model:
    """Crates before a shop."""
    parts: Model = []
    colours: tuple[Colour, ...] = (
        (226, 108, 30),
        (60, 110, 60),
        (40, 80, 140),
        (206, 190, 150),
        (200, 40, 40),
    )
    for x in (-0.35, 0.35):
        for level in range(int(rng.integers(1, 4))):
            crate = box(
                (0.6, 0.4, 0.26),
                (x + rng.normal(0, 0.02), rng.normal(0, 0.03), 0.14 + level * 0.28),
                0.02,
            )
            parts.append(
                Part(crate, surface(varied(pick(rng, colours), rng), rng, min(1, wear + 0.2)))
            )
    return parts
