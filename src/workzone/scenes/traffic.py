"""Everyday traffic: cars in the lanes and at the kerb, people on the pavement."""

from __future__ import annotations

import numpy as np

from workzone.scenes.people import STANDING, WALKING, draw_person, passer_by
from workzone.scenes.place import Area, Stage, pick
from workzone.scenes.vehicles import (
    CAR_COLOURS,
    draw_bus,
    draw_car,
    draw_lorry,
    draw_suv,
    draw_van,
)

MOVING = (draw_car, draw_car, draw_car, draw_suv, draw_suv, draw_van, draw_lorry, draw_bus)
"""What drives, as often as it is here."""
_PARKED = (draw_car, draw_car, draw_suv, draw_van)


def add_traffic(stage: Stage, rng: np.random.Generator) -> None:
    """Vehicles and people where nothing else has been put yet."""
    _add_moving(stage, rng)
    add_parked(stage, rng)
    add_pedestrians(stage, rng)


def _add_moving(stage: Stage, rng: np.random.Generator) -> None:
    road, environment = stage.place.road, stage.place.environment
    lit = stage.place.daytime != "day" or stage.place.weather == "rain"
    most = {"urban": 5, "suburban": 3, "highway": 6, "rural": 2}[environment]
    lanes = [(x, False) for x in road.own] + [(x, True) for x in road.oncoming]
    for _ in range(int(rng.integers(1, most + 1))):
        x, oncoming = pick(rng, lanes)
        x, z = x + rng.normal(0, 0.2), rng.uniform(7, 80)
        draw, colour = pick(rng, MOVING), pick(rng, CAR_COLOURS)
        if draw in (draw_lorry, draw_bus):
            z += 8
        if stage.claim(Area(x - 1.3, x + 1.3, z - 3, z + 11)):
            stage.add(draw, x=x, z=z, colour=colour, oncoming=oncoming, lit=lit)


def add_parked(stage: Stage, rng: np.random.Generator) -> None:
    """Cars at the kerb, where there is a strip for them."""
    road = stage.place.road
    if road.parking:
        for z in np.arange(rng.uniform(4, 10), 60, 6.2).tolist():
            draw, colour, parked = pick(rng, _PARKED), pick(rng, CAR_COLOURS), rng.random() < 0.6
            x = road.verge - 1.15
            if parked and stage.claim(Area(x - 0.9, x + 0.9, z, z + 5.5)):
                stage.add(draw, x=x, z=z, colour=colour)


def add_pedestrians(stage: Stage, rng: np.random.Generator) -> None:
    """People on the pavements of towns."""
    road, environment = stage.place.road, stage.place.environment
    if environment not in ("urban", "suburban"):
        return
    most = 5 if environment == "urban" else 2
    for _ in range(int(rng.integers(0, most + 1))):
        left = rng.random() < 0.4
        x = road.outer_left + 0.8 if left else road.outer_right - rng.uniform(0.3, 1.0)
        stage.add(
            draw_person,
            x=x,
            z=rng.uniform(8, 50),
            outfit=passer_by(rng, bright=bool(rng.random() < 0.15)),
            pose=pick(rng, [WALKING, WALKING, STANDING]),
            facing=pick(rng, [-1, 1]),
            tall=rng.uniform(0.85, 1.08),
        )
