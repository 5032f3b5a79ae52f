"""A track: positions that count, in order of time, with motion, and any moment between them."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from workzone.data.places import Floats
from workzone.data.track.fixes import NO_TIME, Fix, Log
from workzone.data.track.motion import Bools, Ints, parked, speed_and_heading, stretches, travelled
from workzone.errors import TrackError

MAX_GAP = 5.0
"""Seconds; nothing is known between fixes farther apart: a tunnel, or the camera was off."""

ROLLOVER = 1024
"""Weeks after which the week numbers of GPS begin again (IS-GPS-200, 20.3.3.3.1.1)."""

_WEEK, _DAY = 604_800, 86_400
_GPS_YEARS = (315_964_800, 4_102_444_800)  # 1980-01-06, when GPS began, to 2100
_LONGEST = 30 * 86_400  # seconds of a video
_NO_PLACE = 1e-6  # degrees: within about 10 cm of 0, 0

Axis = Literal["offset", "utc"]


@dataclass(frozen=True)
class Places:
    """Where the camera was at some moments; NaN (and False) where nothing is known.

    All ``[M]``: degrees, metres a second, degrees from north, metres driven so far.
    """

    latitude: Floats
    longitude: Floats
    speed: Floats
    heading: Floats
    metres: Floats
    parked: Bools


@dataclass(frozen=True)
class Track:
    """Fixes in order, all ``[T]``.

    ``utc``: seconds since 1970, ``offset``: seconds since the video's first frame; NaN where not
    known. ``speed``: metres a second, ``heading``: degrees from north, ``metres``: driven so far.
    ``stretch``: the number of the stretch without gaps.
    """

    path: Path
    log: Log
    axis: Axis
    utc: Floats
    offset: Floats
    latitude: Floats
    longitude: Floats
    altitude: Floats
    speed: Floats
    heading: Floats
    parked: Bools
    metres: Floats
    stretch: Ints
    images: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.latitude)

    @property
    def seconds(self) -> Floats:
        """The times by which it is ordered, ``[T]``."""
        return self.offset if self.axis == "offset" else self.utc

    @cached_property
    def _steady_longitude(self) -> Floats:
        """Longitude without the step at the date line, ``[T]``."""
        return np.unwrap(self.longitude, period=360)

    def at(self, seconds: npt.ArrayLike) -> Places:
        """Where the camera was, by straight lines between fixes; never across gaps or beyond.

        Args:
            seconds: ``[M]``, in the sense of ``axis``.
        """
        moments = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
        known = self.seconds
        before = np.clip(np.searchsorted(known, moments, side="right") - 1, 0, len(known) - 1)
        after = np.minimum(before + 1, len(known) - 1)
        exact = known[before] == moments
        inside = (moments >= known[0]) & (moments <= known[-1])
        inside &= exact | (self.stretch[before] == self.stretch[after])
        span = known[after] - known[before]
        share = np.where(
            exact | (span <= 0), 0.0, (moments - known[before]) / np.where(span > 0, span, 1)
        )

        def between(values: Floats) -> Floats:
            there = np.where(share > 0, values[after], values[before])
            mixed = values[before] + share * (there - values[before])
            return np.where(inside, mixed, np.nan)

        longitude = between(self._steady_longitude)
        nearest = np.where(share < 0.5, before, after)
        return Places(
            between(self.latitude),
            (longitude + 180) % 360 - 180,
            between(self.speed),
            np.where(inside, self.heading[nearest], np.nan),
            between(self.metres),
            self.parked[nearest] & inside,
        )


def build(path: Path, log: Log, *, weeks: int | None = None, max_gap: float = MAX_GAP) -> Track:
    """Order what a reader found, and leave out what is no position.

    Args:
        path: for messages.
        log: what was read; its counts grow by what is left out here.
        weeks: to add to all times, `ROLLOVER` for a receiver whose weeks began again; 0 takes old
            times as they are; None refuses times that such a receiver may have written.
        max_gap: seconds between fixes up to which the camera's way is taken as known.

    Raises:
        TrackError: no position is left, or the times cannot be right.
    """
    log = dataclasses.replace(log, fixes=list(_sound(log)), dropped=+log.dropped)
    if not log.fixes:
        raise TrackError(f"{path} has no positions that can be used. {log}")
    axis: Axis = "offset" if all(fix.offset is not None for fix in log.fixes) else "utc"
    log.fixes = _ordered(log, axis, weeks or 0)
    log.fixes = _not_to_come(path, log)
    _check_rollover(path, log.fixes, weeks)
    utc, offset, latitude, longitude, altitude = (
        np.array([getattr(fix, name) for fix in log.fixes], dtype=np.float64)  # None becomes NaN
        for name in ("utc", "offset", "latitude", "longitude", "altitude")
    )
    stretch = stretches(offset if axis == "offset" else utc, max_gap)
    seconds = offset if axis == "offset" else utc
    standing = parked(seconds, latitude, longitude, stretch)
    speed, heading = speed_and_heading(seconds, latitude, longitude, stretch)
    heading[standing] = np.nan
    return Track(
        path,
        log,
        axis,
        utc,
        offset,
        latitude,
        longitude,
        altitude,
        speed,
        heading,
        standing,
        travelled(latitude, longitude, stretch, standing),
        stretch,
        tuple(fix.image for fix in log.fixes),
    )


def _sound(log: Log) -> Iterator[Fix]:
    for fix in log.fixes:
        if not (math.isfinite(fix.latitude) and math.isfinite(fix.longitude)):
            log.dropped["not a number"] += 1
        elif abs(fix.latitude) < _NO_PLACE and abs(fix.longitude) < _NO_PLACE:
            log.dropped["at 0, 0"] += 1
        elif abs(fix.latitude) > 90 or abs(fix.longitude) > 180:
            log.dropped["outside the globe"] += 1
        elif fix.utc is None and fix.offset is None:
            log.dropped[NO_TIME] += 1
        elif not (_is_time(fix.utc, *_GPS_YEARS) and _is_time(fix.offset, -_LONGEST, _LONGEST)):
            log.dropped["at an impossible time"] += 1
        else:
            yield fix


def _is_time(seconds: float | None, first: float, last: float) -> bool:
    return seconds is None or first <= seconds <= last


def _ordered(log: Log, axis: Axis, weeks: int) -> list[Fix]:
    """Fixes by time, one for each moment; but pictures of one moment, as of a burst, stay."""
    fixes = [fix for fix in log.fixes if getattr(fix, axis) is not None]
    if missing := len(log.fixes) - len(fixes):
        log.dropped[NO_TIME] += missing
    fixes.sort(key=lambda fix: getattr(fix, axis))
    kept: list[Fix] = []
    for fix in fixes:
        again = bool(kept) and getattr(fix, axis) == getattr(kept[-1], axis)
        if again and fix.image in (None, kept[-1].image):
            log.dropped["at the time of another"] += 1
        else:
            utc = None if fix.utc is None else fix.utc + weeks * _WEEK
            kept.append(dataclasses.replace(fix, utc=utc))
    return kept


def _not_to_come(path: Path, log: Log) -> list[Fix]:
    """Without the few at times to come, which are damaged; many show a clock that is wrong."""
    end = time.time() + _DAY
    passed = [fix for fix in log.fixes if fix.utc is None or fix.utc <= end]
    count = len(log.fixes) - len(passed)
    if 2 * count > len(log.fixes):
        latest = max(fix.utc for fix in log.fixes if fix.utc is not None)
        raise TrackError(
            f"{path} has positions of {_day(latest)}, which is to come; set the clock, or the "
            "time zone that you stated, right"
        )
    if count:
        log.dropped["at a time to come"] += count
    return passed


def _check_rollover(path: Path, fixes: list[Fix], weeks: int | None) -> None:
    first = min((fix.utc for fix in fixes if fix.utc is not None), default=math.inf)
    if weeks is None and first + ROLLOVER * _WEEK <= time.time():
        raise TrackError(
            f"{path} has positions of {_day(first)}: perhaps of a receiver that counts the "
            f"weeks of GPS anew, and {_day(first + ROLLOVER * _WEEK)} is meant. Say "
            f"--add-weeks {ROLLOVER}, or --add-weeks 0 if the date is right."
        )


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
