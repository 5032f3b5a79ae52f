"""Distances on the ground between the places where images were taken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from workzone.errors import UsageError
from workzone.types import Sample

EARTH_RADIUS = 6_371_008.8
"""Metres: the mean radius of the Earth (IUGG)."""
METRES_PER_DEGREE = math.radians(1) * EARTH_RADIUS
"""Of latitude, and of longitude on the equator."""

_BLOCK_PAIRS = 2_000_000  # per query, or those of one point: bounds the memory in a crowded place

_DECIMALS = 7  # of degrees: a centimetre

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


def haversine(
    latitude_a: npt.ArrayLike,
    longitude_a: npt.ArrayLike,
    latitude_b: npt.ArrayLike,
    longitude_b: npt.ArrayLike,
) -> Floats:
    """Great-circle distance in metres between points in degrees, elementwise with broadcasting.

    The haversine formula (Sinnott 1984, "Virtues of the Haversine") on a sphere of
    `EARTH_RADIUS`; within 0.6 % of the distance on the ellipsoid.
    """
    lat_a, lon_a, lat_b, lon_b = (
        np.radians(np.asarray(degrees, dtype=np.float64))
        for degrees in (latitude_a, longitude_a, latitude_b, longitude_b)
    )
    half_chord = (
        np.sin((lat_b - lat_a) / 2) ** 2
        + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_b - lon_a) / 2) ** 2
    )
    distance: Floats = 2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(half_chord, 0, 1)))
    return distance


def offsets(
    longitude: npt.ArrayLike,
    latitude: npt.ArrayLike,
    from_longitude: npt.ArrayLike,
    from_latitude: npt.ArrayLike,
) -> tuple[Floats, Floats]:
    """Metres east and north of places from others, with broadcasting.

    On the plane that touches the Earth there: within a metre in a kilometre, between the polar
    circles, and across the date line.
    """
    lat_a, lat_b = np.asarray(from_latitude, np.float64), np.asarray(latitude, np.float64)
    turned = np.asarray(longitude, np.float64) - np.asarray(from_longitude, np.float64)
    turned = (turned + 180) % 360 - 180
    east: Floats = turned * np.cos(np.radians((lat_a + lat_b) / 2)) * METRES_PER_DEGREE
    north: Floats = (lat_b - lat_a) * METRES_PER_DEGREE
    return east, north


def check_grid(metres: float) -> None:
    """Make sure of a distance that `round_places` can take.

    Raises:
        UsageError: it is not above 0.
    """
    if not (np.isfinite(metres) and metres > 0):
        raise UsageError(f"positions are rounded to metres above 0, got {metres}")


def round_places(
    latitude: npt.ArrayLike, longitude: npt.ArrayLike, metres: float
) -> tuple[Floats, Floats]:
    """Places moved to the nearest point of a grid, so that they tell no more than that.

    Rows of the grid are ``metres`` apart, and so are the points of a row; a place moves by less
    than ``0.71 * metres``. Rounded places stay where they are.

    Args:
        latitude: degrees; NaN stays.
        longitude: degrees, of the same shape.
        metres: see `check_grid`.

    Returns:
        latitude and longitude in degrees, longitude in -180..180.

    Raises:
        UsageError: such a distance.
    """
    check_grid(metres)
    step = min(np.degrees(metres / EARTH_RADIUS), 90.0)
    rows = np.rint(np.asarray(latitude, dtype=np.float64) / step) * step
    rows = np.clip(rows, -90, 90)
    points = np.maximum(1, np.rint(360 * np.cos(np.radians(rows)) / step))  # of a row
    columns = np.rint(np.asarray(longitude, dtype=np.float64) * points / 360) * 360 / points
    return np.round(rows, _DECIMALS), np.round((columns + 180) % 360 - 180, _DECIMALS)


def positions(samples: Sequence[Sample]) -> tuple[Indices, Floats]:
    """The samples that have a position.

    Returns:
        their indices, int64 ``[P]``, and latitude and longitude in degrees, float64 ``[P, 2]``.
    """
    degrees = np.array(
        [
            (np.nan, np.nan)
            if sample.latitude is None or sample.longitude is None
            else (sample.latitude, sample.longitude)
            for sample in samples
        ],
        dtype=np.float64,
    ).reshape(-1, 2)
    placed = np.flatnonzero(np.isfinite(degrees).all(axis=1))
    return placed, degrees[placed]


def distinct(degrees: Floats) -> tuple[Indices, Indices]:
    """The different points among points.

    A parked camera takes thousands of images at one point, which makes millions of pairs.

    Args:
        degrees: latitude and longitude, and what else must be equal, float64 ``[P, 2 or more]``.

    Returns:
        the index of the first of each, ascending, int64 ``[Q]``, and for each point its number
        among them, int64 ``[P]``.
    """
    if not len(degrees):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    _, first, which = np.unique(degrees, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[which.reshape(-1)].astype(np.int64)


def near_pairs(degrees: Floats, metres: float) -> Iterator[Indices]:
    """All pairs of points at most ``metres`` apart, each once.

    Args:
        degrees: latitude and longitude, float64 ``[P, 2]``.
        metres: the largest distance, at least 0.

    Yields:
        blocks of pairs ``i < j``, int64 ``[M, 2]``; in blocks because a crowded place alone can
        make millions of pairs.

    Give `distinct` points where many are equal.
    """
    if len(degrees) < 2:
        return
    from sklearn.neighbors import BallTree  # a second of every start, were it at the top

    radians = np.radians(degrees)
    tree = BallTree(radians, metric="haversine")
    radius = metres / EARTH_RADIUS
    pairs_before = np.cumsum(tree.query_radius(radians, r=radius, count_only=True))
    for block in np.split(
        np.arange(len(radians)), np.flatnonzero(np.diff(pairs_before // _BLOCK_PAIRS)) + 1
    ):
        found = tree.query_radius(radians[block], r=radius)
        first = np.repeat(block, [len(near) for near in found])
        second = np.concatenate(found)
        once = first < second
        if once.any():
            yield np.stack([first[once], second[once]], axis=1).astype(np.int64)
