"""Zones on lines as events with places and dates."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from workzone.data.places import offsets
from workzone.geo.config import MapConfig
from workzone.geo.event import Change, Event, Place
from workzone.geo.ground import heading
from workzone.geo.roads import Line
from workzone.geo.tracks import Track

_DECIMALS = 7  # of degrees: a centimetre


def event_of(track: Track, line: Line, now: float, config: MapConfig) -> Event | None:
    """A zone as it is ``now`` (seconds since 1970); None of a suspicion that has faded."""
    gone_since, history = track.gone_since, list(track.history)
    state = track.state
    faded = track.last_passed + config.lasts(track.belief)
    if state != "gone" and now >= faded:
        state, gone_since = "gone", faded
        history.append((faded, "gone", None))
    if state == "gone" and not track.confirmed:
        return None
    begin, end = _within(line.length, *track.extent)
    places = _part(line, begin, end)
    confidence = float(config.aged(track.belief, now - track.last_passed))
    return Event(
        id=track.id,
        state=state,
        confidence=0.0 if state == "gone" else confidence,
        line=places,
        heading=_heading(places),
        road=line.road,
        first_seen=moment(track.first_seen),
        last_seen=moment(track.last_seen),
        last_passed=moment(track.last_passed),
        gone_since=None if gone_since is None else moment(gone_since),
        passes=track.passes,
        sightings=track.sightings,
        length_m=end - begin,
        error_m=track.error,
        images=tuple(name for _, name in track.images),
        classes=track.classes,
        history=tuple(Change(moment(time), what, other) for time, what, other in history),
    )


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _within(length: float, begin: float, end: float) -> tuple[float, float]:
    """Both ends on a line of some metres, a metre or more apart."""
    last = min(max(end, 1.0), length)
    return min(max(begin, 0.0), last - 1.0), last


def _part(line: Line, begin: float, end: float) -> tuple[Place, ...]:
    """The places of a line from one distance along it to another."""
    along = line.along
    inner = along[(along > begin + 0.5) & (along < end - 0.5)]
    wanted = np.concatenate([[begin], inner, [end]])
    lon = np.interp(wanted, along, line.longitude).round(_DECIMALS)
    lat = np.interp(wanted, along, line.latitude).round(_DECIMALS)
    return tuple(zip(lon.tolist(), lat.tolist(), strict=True))


def _heading(places: tuple[Place, ...]) -> float:
    """At the begin, over the first places."""
    (lon, lat), (to_lon, to_lat) = places[0], places[min(2, len(places) - 1)]
    return round(float(heading(*offsets(to_lon, to_lat, lon, lat))), 1) % 360
