"""A zone on one line, as it comes, moves, merges, splits and goes."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from workzone.geo.config import MapConfig
from workzone.geo.objects import names_of
from workzone.geo.profiles import Profile, Sighting
from workzone.geo.roads import CELL
from workzone.types import OBJECT_CLASSES

What = Literal["suspected", "present", "gone", "moved", "merged", "split"]
Step = tuple[float, What, str | None]
"""Seconds since 1970; as of `workzone.geo.event.Change`."""

_MOVED = 50.0  # metres of either end that are told
_IMAGES = 5
_ENOUGH = 2  # drives that show a class, so that it is told: one errs, two seldom do so alike
_AGAIN = 86400.0  # seconds within which a drive that comes by again is not counted again
_FLOOR = CELL / math.sqrt(12)  # of the error of an end: that of one within a cell


@dataclass(slots=True)
class Track:
    """What is known of a zone, from the passes so far; times in seconds since 1970."""

    id: str
    low: int  # first and last cell
    high: int
    first_seen: float
    last_seen: float
    last_passed: float
    belief: float  # probability that it was there at `last_passed`
    state: Literal["suspected", "present", "gone"] = "suspected"
    gone_since: float | None = None
    missed_since: float | None = None  # the first pass after the last sighting
    passes: int = 0  # drives that went by, see `_counts`
    sightings: int = 0  # drives that saw it
    passed_by: dict[str, float] = field(default_factory=dict)  # drives of the last day, and when
    seen_by: dict[str, float] = field(default_factory=dict)
    begins: list[float] = field(default_factory=list)  # of the last sightings, metres
    ends: list[float] = field(default_factory=list)
    told: tuple[float, float] | None = None  # its ends when its history last spoke of them
    images: list[tuple[float, str]] = field(default_factory=list)  # the surest first
    shown_by: dict[str, list[str]] = field(default_factory=dict)  # class: first drives with it
    history: list[Step] = field(default_factory=list)

    @staticmethod
    def from_json(values: dict[str, Any]) -> Track:
        """What `dataclasses.asdict` gave, through JSON."""
        track = Track(**values)
        track.told = None if track.told is None else (track.told[0], track.told[1])
        track.images = [(one, name) for one, name in track.images]
        track.history = [(time, what, other) for time, what, other in track.history]
        return track

    @property
    def extent(self) -> tuple[float, float]:
        """Metres along the line: the median of recent sightings, else the cells."""
        begin = median(self.begins) if self.begins else self.low * CELL
        end = median(self.ends) if self.ends else (self.high + 1) * CELL
        return (begin, end) if begin < end else (self.low * CELL, (self.high + 1) * CELL)

    @property
    def error(self) -> float:
        """Metres, of either end: one standard deviation of those medians, the larger."""
        return max(_spread(self.begins), _spread(self.ends))

    @property
    def classes(self) -> tuple[str, ...]:
        """Of objects that two drives showed, or the only one that saw it at all."""
        enough = min(_ENOUGH, self.sightings)
        return tuple(n for n in OBJECT_CLASSES if len(self.shown_by.get(n, ())) >= enough)

    def passed(self, profile: Profile, belief: float, config: MapConfig) -> None:
        """Take a pass into account that drove by some of it."""
        seen = [s for s in profile.sightings if s.low <= self.high and s.high >= self.low]
        self.passes += _counts(self.passed_by, profile)
        self.last_passed, self.belief = profile.time, belief
        if not seen:
            if self.missed_since is None:
                self.missed_since = profile.time
            return
        self.sightings += _counts(self.seen_by, profile)
        self.missed_since = None
        self.last_seen = max(s.last_time for s in seen)
        for kept, one in ((self.begins, seen[0].begin), (self.ends, seen[-1].end)):
            if one is not None:
                kept.append(one)
                del kept[: -config.recent]
        self.add_images((s.probability, s.image) for s in seen)
        self.add_classes((name, profile.key[1]) for s in seen for name in names_of(s.classes))

    def add_images(self, images: Iterable[tuple[float, str]]) -> None:
        """Keep the surest."""
        self.images = sorted({*self.images, *images}, key=lambda one: (-one[0], one[1]))[:_IMAGES]

    def add_classes(self, shown: Iterable[tuple[str, str]]) -> None:
        """Take down classes, each with a drive that showed it."""
        for name, drive in shown:
            drives = self.shown_by.setdefault(name, [])
            if drive not in drives and len(drives) < _ENOUGH:
                drives.append(drive)

    def settle(self, config: MapConfig) -> None:
        """Change its state as the belief asks for, and tell of ends that have moved."""
        if self.state == "suspected" and self.belief >= config.present and self.sightings > 1:
            self.state = "present"
            self.history.append((self.last_passed, "present", None))
            self.told = self.extent
        begin, end = self.extent
        if self.state == "present" and self.told is not None:
            away = max(abs(begin - self.told[0]), abs(end - self.told[1]))
            if away > _MOVED:
                self.history.append((self.last_passed, "moved", None))
                self.told = (begin, end)
        if self.belief < config.gone:
            self.end(self.missed_since or self.last_passed, self.last_passed)

    def expire(self, time: float, config: MapConfig) -> None:
        """Be gone if nobody has passed for so long that by ``time`` nothing is known of it."""
        ends = self.last_passed + config.lasts(self.belief)
        if time >= ends:
            self.end(ends, ends)

    def end(self, since: float, time: float, other: str | None = None) -> None:
        """Be gone, or part of another."""
        self.state, self.gone_since, self.belief = "gone", since, 0.0
        self.history.append((time, "gone" if other is None else "merged", other))

    @property
    def confirmed(self) -> bool:
        """Whether it ever was more than a suspicion: what is gone without that is dropped."""
        return any(what == "present" for _, what, _ in self.history)


def born(line: str, sighting: Sighting, low: int, high: int, profile: Profile) -> Track:
    """A track that a pass begins."""
    return Track(
        id=name_of(line, low, profile),
        low=low,
        high=high,
        first_seen=sighting.first_time,
        last_seen=sighting.last_time,
        last_passed=profile.time,
        belief=0.0,
        history=[(sighting.first_time, "suspected", None)],
    )


def parted(parent: Track, low: int, high: int, profile: Profile) -> Track:
    """A track that splits from another, of which a pass shows that it is two."""
    child = dataclasses.replace(
        parent,
        id=name_of(parent.id, low, profile),
        low=low,
        high=high,
        begins=[],
        ends=[],
        passed_by=dict(parent.passed_by),
        seen_by=dict(parent.seen_by),
        images=list(parent.images),
        shown_by={name: list(drives) for name, drives in parent.shown_by.items()},
        history=[(profile.time, "split", parent.id)],
    )
    if child.state == "present":
        child.history.append((profile.time, "present", None))
        child.told = child.extent
    parent.history.append((profile.time, "split", child.id))
    return child


def name_of(origin: str, low: int, profile: Profile) -> str:
    """An id that follows from the pass that began a track, and from where."""
    return hashlib.sha256(f"{origin}/{profile.key!r}/{low}".encode()).hexdigest()[:12]


def _counts(times: dict[str, float], profile: Profile) -> bool:
    """Whether a drive has not come by within a day; takes its time down, and forgets older ones."""
    drive = profile.key[1]
    for name in [name for name, time in times.items() if profile.time - time > _AGAIN]:
        del times[name]
    new = drive not in times
    times[drive] = profile.time
    return new


def _spread(values: list[float]) -> float:
    """The standard error of a median, from the median deviation (both of a normal distribution)."""
    if len(values) < 3:
        return max(_FLOOR, 30.0 / math.sqrt(max(1, len(values))))
    middle = median(values)
    deviation = 1.4826 * median(abs(value - middle) for value in values)
    return math.hypot(_FLOOR, 1.2533 * deviation / math.sqrt(len(values)))
