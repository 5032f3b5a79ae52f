"""Distances and headings on the ground, elementwise, of places in degrees on WGS 84."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workzone.data.places import METRES_PER_DEGREE, offsets

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def moved(
    longitude: float, latitude: float, east: npt.ArrayLike, north: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Longitudes and latitudes some metres east and north of a place: `offsets` backwards."""
    lat: Floats = latitude + np.asarray(north, np.float64) / METRES_PER_DEGREE
    turned = np.asarray(east, np.float64) / METRES_PER_DEGREE
    lon: Floats = longitude + turned / np.cos(np.radians((latitude + lat) / 2))
    return (lon + 180) % 360 - 180, lat


def steps(longitude: Floats, latitude: Floats) -> Floats:
    """Metres from each place to the next, ``[n - 1]``."""
    east, north = offsets(longitude[1:], latitude[1:], longitude[:-1], latitude[:-1])
    distance: Floats = np.hypot(east, north)
    return distance


def from_begin(lengths: Floats) -> Floats:
    """Metres from the first place to each, ``[n]``, of the metres between them, ``[n - 1]``."""
    return np.concatenate([[0.0], np.cumsum(lengths)])


def heading(east: npt.ArrayLike, north: npt.ArrayLike) -> Floats:
    """Degrees clockwise from north, 0..360, of directions."""
    degrees: Floats = np.degrees(np.arctan2(np.asarray(east), np.asarray(north))) % 360
    return degrees


def turn(one: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    """Degrees from one heading to another, -180..180, positive clockwise."""
    between = np.asarray(other, np.float64) - np.asarray(one, np.float64)
    degrees: Floats = (between + 180) % 360 - 180
    return degrees


def courses(longitude: Floats, latitude: Floats) -> Floats:
    """The heading of a line at each of its places ``[n]``, between those around it."""
    rows = np.arange(len(longitude))
    before, after = np.maximum(rows - 1, 0), np.minimum(rows + 1, len(longitude) - 1)
    return heading(*offsets(longitude[after], latitude[after], longitude[before], latitude[before]))


def resampled(longitude: Floats, latitude: Floats, spacing: float) -> tuple[Floats, Floats]:
    """Places each ``spacing`` metres along a line of two or more, and its last: ``[m]`` each.

    The line must not cross the date line.
    """
    along = from_begin(steps(longitude, latitude))
    inner = np.arange(spacing, along[-1] - spacing / 2, spacing)
    wanted = np.concatenate([[0.0], inner, [along[-1]]])
    return np.interp(wanted, along, longitude), np.interp(wanted, along, latitude)
