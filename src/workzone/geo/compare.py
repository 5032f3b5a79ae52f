"""What was seen beside what is permitted: four lists, of events and of published works."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal

import numpy as np

from workzone.errors import FeedError, UsageError
from workzone.geo.along import Box, Samples, beside, box_of, meeting, samples_of
from workzone.geo.crs import is_degrees, swapped_reading
from workzone.geo.event import Event, Place, State
from workzone.geo.events import moment
from workzone.geo.ground import Floats, courses
from workzone.geo.profiles import Profile
from workzone.geo.roads import Line
from workzone.geo.store import Store
from workzone.geo.validate.places import middle_of, seems_swapped
from workzone.geo.works import Work

Verdict = Literal["over_end_date", "seen_not_permitted", "permitted_not_seen", "permitted_and_seen"]
VERDICTS: tuple[Verdict, ...] = (
    "over_end_date",
    "seen_not_permitted",
    "permitted_not_seen",
    "permitted_and_seen",
)
"""The lists, the gravest first."""

_COVERED = 0.5  # of a stretch, by a pass that counts
_DAY = 86400.0
_LINES_KEPT = 256
"""Lines whose profiles are not read again: works of one place come one after the other."""
_NEAR_MAP = 0.1  # degrees, some 10 km


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far what was seen and what is permitted may be apart.

    The default in metres is for a carriageway beside the centre line of its road, positions by GPS,
    and both ends of an event.

    Raises:
        UsageError: one of them is below 0.
    """

    metres: float = 50.0  # to the side, and beyond either end
    days: float = 1.0  # before a permitted begin, and after a permitted end

    def __post_init__(self) -> None:
        if self.metres < 0 or self.days < 0:
            raise UsageError("tolerances are metres and days of 0 or more")

    @property
    def time(self) -> timedelta:
        """The days."""
        return timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Row:
    """An event and the works that permit it, or either alone."""

    verdict: Verdict
    event: Event | None
    works: tuple[Work, ...]
    passes: int  # drives that went by: of the event; of an unseen work while it was permitted
    days_over: float | None = None  # from the last permitted end to the last sighting

    @property
    def until(self) -> datetime | None:
        """The last permitted end; None where one is not told, or there is no work."""
        return last_end(self.works)

    @property
    def road(self) -> str | None:
        """What the event says, or the first work that says one."""
        named = [None if self.event is None else self.event.road, *(one.road for one in self.works)]
        return next(filter(None, named), None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows, the gravest first, and how many works are still to begin."""

    rows: tuple[Row, ...]
    planned: int
    now: datetime  # the time of the newest frame

    def of(self, verdict: Verdict) -> list[Row]:
        """One of the four lists."""
        return [row for row in self.rows if row.verdict == verdict]

    @property
    def never_passed(self) -> int:
        """Of the works that were not seen those by which nobody drove, so that nobody can tell."""
        return sum(row.passes == 0 for row in self.of("permitted_not_seen"))


class Passes:
    """Who drove where and when: lines, and the profiles of passes along each by its id."""

    def __init__(self, lines: Sequence[Line], profiles: Callable[[str], list[Profile]]) -> None:
        self._lines = lines
        self._profiles = lru_cache(_LINES_KEPT)(profiles)
        self._samples = [
            Samples(one.longitude, one.latitude, courses(one.longitude, one.latitude))
            for one in lines
        ]
        self._boxes = _table(samples.box for samples in self._samples)

    def along(self, work: Work, metres: float) -> int:
        """How many drives went by half or more of a work's stretch of a line, in its time."""
        found: set[str] = set()
        for number in meeting(self._boxes, box_of(work, metres)):
            cells = np.flatnonzero(beside(self._samples[number], work, metres))
            for one in self._profiles(self._lines[number].id) if len(cells) else ():
                end = one.first + len(one.probability)
                covered = np.count_nonzero((cells >= one.first) & (cells < end))
                if covered >= _COVERED * len(cells) and _within(moment(one.time), work):
                    found.add(one.key[1])
        return len(found)

    def near(self, place: Place) -> bool:
        """Whether a line is about `_NEAR_MAP` degrees or less from a place."""
        (x, y), far = place, _NEAR_MAP
        return bool(meeting(self._boxes, (x - far, y - far, x + far, y + far)))

    def middle(self) -> Place | None:
        """About where all lines are."""
        firsts = [(float(one.longitude[0]), float(one.latitude[0])) for one in self._lines]
        return middle_of(firsts) if firsts else None


def compare_store(
    store: Store,
    works: Sequence[Work],
    *,
    tolerance: Tolerance | None = None,
    suspected: bool = False,
) -> Comparison:
    """Compare the events of a store with published works, as of its newest frame.

    Args:
        store: see `workzone.geo.store.open_store`.
        works: of any number of files.
        tolerance: 50 m and a day, if not told.
        suspected: whether what only one drive has seen counts as seen.

    Raises:
        UsageError: the store has no drives.
        FeedError: longitude and latitude of a work seem to be swapped.
        StoreError: the store cannot be read.
    """
    latest = store.latest()
    if latest is None:
        raise UsageError(f"{store.name} has no drives; add some with `workzone map update`")
    states: set[State] = {"present", "gone"}
    if suspected:
        states.add("suspected")
    events = [event for event in store.events() if event.state in states]
    passes = Passes(store.lines(), store.profiles)
    return compare(events, works, passes, now=moment(latest), tolerance=tolerance)


def compare(
    events: Iterable[Event],
    works: Sequence[Work],
    passes: Passes,
    *,
    now: datetime,
    tolerance: Tolerance | None = None,
) -> Comparison:
    """Compare events with works.

    An event and a work belong together where some of the event's line lies along the work (see
    `workzone.geo.along.beside`) and their times overlap. One may belong to several. An event with
    no work is seen and not permitted; one that was last seen after the last end of its works is
    over that date; a work with no event was permitted and not seen, unless it is still to begin.

    Args:
        events: each with two distinct places or more.
        works: see `workzone.geo.read.files.read_works`.
        passes: who drove where.
        now: the time of the newest frame, up to which an event that is present is there.
        tolerance: 50 m and a day, if not told.

    Raises:
        FeedError: longitude and latitude of a work seem to be swapped.
    """
    allowed = tolerance or Tolerance()
    _refuse_swapped(works, passes.middle())
    _refuse_swapped_metres(works, passes)
    boxes = _table(box_of(work, allowed.metres) for work in works)
    seen: set[int] = set()
    rows = []
    for event in events:
        samples = samples_of(event.line)
        numbers = [
            number
            for number in meeting(boxes, samples.box)
            if _in_time(event, works[number], now, allowed)
            and beside(samples, works[number], allowed.metres).any()
        ]
        seen.update(numbers)
        rows.append(_judged(event, tuple(works[number] for number in numbers), allowed))
    planned = 0
    for number, work in enumerate(works):
        if number in seen:
            continue
        if work.start is not None and work.start > now:
            planned += 1
        else:
            count = passes.along(work, allowed.metres)
            rows.append(Row("permitted_not_seen", None, (work,), count))
    return Comparison(tuple(sorted(rows, key=_gravity)), planned, now)


def last_end(works: Sequence[Work]) -> datetime | None:
    """The last end of some works; None where one is not told, or there is none."""
    ends = [work.end for work in works]
    told = [end for end in ends if end is not None]
    return max(told) if told and len(told) == len(ends) else None


def _table(boxes: Iterable[Box]) -> Floats:
    return np.array(list(boxes), np.float64).reshape(-1, 4)


def _judged(event: Event, works: tuple[Work, ...], allowed: Tolerance) -> Row:
    if not works:
        return Row("seen_not_permitted", event, (), event.passes)
    end = last_end(works)
    if end is not None and event.last_seen > end + allowed.time:
        over = (event.last_seen - end).total_seconds() / _DAY
        return Row("over_end_date", event, works, event.passes, over)
    return Row("permitted_and_seen", event, works, event.passes)


def _in_time(event: Event, work: Work, now: datetime, allowed: Tolerance) -> bool:
    """Whether a work was permitted at some time when the event was there."""
    until = event.gone_since or now
    if work.start is not None and work.start - allowed.time > until:
        return False
    return work.end is None or work.end + allowed.time >= event.first_seen


def _within(time: datetime, work: Work) -> bool:
    begun = work.start is None or work.start <= time
    return begun and (work.end is None or time <= work.end)


def _gravity(row: Row) -> tuple[int, float, float, str]:
    """What sorts the gravest first: the list, then how long over, how sure, how often passed."""
    order = VERDICTS.index(row.verdict)
    event = row.event
    if event is None:
        return order, -row.passes, 0.0, row.works[0].id
    there = 0.0 if event.state == "gone" else -event.confidence
    return order, -(row.days_over or 0.0), there, event.id


def _refuse_swapped(works: Sequence[Work], middle: Place | None) -> None:
    if middle is None:
        return
    for work in works:
        place = work.parts[0][0]
        if seems_swapped(place, middle):
            raise FeedError(
                f"{work.source or 'works'}: work {work.id!r} at longitude {place[0]:g}, latitude "
                f"{place[1]:g} is far from the map, and near it with longitude and "
                "latitude swapped: write longitude first"
            )


def _refuse_swapped_metres(works: Sequence[Work], passes: Passes) -> None:
    """Refuse a file of which no work is near the map, and one is with its metres swapped.

    One work alone tells nothing: of a whole country some are where another's mirror image is.
    """
    files: dict[tuple[str, str], list[Work]] = defaultdict(list)
    for work in works:
        files[work.source, work.system].append(work)
    for (file, system), its in files.items():
        if is_degrees(system) or any(passes.near(work.parts[0][0]) for work in its):
            continue
        for work in its:
            swapped = swapped_reading(work.parts[0][0], system)
            if swapped is not None and passes.near(swapped):
                raise FeedError(
                    f"{file or 'works'}: no work is near the map, and work {work.id!r} is with its "
                    f"two numbers in {system} swapped: write easting first"
                )
