"""A drive becomes passes: stretches that a car drove without a stop, a gap or a turn back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workzone.data.places import offsets
from workzone.geo.detections import Drive
from workzone.geo.ground import (
    Flags,
    Floats,
    Indices,
    from_begin,
    heading,
    steps,
    turn,
)
from workzone.geo.objects import Objects

Key = tuple[float, str, int]
"""What passes are ordered by: the time of the first frame, the drive, the number within it."""

GAP_SECONDS, GAP_METRES = 30.0, 100.0  # more than that between two frames ends a pass
SLOWEST = 1.0  # metres a second; a slower car stands
SPACING = 3.0  # metres; frames closer to each other say nothing new
BASELINE = 10.0  # metres before and behind, between which a heading is measured
FULL_TURN = 200.0  # degrees to one side, after which a car may come by the same place again


@dataclass(frozen=True, slots=True)
class Pass:
    """A stretch driven, ``[n]`` frames, two or more."""

    key: Key
    time: Floats  # seconds since 1970, UTC
    longitude: Floats
    latitude: Floats
    heading: Floats  # degrees clockwise from north
    probability: Floats
    ids: tuple[str, ...]
    objects: Objects


def passes_of(drives: Sequence[Drive]) -> list[Pass]:
    """All passes of drives, in order of their keys."""
    return sorted((one for drive in drives for one in _cut(drive)), key=lambda one: one.key)


def _cut(drive: Drive) -> list[Pass]:
    rows = _advancing(drive.time, drive.longitude, drive.latitude)
    if len(rows) < 2:
        return []
    time, lon, lat = drive.time[rows], drive.longitude[rows], drive.latitude[rows]
    lengths = steps(lon, lat)
    apart = (np.diff(time) > GAP_SECONDS) | (lengths > GAP_METRES)
    apart |= np.abs(np.diff(lon)) > 180  # the date line, over which no line is drawn
    headings = _headings(lon, lat, lengths, apart, drive.heading[rows])
    found: list[Pass] = []
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
    for start, end in pairwise(edges):
        turns = turn(headings[start : end - 1], headings[start + 1 : end])
        turned = np.concatenate([[0.0], np.cumsum(turns)])
        for first, last in _unturned(turned):
            part = slice(start + first, start + last)
            if last - first < 2:
                continue
            chosen = rows[part]
            found.append(
                Pass(
                    key=(float(time[part][0]), drive.id, len(found)),
                    time=time[part],
                    longitude=lon[part],
                    latitude=lat[part],
                    heading=headings[part],
                    probability=drive.probability[chosen],
                    ids=tuple(drive.ids[row] for row in chosen.tolist()),
                    objects=drive.objects.at(chosen),
                )
            )
    return found


def _advancing(time: Floats, lon: Floats, lat: Floats) -> Indices:
    """Rows of frames of a car that moves, those too close to the one before left out."""
    if len(time) < 2:
        return np.arange(len(time))
    lengths = steps(lon, lat)
    moves: Flags = np.concatenate([[True], lengths >= SLOWEST * np.diff(time)])
    rows = np.flatnonzero(moves)
    along = from_begin(steps(lon[rows], lat[rows]))
    numbers = np.floor(along / SPACING)
    kept: Indices = rows[np.concatenate([[True], np.diff(numbers) > 0])]
    return kept


def _headings(lon: Floats, lat: Floats, lengths: Floats, apart: Flags, known: Floats) -> Floats:
    """Headings as far as they are known, else from the places around."""
    along = from_begin(lengths)
    run = np.concatenate([[0], np.cumsum(apart)])
    first, last = np.searchsorted(run, run), np.searchsorted(run, run, side="right") - 1
    before = np.maximum(np.searchsorted(along, along - BASELINE, side="right") - 1, first)
    after = np.minimum(np.searchsorted(along, along + BASELINE), last)
    east, north = offsets(lon[after], lat[after], lon[before], lat[before])
    return np.where(np.isnan(known), heading(east, north), known)


def _unturned(turned: Floats) -> list[tuple[int, int]]:
    """First and one past the last frames of parts that turn by less than `FULL_TURN`."""
    parts, start = [], 0
    while start < len(turned):
        beyond = np.flatnonzero(np.abs(turned[start:] - turned[start]) > FULL_TURN)
        end = start + int(beyond[0]) if len(beyond) else len(turned)
        parts.append((start, end))
        start = end
    return parts
