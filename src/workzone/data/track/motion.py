"""Speed, heading and standing still, from positions and times alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from workzone.data.places import METRES_PER_DEGREE, Floats, haversine

PARKED_METRES = 10.0
"""Within so far of where it stopped, a camera stands: positions at rest wander by metres."""
PARKED_SECONDS = 20.0
"""At least so long."""

_REACH = 1.0  # seconds to each side over which motion is measured
_SLOWEST = 1.0  # metres a second below which a heading is noise

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def stretches(seconds: Floats, gap: float) -> Ints:
    """The number of the stretch without gaps that each moment is in, ``[T]`` from 0 on.

    Args:
        seconds: ``[T]``, ascending.
        gap: seconds; what is farther apart is not connected.
    """
    numbers = np.zeros(len(seconds), dtype=np.int64)
    numbers[1:] = np.cumsum(np.diff(seconds) > gap)
    return numbers


def speed_and_heading(
    seconds: Floats, latitude: Floats, longitude: Floats, stretch: Ints
) -> tuple[Floats, Floats]:
    """Metres a second and degrees from north, clockwise, ``[T]`` each.

    Measured from about a second before to a second after, within the stretch; NaN where there is
    nothing to measure from, the heading also below a metre a second.
    """
    number = np.arange(len(seconds))
    first = np.searchsorted(stretch, stretch, side="left")
    last = np.searchsorted(stretch, stretch, side="right") - 1
    before = np.searchsorted(seconds, seconds - _REACH - 1e-6, side="left")
    after = np.searchsorted(seconds, seconds + _REACH + 1e-6, side="right") - 1
    before = np.maximum(np.minimum(before, number - 1), first)
    after = np.minimum(np.maximum(after, number + 1), last)
    elapsed = seconds[after] - seconds[before]
    metres = haversine(latitude[before], longitude[before], latitude[after], longitude[after])
    speed = np.full(len(seconds), np.nan)
    np.divide(metres, elapsed, out=speed, where=elapsed > 0)
    heading = bearing(latitude[before], longitude[before], latitude[after], longitude[after])
    heading[~(speed >= _SLOWEST)] = np.nan
    return speed, heading


def bearing(
    latitude_a: Floats, longitude_a: Floats, latitude_b: Floats, longitude_b: Floats
) -> Floats:
    """The direction in which b lies from a, 0 to 360 degrees from north, clockwise."""
    lat_a, lat_b = np.radians(latitude_a), np.radians(latitude_b)
    apart = np.radians(longitude_b - longitude_a)
    east = np.sin(apart) * np.cos(lat_b)
    north = np.cos(lat_a) * np.sin(lat_b) - np.sin(lat_a) * np.cos(lat_b) * np.cos(apart)
    direction: Floats = np.degrees(np.arctan2(east, north)) % 360
    return direction


def parked(seconds: Floats, latitude: Floats, longitude: Floats, stretch: Ints) -> Bools:
    """Whether the camera stands at each moment, ``[T]``.

    It does for `PARKED_SECONDS` or longer within `PARKED_METRES` of where that began.
    """
    standing = np.zeros(len(seconds), dtype=bool)
    narrowing, lat, lon, moments, parts = (
        values.tolist()
        for values in (np.cos(np.radians(latitude)), latitude, longitude, seconds, stretch)
    )

    def near(start: int, other: int) -> bool:
        north = lat[other] - lat[start]
        east = ((lon[other] - lon[start] + 180) % 360 - 180) * narrowing[start]
        return bool((north**2 + east**2) * METRES_PER_DEGREE**2 <= PARKED_METRES**2)

    start = 0
    while start < len(moments):
        end = start
        while end + 1 < len(moments) and parts[end + 1] == parts[start] and near(start, end + 1):
            end += 1
        if moments[end] - moments[start] >= PARKED_SECONDS:
            standing[start : end + 1] = True
            start = end + 1
        else:
            start += 1
    return standing


def travelled(latitude: Floats, longitude: Floats, stretch: Ints, standing: Bools) -> Floats:
    """Metres driven from the first moment to each, ``[T]``; none across gaps, none while parked."""
    metres = np.zeros(len(latitude))
    if len(latitude) > 1:
        steps = haversine(latitude[:-1], longitude[:-1], latitude[1:], longitude[1:])
        apart = np.array([a != b for a, b in pairwise(stretch.tolist())])
        steps[apart | (standing[:-1] & standing[1:])] = 0
        metres[1:] = np.cumsum(steps)
    return metres
