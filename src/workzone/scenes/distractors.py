"""Ordinary things that look like road works by colour or shape, and are none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workzone.scenes.canvas import Canvas, Colour, Quad, rectangle, scaled
from workzone.scenes.markers import CONE_COLOURS, draw_cone
from workzone.scenes.people import STANDING, WALKING, draw_cyclist, draw_person, passer_by
from workzone.scenes.place import PARKING_CONE, Area, Stage, pick
from workzone.scenes.roadside import AUTUMN, add_bollards, claim_kerb, draw_tree
from workzone.scenes.signs import (
    ORDINARY_PICTOGRAMS,
    RED,
    WHITE,
    YELLOW,
    draw_board,
    draw_diamond,
    draw_disc,
    draw_traffic_light,
    draw_triangle,
)
from workzone.scenes.solids import box, pole, stripes
from workzone.scenes.vehicles import (
    EMERGENCY_COLOURS,
    WARM_COLOURS,
    draw_bus,
    draw_car,
    draw_emergency_vehicle,
    draw_lorry,
    draw_motorcycle,
    draw_suv,
    draw_van,
)

_PARKING_CONES = 0.15
"""How often cones at a door are drawn where they could be."""
_BINS: tuple[Colour, ...] = ((250, 120, 24), (60, 90, 60), (240, 180, 30), (70, 72, 76))


def add_distractors(stage: Stage, rng: np.random.Generator, count: int) -> None:
    """Put ``count`` kinds of them on free spots of the street."""
    for index in rng.permutation(len(_KINDS))[:count].tolist():
        _KINDS[index](stage, rng)


def _warm_vehicle(stage: Stage, rng: np.random.Generator) -> None:
    draw = pick(rng, [draw_car, draw_suv, draw_van, draw_van, draw_bus, draw_lorry])
    road = stage.place.road
    lanes = [*road.own, *((road.verge - 1.1,) * 2 if road.parking else ())]
    for _ in range(6):
        x, z = pick(rng, lanes), rng.uniform(7, 40)
        if draw in (draw_bus, draw_lorry):
            z += 6
        if stage.claim(Area(x - 1.3, x + 1.3, z - 3, z + 12)):
            lit = stage.place.daytime != "day"
            stage.add(draw, x=x, z=z, colour=pick(rng, WARM_COLOURS), lit=lit)
            return


def _everyday_sign(stage: Stage, rng: np.random.Generator) -> None:
    road = stage.place.road
    z, x = rng.uniform(8, 34), road.verge + rng.uniform(0.4, 0.9)
    if not claim_kerb(stage, z):
        return
    pictogram, height = pick(rng, ORDINARY_PICTOGRAMS), rng.uniform(2.2, 2.7)
    kind = int(rng.integers(6))
    if kind < 2:
        size = rng.uniform(0.45, 0.7)
        stage.add(
            draw_diamond,
            x=x,
            z=z,
            size=size,
            height=height,
            colour=YELLOW,
            pictogram=pictogram,
            stand=False,
        )
    elif kind == 2:
        stage.add(
            draw_triangle,
            x=x,
            z=z,
            size=0.55,
            height=height,
            field=WHITE,
            pictogram=pictogram,
            stand=False,
        )
    elif kind == 3:
        stage.add(draw_disc, x=x, z=z, size=0.42, height=height, rim=WHITE, field=RED, corners=8)
    elif kind == 4:
        field = pick(rng, [WHITE, (24, 70, 160)])
        rim = RED if field == WHITE else WHITE
        stage.add(draw_disc, x=x, z=z, size=0.36, height=height, rim=rim, field=field)
    else:
        colour: Colour = pick(rng, [(20, 96, 60), (24, 70, 160), (236, 200, 40), (120, 70, 40)])
        ink = (20, 20, 20) if colour[0] > 200 else WHITE
        size_of_board = (rng.uniform(0.8, 1.8), rng.uniform(0.5, 1.0))
        stage.add(
            draw_board,
            x=x + 0.5,
            z=z,
            size=size_of_board,
            bottom=height - 0.4,
            colour=colour,
            ink=ink,
            stand=False,
        )


def _traffic_lights(stage: Stage, rng: np.random.Generator) -> None:
    road, z, state = stage.place.road, rng.uniform(9, 30), int(rng.integers(3))
    for x in (road.verge + 0.4, road.left - 0.4):
        stage.add(draw_traffic_light, x=x, z=z, state=state)


def _bright_people(stage: Stage, rng: np.random.Generator) -> None:
    road = stage.place.road
    for _ in range(int(rng.integers(1, 4))):
        left = rng.random() < 0.35
        x = road.left - rng.uniform(0.5, 1.6) if left else road.verge + rng.uniform(0.5, 1.6)
        stage.add(
            draw_person,
            x=x,
            z=rng.uniform(6, 28),
            outfit=passer_by(rng, bright=True),
            pose=pick(rng, [STANDING, WALKING]),
            facing=pick(rng, [-1, 1]),
            tall=rng.uniform(0.9, 1.08),
        )


def _parking_cones(stage: Stage, rng: np.random.Generator) -> None:
    """One or two cones that keep a shop's door free; rare, and known by a kind of their own."""
    road, z = stage.place.road, rng.uniform(6, 22)
    if rng.random() > _PARKING_CONES or not claim_kerb(stage, z):
        return
    x, height = road.verge + road.pavement + rng.uniform(0, 0.4), rng.uniform(0.45, 0.75)
    colour, bands = pick(rng, CONE_COLOURS), int(rng.integers(0, 3))
    for number in range(int(rng.integers(1, 3))):
        stage.add(
            draw_cone,
            x=x,
            z=z + 1.6 * number,
            kind=PARKING_CONE,
            height=height,
            colour=colour,
            bands=bands,
        )


def _emergency_vehicle(stage: Stage, rng: np.random.Generator) -> None:
    """Police, ambulance or fire engine, in their lane or at the kerb."""
    road = stage.place.road
    x, z = pick(rng, [*road.own, road.verge - 1.1]), rng.uniform(8, 36)
    if stage.claim(Area(x - 1.3, x + 1.3, z - 2, z + 8)):
        colours = pick(rng, EMERGENCY_COLOURS)
        stage.add(draw_emergency_vehicle, x=x, z=z, colours=colours, lit=bool(rng.random() < 0.5))


def _rider(stage: Stage, rng: np.random.Generator) -> None:
    road = stage.place.road
    x, z = road.right - 0.7, rng.uniform(7, 25)
    if not stage.claim(Area(x - 0.4, x + 0.4, z - 1, z + 3)):
        return
    if rng.random() < 0.6:
        stage.add(draw_cyclist, x=x, z=z, outfit=passer_by(rng, bright=True))
    else:
        stage.add(draw_motorcycle, x=x, z=z, colour=pick(rng, WARM_COLOURS))


def _hydrant(stage: Stage, rng: np.random.Generator) -> None:
    z = rng.uniform(6, 20)
    if claim_kerb(stage, z):
        colour = pick(rng, [(206, 40, 32), (244, 190, 36), (246, 110, 30)])
        stage.add(draw_hydrant, x=stage.place.road.verge + 0.5, z=z, colour=colour)


def _bin(stage: Stage, rng: np.random.Generator) -> None:
    z = rng.uniform(6, 24)
    if claim_kerb(stage, z):
        x = stage.place.road.verge + rng.uniform(0.6, 1.2)
        stage.add(draw_bin, x=x, z=z, colour=pick(rng, _BINS))


def _railing(stage: Stage, rng: np.random.Generator) -> None:
    start, x = rng.uniform(7, 20), stage.place.road.verge + 0.3
    for index in range(int(rng.integers(3, 8))):
        if claim_kerb(stage, start + index * 2):
            stage.add(draw_railing, x=x, z=start + index * 2)


def _gate(stage: Stage, rng: np.random.Generator) -> None:
    z = rng.uniform(10, 26)
    if claim_kerb(stage, z):
        stage.add(draw_gate, x=stage.place.road.verge + 0.8, z=z, length=rng.uniform(3, 4.5))


def _parasols(stage: Stage, rng: np.random.Generator) -> None:
    colour = pick(rng, [*WARM_COLOURS, (190, 30, 34)])
    start = rng.uniform(8, 22)
    for index in range(int(rng.integers(1, 4))):
        x = stage.place.road.outer_right - 0.4
        stage.add(draw_parasol, x=x, z=start + 3 * index, colour=colour)


def _banners(stage: Stage, rng: np.random.Generator) -> None:
    colour = pick(rng, [*WARM_COLOURS, (30, 80, 150)])
    for index in range(int(rng.integers(1, 5))):
        x, z = stage.place.road.outer_right - 0.3, rng.uniform(6, 10) + 12 * index
        stage.add(draw_banner, x=x, z=z, colour=colour)


def _autumn_tree(stage: Stage, rng: np.random.Generator) -> None:
    road = stage.place.road
    for _ in range(int(rng.integers(1, 4))):
        x = pick(rng, [road.outer_right + 0.8, road.outer_left - 0.8])
        stage.add(
            draw_tree,
            x=x,
            z=rng.uniform(10, 45),
            height=rng.uniform(4, 7),
            colour=pick(rng, AUTUMN),
            seed=int(rng.integers(1 << 30)),
        )


def draw_hydrant(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A fire hydrant."""
    canvas.flat(x, z, rectangle(-0.14, 0, 0.14, 0.62), colour)
    canvas.flat(x, z, rectangle(0.04, 0, 0.14, 0.62), scaled(colour, 0.75))
    canvas.flat(x, z, rectangle(-0.24, 0.38, 0.24, 0.52), scaled(colour, 0.85))
    canvas.ball(x, 0.64, z, 0.15, colour)


def draw_bin(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A litter bin or a wheelie bin."""
    box(canvas, x=x, z=z, width=0.55, length=0.6, bottom=0.05, top=0.95, colour=colour)
    box(canvas, x=x, z=z, width=0.6, length=0.62, bottom=0.95, top=1.05, colour=scaled(colour, 0.6))


def draw_railing(canvas: Canvas, *, x: float, z: float) -> None:
    """Two metres of a fixed red and white railing at a kerb."""
    for low, high in ((0.92, 1.0), (0.5, 0.56)):
        for step in range(4):
            near, far = z + step * 0.5, z + step * 0.5 + 0.5
            tube = [(x, low, near), (x, high, near), (x, high, far), (x, low, far)]
            canvas.face(tube, RED if step % 2 else WHITE)
    pole(canvas, x, z, 1.0, 0.07, RED)


def draw_gate(canvas: Canvas, *, x: float, z: float, length: float) -> None:
    """The striped arm of a car park's barrier, on its housing."""
    box(canvas, x=x, z=z, width=0.4, length=0.4, bottom=0, top=1.1, colour=(230, 150, 30))
    arm: Quad = (
        (x + 0.2, 0.9, z),
        (x + length, 0.9, z),
        (x + length, 1.02, z),
        (x + 0.2, 0.9 + 0.12, z),
    )
    canvas.face(arm, WHITE)
    stripes(canvas, arm, RED, count=5, slant=0.0, retro=0.3)


def draw_parasol(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A café's parasol over a table."""
    pole(canvas, x, z, 2.5, 0.06, (200, 196, 190))
    canvas.flat(x, z, [(-1.4, 2.0), (0, 2.0), (0, 2.65)], colour)
    canvas.flat(x, z, [(0, 2.0), (1.4, 2.0), (0, 2.65)], scaled(colour, 0.82))
    canvas.flat(x, z, rectangle(-0.4, 0.7, 0.4, 0.76), (110, 84, 60))


def draw_banner(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """An upright advertising flag."""
    pole(canvas, x, z, 3.4, 0.06, (150, 150, 150))
    canvas.flat(x, z, [(0, 0.9), (0.6, 1.0), (0.7, 2.9), (0.3, 3.4), (0, 3.4)], colour)
    for low in (1.3, 1.9, 2.4):
        canvas.flat(x, z, rectangle(0.12, low, 0.5, low + 0.22), (244, 240, 232))


_KINDS: tuple[Callable[[Stage, np.random.Generator], None], ...] = (
    _warm_vehicle,
    _warm_vehicle,
    _everyday_sign,
    _everyday_sign,
    _traffic_lights,
    _bright_people,
    _parking_cones,
    _emergency_vehicle,
    _rider,
    _hydrant,
    _bin,
    _railing,
    _gate,
    _parasols,
    _banners,
    _autumn_tree,
    add_bollards,
)
