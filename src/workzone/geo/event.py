"""A work zone on a road: what all of `workzone map` speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["suspected", "present", "gone"]
Place = tuple[float, float]
"""Longitude and latitude in degrees, WGS 84; in this order everywhere."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that became of an event."""

    time: datetime  # UTC
    what: Literal["suspected", "present", "gone", "moved", "merged", "split"]
    other: str | None = None  # the event it was merged with or split from


@dataclass(frozen=True, slots=True)
class Event:
    """A work zone: where it lies, since when, whether it is still there, and how sure that is."""

    id: str  # stable while the event lives
    state: State
    confidence: float  # that it is there now, 0..1
    line: tuple[Place, ...]  # along travel, from its begin to its end; two places or more
    heading: float | None  # of travel at its begin, degrees clockwise from north
    road: str | None  # name or number, where a network is given
    first_seen: datetime  # UTC; of the first frame that showed it
    last_seen: datetime  # of the last one
    last_passed: datetime  # when somebody last drove by, whether it was seen or not
    gone_since: datetime | None  # the first pass that did not see it any more
    passes: int  # drives that went by since `first_seen`; one that is back within a day counts once
    sightings: int  # of those, drives that saw it
    length_m: float  # along the road
    error_m: float  # of either end, one standard deviation
    images: tuple[str, ...] = ()  # ids of a few frames, the surest first
    classes: tuple[str, ...] = ()  # object classes seen in it, where masks were there
    history: tuple[Change, ...] = ()  # in order of time
