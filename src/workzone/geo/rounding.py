"""Events whose places tell no more than a grid does."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby

import numpy as np

from workzone.data.places import round_places
from workzone.geo.event import Event, Place
from workzone.geo.ground import Floats, moved

_HALF_WAY = 180.0  # degrees; further apart, longitudes are on two sides of the date line


def rounded(event: Event, metres: float) -> Event:
    """An event on a grid of so many metres, without places that repeat the one before.

    Where all of its places become one, it ends a step of the grid further along travel, or begins
    one before where that is across the date line: it is a line still. None crosses that line.

    Raises:
        UsageError: ``metres`` is not above 0.
    """
    longitude, latitude = np.array(event.line, np.float64).T
    line = _on_grid(longitude, latitude, metres)
    if len(line) == 1:
        line = _of_a_step(line[0], math.radians(event.heading or 0.0), metres)
    return replace(event, line=tuple(line))


def _of_a_step(place: Place, heading: float, metres: float) -> list[Place]:
    """A place and the next along travel, or the one before it and the place."""
    along = np.array([metres, -metres])
    east, north = moved(*place, along * math.sin(heading), along * math.cos(heading))
    if abs(east[0] - place[0]) > _HALF_WAY:
        return [*_on_grid(east[1:], north[1:], metres), place]
    return [place, *_on_grid(east[:1], north[:1], metres)]


def _on_grid(longitude: Floats, latitude: Floats, metres: float) -> list[Place]:
    lat, lon = round_places(latitude, longitude, metres)
    # The grid is the same on both sides of the date line.
    lon = np.where(np.abs(lon - longitude) > _HALF_WAY, -lon, lon)
    return [place for place, _ in groupby(zip(lon.tolist(), lat.tolist(), strict=True))]
