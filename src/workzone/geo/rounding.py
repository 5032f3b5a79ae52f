"""Events whose places tell no more than a grid does."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby

import numpy as np

from workzone.data.places import round_places
from workzone.geo.event import Event, Place
from workzone.geo.ground import Floats, moved


def rounded(event: Event, metres: float) -> Event:
    """An event on a grid of so many metres, without places that repeat the one before.

    Where all of its places become one, it ends a step of the grid further along travel: it is a
    line still.

    Raises:
        UsageError: ``metres`` is not above 0.
    """
    longitude, latitude = np.array(event.line, np.float64).T
    line = _on_grid(longitude, latitude, metres)
    if len(line) == 1:
        heading = math.radians(event.heading or 0.0)
        along = (metres * math.sin(heading), metres * math.cos(heading))
        east, north = moved(*line[0], *along)
        line += _on_grid(np.atleast_1d(east), np.atleast_1d(north), metres)
    return replace(event, line=tuple(line))


def _on_grid(longitude: Floats, latitude: Floats, metres: float) -> list[Place]:
    lat, lon = round_places(latitude, longitude, metres)
    return [place for place, _ in groupby(zip(lon.tolist(), lat.tolist(), strict=True))]
