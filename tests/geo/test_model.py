"""Zones on streets: extents, directions, dates, and that nothing depends on the order of drives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_drives import DAY, START, drive, drives, east_of, showing, street
from workzone.errors import UsageError
from workzone.geo.config import MapConfig
from workzone.geo.detections import Drive
from workzone.geo.event import Event
from workzone.geo.model import LineState
from workzone.geo.objects import Objects
from workzone.geo.profiles import Profile
from workzone.geo.store import open_store
from workzone.geo.update import update


def events_of(*days: list[Drive], keep_days: float | None = None) -> list[Event]:
    with open_store(":memory:") as store:
        for day in days:
            update(store, day, keep_days=keep_days)
        return store.events()


def span(event: Event) -> tuple[float, float]:
    return east_of(event.line[0]), east_of(event.line[-1])


def test_a_zone_has_both_ends_a_heading_and_dates():
    cars = drives(8, street(), lambda _: [(600.0, 800.0)])
    (event,) = events_of(cars)
    assert event.state == "present" and event.confidence > 0.9
    assert span(event) == pytest.approx((600, 800), abs=15)
    assert event.length_m == pytest.approx(200, abs=25) and event.error_m < 15
    assert event.heading == pytest.approx(90, abs=10)
    assert (event.passes, event.sightings) == (8, 8)
    assert event.gone_since is None
    first, last = cars[0], cars[-1]
    assert first.time[0] + 40 < event.first_seen.timestamp() < first.time[0] + 55
    assert last.time[0] + 60 < event.last_seen.timestamp() < last.time[0] + 70
    assert [change.what for change in event.history] == ["suspected", "present"]
    assert len(event.images) == 5 and event.images[0].startswith("car-")


def test_one_sighting_is_a_suspicion():
    (event,) = events_of(drives(1, street(), lambda _: [(600.0, 800.0)]))
    assert event.state == "suspected" and 0.05 < event.confidence < 0.5


def rounds(name: str, count: int, *, every: float = 600.0) -> Drive:
    """One drive that goes by a zone some times."""
    laps = [drive(name, START + n * every, street(), [(600.0, 800.0)]) for n in range(count)]
    columns = ("time", "longitude", "latitude", "heading", "probability")
    joined = {name: np.concatenate([getattr(lap, name) for lap in laps]) for name in columns}
    ids = tuple(f"{name}/{n}" for n in range(len(joined["time"])))
    return Drive(id=name, ids=ids, objects=Objects.nothing(len(ids)), **joined)


def test_one_drive_that_comes_again_and_again_is_one():
    once = rounds("round", 4)
    (event,) = events_of([once])
    assert (event.state, event.passes, event.sightings) == ("suspected", 1, 1)
    assert event.confidence > MapConfig().present
    other = drive("other", START + 3600, street(), [(600.0, 800.0)])
    (event,) = events_of([once], [other])
    assert (event.state, event.passes, event.sightings) == ("present", 2, 2)
    (event,) = events_of([rounds("bus", 2, every=1.5 * DAY)])
    assert (event.passes, event.sightings) == (2, 2)


def test_passes_that_see_nothing_make_nothing():
    assert events_of(drives(8, street(), lambda _: [])) == []


def test_two_zones_300_metres_apart_are_two():
    zones = [(300.0, 450.0), (750.0, 900.0)]
    found = events_of(drives(8, street(), lambda _: zones))
    assert [span(event) for event in sorted(found, key=span)] == [
        pytest.approx(zone, abs=15) for zone in zones
    ]


def test_a_long_zone_is_one_and_so_is_one_with_a_short_gap():
    (event,) = events_of(drives(8, street(), lambda _: [(200.0, 1180.0)]))
    assert span(event) == pytest.approx((200, 1180), abs=15)
    (event,) = events_of(drives(8, street(), lambda _: [(300.0, 500.0), (540.0, 700.0)]))
    assert span(event) == pytest.approx((300, 700), abs=15)


def test_carriageways_are_apart():
    there, back = street(), street()[::-1] + np.array([0.0, 8.0])
    cars = drives(8, there, lambda _: [(600.0, 800.0)])
    cars += drives(8, back, lambda _: [], name="back", start=START + 60)
    (event,) = events_of(cars)
    assert event.heading == pytest.approx(90, abs=10)
    assert (event.passes, event.sightings) == (8, 8)  # those that came back saw nothing


def test_a_zone_ends_when_cars_see_it_no_more():
    cars = drives(20, street(), lambda number: [(600.0, 800.0)] if number < 10 else [])
    (event,) = events_of(cars)
    assert event.state == "gone" and event.confidence == 0
    assert event.gone_since is not None
    assert event.gone_since.timestamp() == pytest.approx(cars[10].time[0], abs=60)
    assert event.last_seen.timestamp() == pytest.approx(cars[9].time[0] + 65, abs=5)
    assert [change.what for change in event.history] == ["suspected", "present", "gone"]


@pytest.mark.parametrize("certain", [4.0, 6.0])
def test_evidence_never_exceeds_what_is_certain(certain):
    config = MapConfig(certain=certain)
    state = LineState("line", 30, config)

    def profiles(first: int, count: int, value: float) -> list[Profile]:
        keys = [(START, f"{number:03}", 0) for number in range(first, first + count)]
        return [Profile(0, key, START, 0, np.full(30, value), ()) for key in keys]

    state.fold(profiles(0, 20, 1.0))
    assert state.log_odds == pytest.approx(np.full(30, certain))
    state.fold(profiles(20, 3, 0.0))
    assert state.log_odds == pytest.approx(np.full(30, certain + 3 * config.missed))
    state.fold(profiles(23, 20, 0.0))
    assert state.log_odds == pytest.approx(np.full(30, -certain))


def test_a_missed_zone_stays():
    cars = drives(20, street(), lambda number: [] if number % 5 == 4 else [(600.0, 800.0)])
    (event,) = events_of(cars)
    assert event.state == "present" and (event.passes, event.sightings) == (20, 16)


def test_an_unconfirmed_suspicion_is_dropped():
    assert events_of(drives(6, street(), lambda n: [(600.0, 800.0)] if n == 0 else [])) == []


def test_nobody_passes_for_long_and_the_zone_is_gone():
    cars = drives(8, street(), lambda _: [(600.0, 800.0)])
    elsewhere = street() + np.array([0.0, 5000.0])
    later = drives(1, elsewhere, lambda _: [], start=START + 200 * DAY, name="later")
    (event,) = events_of(cars, later)
    config = MapConfig()
    assert event.state == "gone" and event.gone_since is not None
    days = (event.gone_since.timestamp() - cars[-1].time[0]) / DAY
    assert 0.8 * config.days < days < 5 * config.days
    (event,) = events_of(cars, drives(1, elsewhere, lambda _: [], start=START + 5 * DAY))
    assert event.state == "present" and 0.5 < event.confidence < 0.95


def test_a_zone_that_moves_says_so():
    def seen(number: int) -> list[tuple[float, float]]:
        return [(600.0, 800.0)] if number < 10 else [(600.0, 1000.0)]

    (event,) = events_of(drives(40, street(), seen))
    assert span(event) == pytest.approx((600, 1000), abs=15)
    assert "moved" in [change.what for change in event.history]


def test_zones_that_grow_together_merge():
    def seen(number: int) -> list[tuple[float, float]]:
        return [(300.0, 500.0), (700.0, 900.0)] if number < 10 else [(300.0, 900.0)]

    found = events_of(drives(30, street(), seen))
    (event,) = [one for one in found if one.state == "present"]
    (other,) = [one for one in found if one.state == "gone"]
    assert span(event) == pytest.approx((300, 900), abs=15)
    assert ("merged", other.id) in [(c.what, c.other) for c in event.history]
    assert ("merged", event.id) in [(c.what, c.other) for c in other.history]
    # Of each zone the first frame that showed it: the first metre in view, at 12 metres a frame.
    first = [f"car-000/{int(np.ceil((begin - 35) / 12))}" for begin in (300, 700)]
    assert set(first) < set(event.images)


def test_a_zone_that_falls_apart_splits():
    def seen(number: int) -> list[tuple[float, float]]:
        return [(300.0, 900.0)] if number < 10 else [(300.0, 420.0), (700.0, 900.0)]

    first, second = sorted(events_of(drives(30, street(), seen)), key=span)
    assert span(first) == pytest.approx((300, 420), abs=20)
    assert span(second) == pytest.approx((700, 900), abs=20)
    splits = {c.other for one in (first, second) for c in one.history if c.what == "split"}
    assert splits == {first.id, second.id}


def turns() -> np.ndarray:
    """A street to the east, then one to the north."""
    east = street(600.0)
    north = np.stack([np.full(50, 600.0), np.arange(0.0, 600.0, 12.0)], axis=1)
    return np.concatenate([east, north])


def mixed_drives() -> list[Drive]:
    """Cars on streets that partly coincide, with a zone that ends; masks show cones in some."""
    along, corner = street(), turns()
    cars = []
    for number in range(7):
        zone = [(250.0, 400.0)] if number < 4 else []
        both = [*zone, (900.0, 1050.0)]
        cars += [
            drive(f"a{number}", START + number * 7000, along, both, shift=(0, number % 3)),
            drive(f"b{number}", START + 50 + number * 6000, corner, zone, shift=(2, -number)),
        ]
    cones = [250.0, 300.0, 400.0, 900.0, 1050.0]
    return [
        showing(car, cones, classes=1 | 2 ** (row % 6), error=0.2) if row % 4 else car
        for row, car in enumerate(cars)
    ]


MIXED = mixed_drives()


@pytest.fixture(scope="module")
def at_once() -> list[Event]:
    found = events_of(MIXED)
    assert len(found) > 1 and "cone" in found[0].classes and len(found[0].classes) > 1
    return found


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(order=st.permutations(range(len(MIXED))), parts=st.sets(st.integers(1, 13), max_size=5))
def test_the_same_drives_make_the_same_events_in_any_order(at_once, order, parts):
    edges = [0, *sorted(parts), len(MIXED)]
    days = [[MIXED[n] for n in order[a:b]] for a, b in pairwise(edges)]
    again = days[len(days) // 2]  # once more
    assert events_of(*days, again) == at_once


def test_a_drive_with_other_frames_takes_the_place_of_the_old_one():
    cars = drives(8, street(), lambda _: [(600.0, 800.0)])
    wrong = drive(cars[3].id, float(cars[3].time[0]), street(), [])
    assert events_of([*cars[:3], wrong, *cars[4:]]) != events_of(cars)
    with open_store(":memory:") as store:
        update(store, [*cars[:3], wrong, *cars[4:]])
        done = update(store, [cars[3]])
        assert (done.added, done.replaced) == (0, 1)
        assert store.events() == events_of(cars)


def test_a_drive_twice_with_other_frames_is_refused():
    one, other = (drive("same", START, street(), seen) for seen in ([], [(600.0, 800.0)]))
    with pytest.raises(UsageError, match="drive 'same' is there twice, with other frames"):
        events_of([one, other])


def test_old_drives_are_dropped_and_what_they_said_stays():
    cars = drives(40, street(), lambda _: [(600.0, 800.0)], every=DAY)
    cars = [showing(car, (600, 800), classes=1 if row < 20 else 3) for row, car in enumerate(cars)]
    with open_store(":memory:") as store:
        done = update(store, cars, keep_days=10)
        assert done.dropped == 29 and len(store.drives()) == 11
        (event,) = store.events()
        (all_kept,) = events_of(cars)
        assert event == all_kept and event.classes == ("cone", "barrier")
        assert update(store, cars[:5]).same == 5
        early = drive("early", float(cars[2].time[0]), street(), [])
        assert update(store, [early]).too_old == 1
        assert store.events() == [event]


def test_a_drive_whose_frames_were_dropped_is_not_counted_again():
    cars = drives(3, street(), lambda _: [(600.0, 800.0)], every=DAY)
    with open_store(":memory:") as store:
        update(store, cars, keep_days=1.5)
        before = store.events()
        assert before[0].sightings == 3
        longer = drive(cars[0].id, float(cars[2].time[0]) + 60, street(), [(600.0, 800.0)])
        done = update(store, [longer])
        assert (done.replaced, done.too_old) == (0, 1)
        assert store.events() == before


def test_events_that_are_gone_are_dropped_with_the_drives():
    def seen(number: int) -> list[tuple[float, float]]:
        return [(600.0, 800.0)] if number < 10 else []

    cars = drives(40, street(), seen, every=DAY)
    assert [event.state for event in events_of(cars)] == ["gone"]
    assert events_of(cars, keep_days=5) == []


def test_what_ended_after_the_horizon_is_kept_though_it_began_before():
    def seen(number: int) -> list[tuple[float, float]]:
        return [(600.0, 800.0)] if number < 10 else []

    cars = drives(40, street(), seen, every=DAY)
    with open_store(":memory:") as store:
        assert update(store, cars, keep_days=29.5).dropped == 10
        assert store.events() == events_of(cars)
        assert [event.state for event in store.events()] == ["gone"]


def test_settings_out_of_range_are_refused():
    with pytest.raises(UsageError, match="0 < false_alarm < hit < 1"):
        MapConfig(hit=0.1)
