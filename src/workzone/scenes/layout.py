"""How a work zone is set out: the arrangements that make a scene positive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workzone.scenes.background import draw_rectangle
from workzone.scenes.canvas import Canvas, Colour
from workzone.scenes.markers import CONE_COLOURS
from workzone.scenes.people import crew_member, draw_flagger
from workzone.scenes.place import Stage, pick
from workzone.scenes.signs import (
    draw_arrow_board,
    draw_message_board,
)
from workzone.scenes.work import (
    draw_concrete_barrier,
    draw_fence,
    draw_heap,
    draw_plastic_barrier,
)
from workzone.scenes.zone import Zone

_EARTH: Colour = (118, 92, 66)
_AMERICAN_MARKERS = ("cone", "cone", "cone", "drum", "drum", "panel", "tube")
_EUROPEAN_MARKERS = ("cone", "cone", "cone", "beacon", "beacon", "beacon", "tube")


def add_work_zone(stage: Stage, rng: np.random.Generator) -> None:
    """Put one work zone on the street, in one of the arrangements below."""
    american = bool(rng.random() < 0.6)
    zone = Zone(
        stage=stage,
        rng=rng,
        marker=pick(rng, _AMERICAN_MARKERS if american else _EUROPEAN_MARKERS),
        cone_height=rng.uniform(0.5, 0.95),
        cone_colour=pick(rng, CONE_COLOURS),
        cone_bands=int(rng.integers(0, 3)),
        american=american,
    )
    stage.wear = rng.uniform(0.1, 0.5) if rng.random() < 0.35 else 0.0
    pick(rng, _ARRANGEMENTS)(zone)
    stage.wear = 0.0


def _closed_lane(zone: Zone) -> None:
    """A taper of markers into the outer lane; behind it the crew, its vehicle and machines."""
    rng, road = zone.rng, zone.stage.place.road
    start, taper = rng.uniform(6, 20), rng.uniform(10, 22)
    outside = road.verge - 0.3
    inside = road.right - road.lane if len(road.own) > 1 and road.own[-1] > 1 else road.right - 0.9
    inside = max(inside, 1.3)
    end = start + taper + rng.uniform(15, 40)
    zone.claim(inside, outside + 1, start, end)
    zone.put_row((outside, start), (inside, start + taper), rng.uniform(1.8, 3.5))
    zone.put_row((inside, start + taper), (inside, end), rng.uniform(3, 7))
    work = start + taper
    middle = (inside + max(outside, inside + 1.5)) / 2
    if rng.random() < 0.6:
        zone.stage.add(draw_arrow_board, x=middle, z=work + 1, kind="sign", left=True)
    if rng.random() < 0.65:
        zone.put_vehicle(middle, work + rng.uniform(4, 9))
    if rng.random() < 0.5:
        zone.put_machine(middle + rng.uniform(0, 1), work + rng.uniform(14, 24))
    if rng.random() < 0.65:
        zone.put_workers(middle, work + rng.uniform(2, 12), 1.2, int(rng.integers(1, 4)))
    if rng.random() < 0.6:
        zone.put_sign(road.verge + 0.8, max(6.0, start - rng.uniform(-2, 8)))


def _kerbside(zone: Zone) -> None:
    """A pit at the kerb, fenced in."""
    rng, road = zone.rng, zone.stage.place.road
    near, x = rng.uniform(7, 24), road.verge + rng.uniform(-1.4, 0.6)
    length, half = rng.uniform(5, 11), 1.2
    zone.claim(x - half - 0.5, x + half + 1, near - 1, near + length + 2)
    zone.stage.add(draw_pit, x=x, z=near + 0.8, width=half * 1.6, length=length - 1.2)
    mesh = bool(rng.random() < 0.4)
    for index in range(int(length / 2)):
        side = -half if x > 0 else half
        zone.stage.add(
            draw_fence, x=x + side, z=near + index * 2, kind="barrier", length=2.0, mesh=mesh
        )
    zone.put_barricade(x, near, 2 * half, int(rng.integers(1, 3)))
    zone.put_row((x - half - 0.5, near - 0.5), (x - half - 0.5, near + length), rng.uniform(2, 4))
    if rng.random() < 0.7:
        zone.put_workers(x, near + length / 2, half, int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        heap = near + length + 0.5
        zone.stage.add(draw_heap, x=x, z=heap, width=rng.uniform(1.6, 3), colour=_EARTH)
    if rng.random() < 0.5:
        zone.put_machine(x + 0.3, near + length + 2)
    elif rng.random() < 0.5:
        zone.put_vehicle(x, near + length + 3)
    if rng.random() < 0.6:
        zone.put_sign(road.verge + 0.6, max(5.5, near - rng.uniform(2, 6)))


def _lone_sign(zone: Zone) -> None:
    """A sign, with a barricade or a few markers beside it and nobody at work."""
    rng, road = zone.rng, zone.stage.place.road
    z = rng.uniform(8, 30)
    left = rng.random() < 0.3
    x = road.left - 0.7 if left else road.verge + rng.uniform(0.2, 0.9)
    zone.claim(x - 1.5, x + 1.5, z - 1, z + 4)
    zone.put_sign(x, z)
    if rng.random() < 0.6:
        zone.put_barricade(x + rng.uniform(-1, 1), z + rng.uniform(1, 3), 1.6, 1)
    else:
        for _ in range(int(rng.integers(1, 4))):
            zone.put_marker(x + rng.uniform(-1.4, 1), z + rng.uniform(-1, 4))


def _row_of_markers(zone: Zone) -> None:
    """A long row of markers, or of concrete barriers, along an edge of the road."""
    rng, road = zone.rng, zone.stage.place.road
    x = pick(rng, [road.right - 0.4, road.right - 0.4, road.left + 0.4, road.own[-1] + 1.4])
    start, length = rng.uniform(4, 18), rng.uniform(14, 60)
    zone.claim(x - 0.6, x + 0.6, start, start + length)
    if rng.random() < 0.35:
        for index in range(int(length / 3.5)):
            z = start + index * 3.5
            zone.stage.add(draw_concrete_barrier, x=x, z=z, kind="barrier", length=3.5)
    else:
        zone.put_row((x, start), (x, start + length), rng.uniform(2.5, 8))
    if rng.random() < 0.4:
        zone.put_sign(road.verge + 0.7, start + rng.uniform(1, 12))
    if rng.random() < 0.4:
        zone.put_machine(x + 2.2 if x > 0 else x - 2.2, start + rng.uniform(8, 24))


def _closed_road(zone: Zone) -> None:
    """Barriers right across the road."""
    rng, road = zone.rng, zone.stage.place.road
    z = rng.uniform(12, 32)
    zone.claim(road.left, road.verge, z - 6, z + 40)
    if rng.random() < 0.5:
        width, x = 2.5, road.left + 1.35
        boards = int(rng.integers(2, 4))
        while x < road.right - 1:
            zone.put_barricade(x, z + rng.normal(0, 0.3), width, boards)
            x += width + rng.uniform(0.2, 1.2)
    else:
        colours = zone.barrier_colours()
        for index, x in enumerate(np.arange(road.left + 0.9, road.right - 0.8, 1.62).tolist()):
            zone.stage.add(
                draw_plastic_barrier,
                x=x,
                z=z,
                kind="barrier",
                width=1.55,
                length=0.5,
                colour=colours[index % 2],
            )
    zone.put_row((road.left + 0.6, z - 2), (road.right - 0.6, z - 1.5), 0.25)
    zone.put_sign(pick(rng, [0.0, road.right - 1.2, road.left + 1]), z - 1.2)
    if rng.random() < 0.6:
        zone.put_workers(rng.uniform(-2, 2), z + 6, 3, int(rng.integers(1, 4)))
    if rng.random() < 0.6:
        zone.put_machine(rng.uniform(-2.5, 2.5), z + rng.uniform(5, 12))


def _mobile_works(zone: Zone) -> None:
    """A slow vehicle of the crew with a board behind it and a few markers."""
    rng, road = zone.rng, zone.stage.place.road
    x = road.own[-1] if road.own[-1] > 1 else road.right - 0.7
    z = rng.uniform(9, 28)
    zone.claim(x - 1.5, x + 1.5, z - 5, z + 16)
    zone.put_vehicle(x, z)
    if rng.random() < 0.5:
        if rng.random() < 0.5:
            zone.stage.add(draw_arrow_board, x=x, z=z - 3, kind="sign", left=True)
        else:
            zone.stage.add(draw_message_board, x=x, z=z - 3, kind="sign")
    zone.put_row((x + 1.2, z - 5), (x - 1.4, z - 1), 1.2)
    if rng.random() < 0.7:
        zone.put_workers(x + rng.choice([-1.6, 1.8]), z - 1, 0.5, int(rng.integers(1, 3)))


def _one_way_traffic(zone: Zone) -> None:
    """A flagger who stops the traffic in front of a short work site."""
    rng, road = zone.rng, zone.stage.place.road
    z, x = rng.uniform(7, 20), road.right - rng.uniform(0.2, 0.9)
    zone.claim(-1.5, road.verge + 1, z - 1, z + 30)
    zone.stage.add(
        draw_flagger,
        x=x,
        z=z,
        kind="worker",
        outfit=crew_member(rng),
        stop=bool(rng.random() < 0.6),
    )
    zone.put_row((x, z + 3), (-road.lane / 2, z + 9), 1.5)
    zone.put_row((-road.lane / 2, z + 10), (-road.lane / 2, z + 30), 4)
    zone.put_machine(rng.uniform(-0.3, 1), z + rng.uniform(13, 20))
    zone.put_workers(0.5, z + 12, 1.2, int(rng.integers(1, 4)))
    if rng.random() < 0.5:
        zone.put_sign(road.verge + 0.8, z + rng.uniform(-1, 2))


def _building_site(zone: Zone) -> None:
    """Barriers along the pavement, with machines and a crew behind them."""
    rng, road = zone.rng, zone.stage.place.road
    near, x = rng.uniform(5, 16), road.verge + rng.uniform(-0.6, 0.4)
    length = rng.uniform(10, 24)
    zone.claim(x - 0.8, x + 6, near - 1, near + length)
    colours = zone.barrier_colours()
    plastic, mesh = bool(rng.random() < 0.6), bool(rng.random() < 0.6)
    for index in range(int(length / 2)):
        z = near + 2 * index
        if plastic:
            zone.stage.add(
                draw_plastic_barrier,
                x=x,
                z=z,
                kind="barrier",
                width=0.5,
                length=1.9,
                colour=colours[index % 2],
            )
        else:
            zone.stage.add(draw_fence, x=x, z=z, kind="barrier", length=2.0, mesh=mesh)
    zone.put_machine(x + 2.6, near + rng.uniform(3, 10))
    if rng.random() < 0.5:
        zone.put_workers(x + 1.6, near + rng.uniform(2, 8), 0.7, int(rng.integers(1, 4)))
    if rng.random() < 0.4:
        zone.put_sign(x - 0.2, near - 0.5)


def draw_pit(canvas: Canvas, *, x: float, z: float, width: float, length: float) -> None:
    """An open trench."""
    draw_rectangle(canvas, x, z, (width, length), _EARTH)
    draw_rectangle(canvas, x, z + length * 0.08, (width * 0.85, length * 0.84), (62, 48, 38))


_ARRANGEMENTS: tuple[Callable[[Zone], None], ...] = (
    _closed_lane,
    _closed_lane,
    _kerbside,
    _kerbside,
    _lone_sign,
    _row_of_markers,
    _closed_road,
    _mobile_works,
    _one_way_traffic,
    _building_site,
)
