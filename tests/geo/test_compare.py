"""Events beside permitted works: which belong together, and the four lists that follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from made_drives import drives, street
from made_events import event
from workzone.errors import FeedError, UsageError
from workzone.geo.compare import VERDICTS, Comparison, Passes, Tolerance, compare, compare_store
from workzone.geo.crs import to_degrees
from workzone.geo.event import Event, Place
from workzone.geo.events import moment
from workzone.geo.ground import moved
from workzone.geo.profiles import Profile
from workzone.geo.roads import NETWORK, Line, make_line
from workzone.geo.store import open_store
from workzone.geo.update import update
from workzone.geo.works import Work, running, time_of, way_of

CENTRE = (8.0, 50.0)
NOW = datetime.fromisoformat("2026-06-30T12:00:00Z")
DAY = timedelta(days=1)


def at(east: float, north: float = 0.0) -> Place:
    return moved(*CENTRE, east, north)


def seen(begin: float, end: float, north: float = 0.0, **fields: object) -> Event:
    """An event on a street from west to east, of all June; westward if it ends before it begins."""
    made = {
        "id": "zone",
        "state": "present",
        "line": (at(begin, north), at(end, north)),
        "first_seen": NOW - 20 * DAY,
        "last_seen": NOW - DAY,
        "gone_since": None,
    }
    return event(0, **(made | fields))


def work(*places: Place, **fields: object) -> Work:
    made = {"id": "permit", "directed": False, "start": NOW - 30 * DAY, "end": NOW + 30 * DAY}
    return Work(parts=(places,), **(made | fields))


def lists(
    events: list[Event], works: list[Work], passes: Passes | None = None, **tolerance: float
) -> Comparison:
    empty = Passes([], lambda _: [])
    return compare(events, works, passes or empty, now=NOW, tolerance=Tolerance(**tolerance))


def verdicts(events: list[Event], works: list[Work], **tolerance: float) -> list[str]:
    return [row.verdict for row in lists(events, works, **tolerance).rows]


APART = ["seen_not_permitted", "permitted_not_seen"]
TOGETHER = ["permitted_and_seen"]


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ([at(200), at(400)], TOGETHER),
        ([at(400), at(200)], TOGETHER),  # for both directions
        ([at(200, 49), at(400, 49)], TOGETHER),
        ([at(200, 51), at(400, 51)], APART),
        ([at(449), at(600)], TOGETHER),  # 49 m beyond the end
        ([at(451), at(600)], APART),
        ([at(0), at(151)], TOGETHER),
        ([at(0), at(149)], APART),
        ([at(300, -200), at(300, 200)], APART),  # a street that crosses
        ([at(200), at(300), at(300), at(300 + 1e-6), at(400)], TOGETHER),
        ([at(300, -90), at(300), at(300.001), at(300, 90)], APART),  # a millimetre east
        ([at(200, -200), at(560, 100)], TOGETHER),  # at 40 degrees to the street
        ([at(240, -200), at(300, -140), at(320, 100)], APART),
        ([at(-50_000), at(50_000)], TOGETHER),  # a project of 100 km
        ([at(300, 49)], TOGETHER),  # a single place
        ([at(300, 51)], APART),
        ([at(300, 30), at(300, 30)], TOGETHER),
        ([at(300, 30), at(310, 60), at(300, 90), at(290, 60), at(300, 30)], TOGETHER),  # a ring
    ],
)
def test_what_lies_along_each_other_belongs_together(places: list[Place], found: list[str]) -> None:
    assert verdicts([seen(200, 400)], [work(*places)]) == found


def square(half: float) -> tuple[Place, ...]:
    x, y = 300.0, 0.0
    corners = [(-half, -half), (half, -half), (half, half), (-half, half), (-half, -half)]
    return tuple(at(x + east, y + north) for east, north in corners)


@pytest.mark.parametrize(
    ("rings", "area", "found"),
    [
        ([square(500)], True, TOGETHER),  # its sides are 400 m away and more
        ([square(500)[:-1]], True, TOGETHER),  # not closed
        ([square(500), square(300)], True, APART),  # within a hole
        ([square(500), square(300), square(199)], True, TOGETHER),  # an island in it
        ([square(500)], False, APART),  # a road around it
        ([[at(east + 900, north) for east, north in [(0, -400), (400, 0), (0, 400)]]], True, APART),
    ],
)
def test_what_is_inside_an_area_belongs_to_it(
    rings: list[tuple[Place, ...]], area: bool, found: list[str]
) -> None:
    permit = replace(work(at(0)), parts=tuple(map(tuple, rings)), area=area)
    assert verdicts([seen(200, 400)], [permit]) == found


def test_a_long_straight_line_is_where_its_longitudes_and_latitudes_are() -> None:
    longitude, latitude = at(300)
    diagonal = work((longitude - 0.5, latitude - 0.3), (longitude + 0.5, latitude + 0.3))
    assert verdicts([seen(290, 310)], [diagonal], metres=20) == TOGETHER


def test_the_tolerance_is_the_callers() -> None:
    beside = work(at(200, 30), at(400, 30))
    assert verdicts([seen(200, 400)], [beside], metres=31) == TOGETHER
    assert verdicts([seen(200, 400)], [beside], metres=29) == APART
    with pytest.raises(UsageError, match="0 or more"):
        Tolerance(metres=-1)


def test_a_work_that_says_its_direction_permits_no_other() -> None:
    east, west = seen(200, 400, id="east"), seen(400, 200, 12, id="west")
    told = lists([east, west], [work(at(200), at(400), directed=True)])
    assert [(row.verdict, row.event.id) for row in told.rows] == [
        ("seen_not_permitted", "west"),
        ("permitted_and_seen", "east"),
    ]
    bent = work(at(200), at(400, 180), directed=True)  # 42 degrees to the left
    assert verdicts([east], [bent]) == TOGETHER
    assert verdicts([west], [bent]) == APART


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (None, None, TOGETHER),
        (-10, -5, ["over_end_date"]),  # last seen a day ago
        (-10, -2.1, ["over_end_date"]),
        (-10, -1.9, TOGETHER),
        (-60, -21.1, APART),  # over before it was first seen, 20 days ago
        (-60, -20.9, ["over_end_date"]),
        (-5, None, TOGETHER),
        (0.9, 9, TOGETHER),  # begun a day early
    ],
)
def test_times_overlap_by_a_day(start: float | None, end: float | None, found: list[str]) -> None:
    span = [None if days is None else NOW + days * DAY for days in (start, end)]
    one = work(at(200), at(400), start=span[0], end=span[1])
    assert verdicts([seen(200, 400)], [one]) == found


def test_what_is_gone_before_a_work_begins_is_not_permitted_by_it() -> None:
    gone = seen(200, 400, state="gone", last_seen=NOW - 12 * DAY, gone_since=NOW - 10 * DAY)
    assert verdicts([gone], [work(at(200), at(400), start=NOW - 9.1 * DAY)]) == TOGETHER
    assert verdicts([gone], [work(at(200), at(400), start=NOW - 8.9 * DAY)]) == APART


def test_a_work_whose_time_has_not_come_is_in_no_list() -> None:
    told = lists([], [work(at(200), at(400), start=NOW + DAY), work(at(0), at(99), id="now")])
    assert [row.works[0].id for row in told.rows] == ["now"]
    assert told.planned == 1


def test_how_long_an_event_is_over_its_last_end() -> None:
    first = work(at(200), at(400), id="first", end=NOW - 9 * DAY)
    second = work(at(300), at(400), id="second", end=NOW - 4.5 * DAY)
    (row,) = lists([seen(200, 400)], [first, second]).rows
    assert (row.verdict, row.days_over) == ("over_end_date", pytest.approx(3.5))
    assert [one.id for one in row.works] == ["first", "second"]
    assert row.until == second.end
    endless = work(at(300), at(400), id="endless", end=None)
    (row,) = lists([seen(200, 400)], [first, endless]).rows
    assert (row.verdict, row.days_over, row.until) == ("permitted_and_seen", None, None)


def test_one_work_permits_several_events() -> None:
    told = lists([seen(0, 90, id="a"), seen(500, 700, id="b")], [work(at(0), at(800))])
    assert [(row.event.id, row.works[0].id) for row in told.rows] == [
        ("a", "permit"),
        ("b", "permit"),
    ]


def test_the_gravest_come_first() -> None:
    over = [
        work(at(x), at(x + 100), id=f"w{x}", end=NOW - days * DAY)
        for x, days in ((0, 3), (1000, 9))
    ]
    events = [
        seen(0, 100, id="3 days"),
        seen(1000, 1100, id="9 days"),
        seen(2000, 2100, id="sure", confidence=0.99),
        seen(3000, 3100, id="less", confidence=0.92),
        seen(4000, 4100, id="gone", state="gone", gone_since=NOW - DAY, confidence=0.0),
        seen(5000, 5100, id="fine"),
    ]
    told = lists(events, [*over, work(at(5000), at(5100)), work(at(9000), at(9100), id="none")])
    order = [row.event.id if row.event else row.works[0].id for row in told.rows]
    assert order == ["9 days", "3 days", "sure", "less", "gone", "none", "fine"]
    assert [len(told.of(verdict)) for verdict in VERDICTS] == [2, 3, 1, 1]


def line(name: str, begin: float, end: float, north: float = 0.0) -> Line:
    places = np.array([at(begin, north), at(end, north)])
    return make_line(name, NETWORK, places[:, 0], places[:, 1])


def driven(drive: str, first: int, cells: int, days: float = -5.0, number: int = 0) -> Profile:
    time = (NOW + days * DAY).timestamp()
    return Profile(0, (time, drive, number), time, first, np.full(cells, 0.05), ())


EAST, WEST = line("east", 0, 1000), line("west", 1000, 0, 12)
DRIVEN = {
    EAST.id: [
        driven("all of it", 0, 100),
        driven("all of it", 0, 100, number=1),  # once more round the block
        driven("half", 30, 60),
        driven("not half", 31, 60),
        driven("elsewhere", 60, 40),
        driven("too early", 0, 100, days=-31),
    ],
    WEST.id: [driven("back", 0, 100)],
}


@pytest.mark.parametrize(
    ("permitted", "count"),
    [
        # From 200 to 400 m and 55 m around: places at 150, 160 ... 450, half of them from 300 on.
        (work(at(200), at(400), directed=True), 2),
        (work(at(200), at(400)), 3),
        (work(at(400), at(200), directed=True), 1),
        (work(at(200), at(400), start=None), 4),
        (work(at(200), at(400), end=NOW - 6 * DAY), 0),
        (work(at(200, 300), at(400, 300)), 0),
        (work(at(300)), 3),
    ],
)
def test_how_often_a_permitted_stretch_was_passed(permitted: Work, count: int) -> None:
    passes = Passes([EAST, WEST], DRIVEN.__getitem__)
    (row,) = lists([], [permitted], passes, metres=55).rows
    assert (row.verdict, row.passes) == ("permitted_not_seen", count)


def test_swapped_longitude_and_latitude_are_refused() -> None:
    longitude, latitude = at(200)
    passes = Passes([EAST], DRIVEN.__getitem__)
    with pytest.raises(FeedError, match=r"'permit' at longitude 50.*, latitude 8.* is far from"):
        lists([], [work((latitude, longitude))], passes)
    lists([], [work((longitude + 30, latitude))], passes)  # far, and no nearer when swapped


def test_swapped_metres_are_refused_where_only_they_are_near_the_map() -> None:
    (there,) = to_degrees(((530_000, 180_000),), "EPSG:27700", "here")
    (mirrored,) = to_degrees(((180_000, 530_000),), "EPSG:27700", "here")
    places = np.array([there, moved(*there, 1000, 0)])
    passes = Passes([make_line("london", NETWORK, places[:, 0], places[:, 1])], lambda _: [])
    fields = {"system": "EPSG:27700", "source": "permits.json"}
    with pytest.raises(
        FeedError, match=r"permits\.json: .*'permit' .*swapped: write easting first"
    ):
        lists([], [work(mirrored, **fields)], passes)
    country = [work(mirrored, **fields), work(there, **fields)]  # one of each is no fault
    assert len(lists([], country, passes).rows) == 2


def test_a_store_is_compared_as_of_its_newest_frame() -> None:
    with open_store(":memory:") as store:
        with pytest.raises(UsageError, match="has no drives"):
            compare_store(store, [])
        update(store, drives(6, street(), lambda _: [(600.0, 800.0)]))
        now = moment(store.latest() or 0.0)
        (zone,) = store.events()
        span = {"start": now - 30 * DAY, "end": now + DAY}
        there = Work("there", (zone.line,), True, road=None, **span)
        longitude, latitude = zone.line[0]
        before = Work(
            "before",
            (((longitude - 0.006, latitude), (longitude - 0.004, latitude)),),
            False,
            road=None,
            **span,
        )
        planned = Work("planned", (zone.line,), True, now + 2 * DAY, None)
        told = compare_store(store, [there, before, planned])
        assert [(row.verdict, row.works[0].id, row.passes) for row in told.rows] == [
            ("permitted_not_seen", "before", 6),
            ("permitted_and_seen", "there", zone.passes),
        ]
        assert told.planned == 1


@pytest.mark.parametrize(
    ("said", "way"),
    [
        ("northbound", 0),
        ("eastBound", 90),
        ("S", 180),
        ("WB", 270),
        ("southWestBound", 225),
        (359.5, 359.5),
        (-90, 270),
    ],
)
def test_directions_are_read(said: object, way: float) -> None:
    assert way_of(said) == way


def test_what_is_no_direction_is_none() -> None:
    assert [way_of(said) for said in ("both", "unknown", "", None, True, ["N"])] == [None] * 6


def test_a_line_runs_the_way_that_is_told() -> None:
    part = (at(0), at(100, 50))
    assert running(part, 90.0) == (part, True)
    assert running(part, 270.0) == (part[::-1], True)
    assert running(part, 0.0) == (part, True)  # an eastward piece of a road that is signed north
    assert running(part, None) == (part, False)
    curve = (at(0), at(100), at(100, 100), at(-50, 100))
    assert running(curve, 90.0) == (curve[::-1], True)
    assert running(curve, 90.0, at_begin=True) == (curve, True)
    assert running(part[:1], 90.0) == (part[:1], False)


@pytest.mark.parametrize(
    ("said", "last", "time"),
    [
        (1_777_618_800, True, "2026-05-01T07:00:00+00:00"),
        (1_777_618_800_000, True, "2026-05-01T07:00:00+00:00"),  # so ArcGIS writes
        ("2026-05-01T07:00:00Z", True, "2026-05-01T07:00:00+00:00"),
        ("2026-05-01T07:00:00+02:00", False, "2026-05-01T05:00:00+00:00"),
        ("2026-05-01 07:00", False, "2026-05-01T07:00:00+00:00"),
        ("2026-05-01", False, "2026-05-01T00:00:00+00:00"),
        ("2026-05-01", True, "2026-05-02T00:00:00+00:00"),
    ],
)
def test_times_are_read(said: object, last: bool, time: str) -> None:
    assert time_of(said, "here", last=last) == datetime.fromisoformat(time)


def test_no_time_is_none() -> None:
    for said in ("", None, "9999-12-31", "0001-01-01T00:00:00"):
        assert time_of(said, "here", last=True) is None


@pytest.mark.parametrize(
    "said", ["soon", "30/11/2025", "30.11.2025", "2026-13-01", 20251130, True, [1], float("inf")]
)
def test_what_is_no_time_is_refused(said: object) -> None:
    with pytest.raises(FeedError, match=r"feature 3 has the date .*: write 2025-11-30 or "):
        time_of(said, "feature 3")
