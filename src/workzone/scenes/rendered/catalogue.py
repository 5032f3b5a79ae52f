"""The kinds of things that can be rendered, and how they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from workzone.scenes.place import pick
from workzone.scenes.rendered import (
    barriers,
    boards,
    machines,
    markers,
    people,
    street,
    vehicles,
)
from workzone.scenes.rendered.faces import SignFaces
from workzone.scenes.rendered.material import Colour, Model

Build = Callable[[np.random.Generator, float, SignFaces], Model]
"""Makes a model of a thing worn so much (0..1)."""

NEAR, FAR = 6.0, 16.0
"""Metres from which small things are rendered."""
BIG_NEAR, BIG_FAR = 11.0, 24.0
"""The same for vehicles and machines."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing.

    ``distances``: metres from which it is rendered; ``turns``: degrees that it is turned by, from
    facing the viewer, counter-clockwise from above; ``handed``: whether its mirror image is wrong;
    ``variants``: how many of it there are for each light, distance and turn.
    """

    build: Build
    distances: tuple[float, ...] = (NEAR, FAR)
    turns: tuple[float, ...] = (0.0,)
    handed: bool = False
    variants: int = 1


def _made(build: Callable[..., Model], **options: object) -> Build:
    def made(rng: np.random.Generator, wear: float, faces: SignFaces) -> Model:
        return build(rng, wear, **options)

    return made


def _coloured(build: Callable[..., Model], colours: tuple[Colour, ...], **options: object) -> Build:
    def made(rng: np.random.Generator, wear: float, faces: SignFaces) -> Model:
        return build(rng, wear, colour=pick(rng, colours), **options)

    return made


def _sign(*, work: bool, stand: bool) -> Build:
    def made(rng: np.random.Generator, wear: float, faces: SignFaces) -> Model:
        return boards.sign(rng, wear, faces, work=work, stand=stand)

    return made


def _either(first: Build, second: Build) -> Build:
    def made(rng: np.random.Generator, wear: float, faces: SignFaces) -> Model:
        return (first if rng.random() < 0.5 else second)(rng, wear, faces)

    return made


def _rails(rng: np.random.Generator, wear: float) -> Model:
    colours = pick(rng, (barriers.STEEL_RAILS, barriers.DARK_RAILS, barriers.RED_RAILS))
    return barriers.railing(rng, wear, colours=colours)


ACROSS = (-14.0, 8.0)
"""Turns of what stands across the road."""
ALONG = (62.0, 74.0, 83.0, 97.0, 106.0, 118.0)
"""Turns of what stands along it, on the left from near to far, on the right from far to near."""
ASIDE = (-35.0, 8.0, 40.0, 150.0, 188.0, 215.0)
"""Turns of what works to one side."""
ANY = (-150.0, -90.0, -30.0, 30.0, 90.0, 150.0)
BIG = (BIG_NEAR, BIG_FAR)

KINDS: dict[str, Kind] = {
    # road work
    "cone, two sleeves": Kind(_made(markers.cone, bands=2), variants=4),
    "cone, one sleeve": Kind(_made(markers.cone, bands=1), variants=3),
    "cone, plain": Kind(_made(markers.cone, bands=0), variants=3),
    "cone, lime": Kind(_made(markers.cone, bands=2, colour=markers.LIME), variants=2),
    "fallen cone": Kind(_made(markers.fallen_cone), turns=(-40.0, 25.0)),
    "drum": Kind(_made(markers.drum), variants=3),
    "tube": Kind(_made(markers.tube), variants=3),
    "panel": Kind(_made(markers.vertical_panel), turns=ACROSS, variants=2),
    "beacon": Kind(_made(markers.beacon), turns=ACROSS, variants=2),
    "barricade": Kind(_made(barriers.barricade, boards=3, width=2.4), turns=ACROSS),
    "barricade, red": Kind(_made(barriers.barricade, boards=3, width=2.4, red=True), turns=ACROSS),
    "low barricade": Kind(_made(barriers.barricade, boards=2, width=1.6), turns=ACROSS),
    "low barricade, red": Kind(
        _made(barriers.barricade, boards=2, width=1.6, red=True), turns=ACROSS
    ),
    "A-frame": Kind(_made(barriers.a_frame), turns=(-28.0, 12.0)),
    "A-frame, red": Kind(_made(barriers.a_frame, red=True), turns=(-28.0, 12.0)),
    "barrier board": Kind(_made(barriers.barrier_board), turns=ACROSS, variants=2),
    "plastic barrier, orange": Kind(
        _made(barriers.plastic_barrier, colour=markers.ORANGE), turns=(0.0, *ALONG)
    ),
    "plastic barrier, white": Kind(
        _made(barriers.plastic_barrier, colour=markers.WHITE), turns=(0.0, *ALONG)
    ),
    "plastic barrier, red": Kind(
        _made(barriers.plastic_barrier, colour=markers.RED), turns=(0.0, *ALONG)
    ),
    "concrete barrier": Kind(_made(barriers.concrete_barrier), turns=ALONG),
    "mesh fence": Kind(_made(barriers.mesh_fence), turns=ALONG),
    "board fence": Kind(_made(barriers.board_fence), turns=ALONG),
    "work sign on a stand": Kind(
        _sign(work=True, stand=True), turns=(0.0,), handed=True, variants=6
    ),
    "work sign on a post": Kind(
        _sign(work=True, stand=False), turns=(0.0,), handed=True, variants=6
    ),
    "arrow board": Kind(_made(boards.arrow_board), BIG, (-10.0, 6.0), handed=True),
    "message board": Kind(_made(boards.message_board), BIG, (-10.0, 6.0), handed=True),
    "worker": Kind(_made(people.worker), turns=ANY, variants=1),
    "flagger": Kind(_made(people.worker, paddle=True), turns=(-60.0, 20.0, -100.0)),
    "excavator": Kind(_coloured(machines.excavator, machines.MACHINE_COLOURS), BIG, ASIDE),
    "mini excavator": Kind(
        _coloured(machines.excavator, machines.MACHINE_COLOURS, size=0.55), turns=ASIDE
    ),
    "roller": Kind(_coloured(machines.roller, machines.MACHINE_COLOURS), BIG, (-18.0, 14.0, 70.0)),
    "paver": Kind(_coloured(machines.paver, machines.MACHINE_COLOURS), BIG, (-10.0, 8.0)),
    "compressor": Kind(
        _coloured(machines.compressor, machines.MACHINE_COLOURS), turns=(-20.0, 16.0)
    ),
    "light tower": Kind(_made(machines.light_tower), BIG, (-14.0, 16.0)),
    "heap": Kind(_made(machines.heap), variants=2),
    "service truck": Kind(
        _coloured(vehicles.service_truck, vehicles.WORK_COLOURS), BIG, (-14.0, 10.0)
    ),
    "work van": Kind(_coloured(vehicles.van, vehicles.WORK_COLOURS, work=True), BIG, (-14.0, 10.0)),
    "tipper": Kind(_coloured(vehicles.tipper, vehicles.WORK_COLOURS), BIG, (-14.0, 10.0)),
    # ordinary
    "everyday sign": Kind(_sign(work=False, stand=False), handed=True, variants=6),
    "traffic light": Kind(_made(boards.traffic_light), turns=(0.0,), variants=2),
    "passer-by": Kind(_made(people.passer_by), turns=ANY),
    "passer-by in bright clothes": Kind(_made(people.passer_by, bright=True), turns=ANY),
    "cyclist": Kind(_made(people.cyclist), turns=(80.0, 100.0)),
    "bicycles": Kind(_made(street.bicycle_rack), turns=(-25.0, 20.0)),
    "motorcycle": Kind(_coloured(vehicles.motorcycle, vehicles.WARM_COLOURS), turns=(-12.0, 20.0)),
    "car": Kind(
        _coloured(vehicles.car, vehicles.CAR_COLOURS), BIG, (-14.0, 10.0, 168.0), variants=2
    ),
    "warm car": Kind(
        _coloured(vehicles.car, vehicles.WARM_COLOURS), BIG, (-14.0, 10.0, 168.0), variants=2
    ),
    "emergency car": Kind(
        _either(
            _made(vehicles.car, colour=(228, 228, 226), stripe=(30, 66, 170)),
            _made(vehicles.car, colour=(186, 28, 30), stripe=(226, 220, 60)),
        ),
        BIG,
        (-14.0, 10.0, 168.0),
    ),
    "warm van": Kind(_coloured(vehicles.van, vehicles.WARM_COLOURS), BIG, (-14.0, 10.0, 168.0)),
    "bus": Kind(_coloured(vehicles.bus, vehicles.WARM_COLOURS), BIG, (-12.0, 8.0)),
    "lorry": Kind(_coloured(vehicles.lorry, vehicles.WARM_COLOURS), BIG, (-12.0, 8.0)),
    "hydrant": Kind(_coloured(street.hydrant, street.HYDRANT_COLOURS), turns=(0.0, 60.0)),
    "bin": Kind(
        _either(
            _coloured(street.wheelie_bin, street.BIN_COLOURS),
            _coloured(street.litter_bin, street.BIN_COLOURS),
        ),
        turns=(-20.0, 25.0),
        variants=2,
    ),
    "post box": Kind(
        _coloured(street.post_box, ((184, 30, 32), (226, 176, 36), (40, 70, 130))), turns=(10.0,)
    ),
    "planter": Kind(_made(street.planter), variants=2),
    "crates": Kind(_made(street.pallet_of_goods), turns=(20.0,), variants=2),
    "railing": Kind(_made(_rails), turns=ALONG),
    "gate": Kind(_made(street.gate), turns=(-10.0, 10.0)),
    "parasol": Kind(_coloured(street.parasol, street.CANVAS_COLOURS), turns=(0.0,), variants=2),
    "banner": Kind(_coloured(street.banner, street.FLAG_COLOURS), turns=(-20.0, 30.0)),
    "bollard": Kind(_coloured(street.bollard, street.POST_COLOURS), variants=2),
    "ringed bollard": Kind(_coloured(street.bollard, street.POST_COLOURS, ringed=True), variants=2),
}
