"""From the drawn street's arrangements to things of the catalogue."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from workzone.scenes import distractors, markers, people, roadside, signs, vehicles, work
from workzone.scenes.place import Item, Stage, pick
from workzone.scenes.roadside import claim_kerb

Details = dict[str, Any]
_Choice = tuple[str, float, float]
"""Kind, turn in degrees, size in multiples of the model's."""

ALONG = 90.0


@dataclass(frozen=True, slots=True)
class Request:
    """A thing that is to stand on the street.

    ``kind``: of the catalogue; ``of_class``: a class, another name where it is to be listed, or "";
    ``x``, ``z``: metres; ``turn``: degrees; ``size``: in multiples of the model's.
    """

    kind: str
    of_class: str
    x: float
    z: float
    turn: float
    size: float


def requests(stage: Stage, rng: np.random.Generator) -> list[Request]:
    """What stands on a stage and is in the catalogue, from far to near.

    Trees and pits are in none: a photograph has its own.
    """
    found = []
    for item in sorted(stage.items, key=lambda item: -item.z):
        wanted = _request(item, rng)
        if wanted is not None:
            found.append(wanted)
    return found


def add_street_furniture(stage: Stage, rng: np.random.Generator, count: int) -> None:
    """Things of the catalogue that the drawn streets do not know."""
    road = stage.place.road
    for _ in range(count):
        z = rng.uniform(6, 26)
        if claim_kerb(stage, z):
            x = road.verge + rng.uniform(0.3, 1.4)
            stage.add(furniture, x=x, z=z, name=pick(rng, _FURNITURE))


def furniture(*_: object, **__: object) -> None:
    """Stands for a thing of `add_street_furniture`; it cannot be drawn."""


_FURNITURE = ("post box", "planter", "planter", "crates", "bicycles", "bin", "car", "car")


def _request(item: Item, rng: np.random.Generator) -> Request | None:
    draw = item.draw
    if not isinstance(draw, partial) or draw.func not in _CHOICES:
        return None
    details: Details = dict(draw.keywords)
    x, z = details.pop("x"), details.pop("z")
    kind, turn, size = _CHOICES[draw.func](details | {"of_class": item.kind}, rng)
    return Request(kind, item.kind, x, z, turn, size)


def _fixed(kind: str, turn: float = 0.0, spread: float = 6.0) -> Callable[..., _Choice]:
    def choose(details: Details, rng: np.random.Generator) -> _Choice:
        return kind, turn + rng.normal(0, spread), 1.0

    return choose


def _cone(details: Details, rng: np.random.Generator) -> _Choice:
    size = details["height"] / 0.75
    if details["colour"][1] > 200:
        return "cone, lime", 0.0, size
    return ("cone, plain", "cone, one sleeve", "cone, two sleeves")[details["bands"]], 0.0, size


def _fallen_cone(details: Details, rng: np.random.Generator) -> _Choice:
    return "fallen cone", rng.uniform(-60, 60), details["height"] / 0.75


def _sign(details: Details, rng: np.random.Generator) -> _Choice:
    if details["of_class"] != "sign":
        return "everyday sign", 0.0, rng.uniform(0.95, 1.1)
    stand = details.get("stand", False)
    return f"work sign on a {'stand' if stand else 'post'}", 0.0, rng.uniform(0.9, 1.15)


def _barricade(details: Details, rng: np.random.Generator) -> _Choice:
    name = "barricade" if details["boards"] > 2 else "low barricade"
    return name + (", red" if details["red"] else ""), rng.normal(0, 8), 1.0


def _a_frame(details: Details, rng: np.random.Generator) -> _Choice:
    turn = math.degrees(details["turn"])
    return "A-frame, red" if details["red"] else "A-frame", turn, 1.0


def _plastic_barrier(details: Details, rng: np.random.Generator) -> _Choice:
    colours = {signs.WHITE: "white", markers.WHITE: "white", signs.RED: "red", markers.RED: "red"}
    name = f"plastic barrier, {colours.get(details['colour'], 'orange')}"
    return name, ALONG if details["length"] > details["width"] else 0.0, 1.0


def _fence(details: Details, rng: np.random.Generator) -> _Choice:
    return "mesh fence" if details["mesh"] else "board fence", ALONG + rng.normal(0, 3), 1.0


def _excavator(details: Details, rng: np.random.Generator) -> _Choice:
    name = "mini excavator" if rng.random() < 0.45 else "excavator"
    return name, rng.normal(0, 30) + (180 if details["facing"] < 0 else 0), 1.0


def _worker(details: Details, rng: np.random.Generator) -> _Choice:
    return "worker", rng.uniform(-180, 180), 1.0


def _person(details: Details, rng: np.random.Generator) -> _Choice:
    bright = details["outfit"].top in people.BRIGHT_CLOTHES
    name = "passer-by in bright clothes" if bright else "passer-by"
    return name, rng.uniform(-180, 180), details.get("tall", 1.0)


def _car(details: Details, rng: np.random.Generator) -> _Choice:
    warm = details["colour"] in vehicles.WARM_COLOURS
    return "warm car" if warm else "car", 180.0 if details.get("oncoming") else 0.0, 1.0


def _service_truck(details: Details, rng: np.random.Generator) -> _Choice:
    return pick(rng, ["service truck", "work van"]), rng.normal(0, 4), 1.0


def _bollard(details: Details, rng: np.random.Generator) -> _Choice:
    return "ringed bollard" if details["banded"] else "bollard", 0.0, 1.0


def _furnished(details: Details, rng: np.random.Generator) -> _Choice:
    return details["name"], rng.normal(0, 15), 1.0


_CHOICES: dict[Callable[..., Any], Callable[[Details, np.random.Generator], _Choice]] = {
    markers.draw_cone: _cone,
    markers.draw_fallen_cone: _fallen_cone,
    markers.draw_drum: _fixed("drum"),
    markers.draw_tube: _fixed("tube"),
    markers.draw_vertical_panel: _fixed("panel"),
    markers.draw_beacon: _fixed("beacon"),
    signs.draw_diamond: _sign,
    signs.draw_triangle: _sign,
    signs.draw_board: _sign,
    signs.draw_disc: _sign,
    signs.draw_arrow_board: _fixed("arrow board"),
    signs.draw_message_board: _fixed("message board"),
    signs.draw_traffic_light: _fixed("traffic light"),
    work.draw_barricade: _barricade,
    work.draw_a_frame: _a_frame,
    work.draw_barrier_board: _fixed("barrier board"),
    work.draw_plastic_barrier: _plastic_barrier,
    work.draw_concrete_barrier: _fixed("concrete barrier", ALONG, 1.0),
    work.draw_fence: _fence,
    work.draw_excavator: _excavator,
    work.draw_roller: _fixed("roller", 0.0, 25.0),
    work.draw_paver: _fixed("paver"),
    work.draw_compressor: _fixed("compressor", 0.0, 15.0),
    work.draw_light_tower: _fixed("light tower", 0.0, 15.0),
    work.draw_heap: _fixed("heap"),
    people.draw_worker: _worker,
    people.draw_flagger: _fixed("flagger", -60.0, 40.0),
    people.draw_person: _person,
    people.draw_cyclist: _fixed("cyclist", 90.0, 10.0),
    vehicles.draw_car: _car,
    vehicles.draw_suv: _car,
    vehicles.draw_van: _fixed("warm van", 0.0, 3.0),
    vehicles.draw_bus: _fixed("bus", 0.0, 3.0),
    vehicles.draw_lorry: _fixed("lorry", 0.0, 3.0),
    vehicles.draw_motorcycle: _fixed("motorcycle", 0.0, 12.0),
    vehicles.draw_emergency_vehicle: _fixed("emergency car", 0.0, 5.0),
    vehicles.draw_tipper: _fixed("tipper", 0.0, 4.0),
    vehicles.draw_service_truck: _service_truck,
    distractors.draw_hydrant: _fixed("hydrant", 0.0, 40.0),
    distractors.draw_bin: _fixed("bin", 0.0, 20.0),
    distractors.draw_railing: _fixed("railing", ALONG, 1.0),
    distractors.draw_gate: _fixed("gate"),
    distractors.draw_parasol: _fixed("parasol"),
    distractors.draw_banner: _fixed("banner", 0.0, 30.0),
    roadside.draw_bollard: _bollard,
    furniture: _furnished,
}
