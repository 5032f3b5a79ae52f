"""What counts as a position, motion, and places between fixes: against closed forms."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from made_tracks import START, place
from workzone.data.places import EARTH_RADIUS, haversine
from workzone.data.track.fixes import Clock, Fix, Log, degrees
from workzone.data.track.motion import bearing
from workzone.data.track.track import Track, build
from workzone.errors import TrackError

BEGUN = START.timestamp()
PATH = Path("drive.gpx")


def track(fixes: list[Fix], **settings: float) -> Track:
    return build(PATH, Log("GPX", fixes), **settings)  # type: ignore[arg-type]


def fix(second: float, latitude: float | None = None, longitude: float | None = None) -> Fix:
    there = place(second)
    return Fix(
        there[0] if latitude is None else latitude,
        there[1] if longitude is None else longitude,
        BEGUN + second,
    )


def test_what_is_no_position_is_dropped_and_counted() -> None:
    bad = [
        fix(1, math.nan, 13),
        fix(2, 0.0, 0.0),
        fix(3, 5_230.5, 13.4),
        fix(4, 52, math.inf),
        Fix(52.5, 13.4),
        Fix(52.5, 13.4, 12.0),
        Fix(52.5, 13.4, math.nan),
        Fix(52.5, 13.4, BEGUN, math.inf),
        fix(5),
    ]
    found = track([fix(0), *bad, fix(5), fix(6)])
    assert found.log.dropped == Counter(
        {
            "not a number": 2,
            "at 0, 0": 1,
            "outside the globe": 1,
            "without a time": 1,
            "at an impossible time": 3,
            "at the time of another": 1,
        }
    )
    assert (found.utc - BEGUN).tolist() == [0, 5, 6]
    with pytest.raises(TrackError, match=r"drive\.gpx has no positions .* 1 at 0, 0 dropped"):
        track([fix(0, 0.0, 0.0)])


def test_a_few_times_to_come_cost_only_themselves() -> None:
    late = [dataclasses.replace(fix(second), utc=4_000_000_000.0 + second) for second in range(2)]
    found = track([fix(0), fix(1), *late])
    assert (found.utc - BEGUN).tolist() == [0, 1]
    assert found.log.dropped == {"at a time to come": 2}
    with pytest.raises(
        TrackError, match=r"drive\.gpx has positions of 2096-10-02, which is to come"
    ):
        track([fix(0), *late])


def test_the_equator_and_greenwich_are_places() -> None:
    assert len(track([fix(0, 0.0, 13.4), fix(1, 51.5, 0.0)])) == 2


def test_fixes_are_put_in_order() -> None:
    found = track([fix(3), fix(1), fix(2)])
    assert (found.utc - BEGUN).tolist() == [1, 2, 3]


def test_nothing_is_known_in_gaps_and_beyond_the_ends() -> None:
    found = track([fix(second) for second in (0, 1, 2, 12, 13)])
    assert found.stretch.tolist() == [0, 0, 0, 1, 1]
    moments = np.array([-0.5, 0, 1.5, 2, 2.5, 7, 11.9, 12, 12.5, 13, 13.5])
    places = found.at(BEGUN + moments)
    inside = np.isin(moments, [0, 1.5, 2, 12, 12.5, 13])
    for values in (places.latitude, places.longitude, places.speed, places.metres):
        assert (np.isfinite(values) == inside).all()
    true = np.array([place(moment) for moment in moments[inside]])
    found_there = places.latitude[inside], places.longitude[inside]
    assert haversine(*found_there, true[:, 0], true[:, 1]).max() < 0.01
    assert np.isfinite(track([fix(0), fix(8)], max_gap=8).at(BEGUN + 4).latitude).all()


def test_places_between_on_the_date_line() -> None:
    found = track([fix(0, 10.0, 179.9999), fix(1, 10.0, -179.9999)])
    assert found.at(BEGUN + 0.25).longitude[0] == pytest.approx(179.99995)
    assert found.at(BEGUN + 0.75).longitude[0] == pytest.approx(-179.99995)
    assert found.speed[0] == pytest.approx(EARTH_RADIUS * math.radians(0.0002) * 0.98481, rel=1e-4)
    assert found.heading[0] == pytest.approx(90, abs=0.01)


def test_what_all_moments_need_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame of a video asks for its place, so an hour's way may not be gone through anew."""
    found = track([fix(second) for second in range(5)])
    calls = []
    unwrap = np.unwrap
    monkeypatch.setattr(np, "unwrap", lambda *a, **k: calls.append(1) or unwrap(*a, **k))
    for second in range(4):
        assert found.at(BEGUN + second).latitude[0] == pytest.approx(place(second)[0])
    assert len(calls) == 1


def test_a_track_without_times_is_ordered_by_the_video_s() -> None:
    found = track([Fix(52.5, 13.4, offset=second) for second in (0.0, 1.0)])
    assert found.axis == "offset"
    assert found.at(0.5).latitude[0] == 52.5


def test_pictures_of_one_moment_are_all_kept() -> None:
    shown = [("a.jpg", 0), ("b.jpg", 0), ("b.jpg", 0), (None, 0), ("c.jpg", 1), ("d.jpg", 1)]
    found = track([dataclasses.replace(fix(second), image=image) for image, second in shown])
    assert found.images == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert found.log.dropped == {"at the time of another": 2}
    assert found.speed == pytest.approx([10, 10, 10, 10])
    assert found.at(BEGUN + 0.5).metres[0] == pytest.approx(5)


@pytest.mark.parametrize(
    ("direction", "heading"), [((1, 0), 0), ((0, 1), 90), ((-1, 0), 180), ((0, -1), 270)]
)
def test_speed_and_heading_are_of_the_motion(direction: tuple[int, int], heading: float) -> None:
    """20 m/s along a meridian or the equator, at 10 positions a second."""
    step = math.degrees(20 / EARTH_RADIUS) / 10
    fixes = [
        fix(n / 10, direction[0] * n * step, 20 + direction[1] * n * step) for n in range(1, 51)
    ]
    found = track(fixes)
    assert np.abs(found.speed - 20).max() < 1e-3
    assert np.abs((found.heading - heading + 180) % 360 - 180).max() < 1e-3
    assert found.metres[-1] == pytest.approx(20 * 4.9, rel=1e-6)


def test_bearings_from_a_table() -> None:
    """Baghdad to Osaka: 60 degrees (Williams, Aviation Formulary's method; Movable Type's page)."""
    found = bearing(np.array([35.0]), np.array([45.0]), np.array([35.0]), np.array([135.0]))
    assert found[0] == pytest.approx(60.16, abs=0.01)


def test_parked_stretches_are_marked_and_add_no_way() -> None:
    rng = np.random.default_rng(3)
    metre = 1 / 111_195
    fixes = [fix(second) for second in range(30)]
    stop = place(30)
    for second in range(30, 90):  # wanders by up to 4 m
        east, north = rng.uniform(-4, 4, 2) * metre
        fixes.append(fix(second, stop[0] + north, stop[1] + east))
    fixes += [fix(second, *place(second - 60)) for second in range(90, 120)]
    found = track(fixes)
    assert found.parked[31:90].all()
    assert not found.parked[:29].any()
    assert not found.parked[92:].any()
    assert np.isnan(found.heading[found.parked]).all()
    assert found.metres[-1] == pytest.approx(590, abs=20)
    short = track([*fixes[:30], *(fix(second, *stop) for second in range(30, 45)), *fixes[95:]])
    assert not short.parked.any()  # a red light of 15 s


@pytest.mark.parametrize("stop", [(37.8, -122.4), (10.0, 179.99999), (-60.0, -180.0), (0.0, 0.5)])
def test_a_camera_is_parked_wherever_it_stands(stop: tuple[float, float]) -> None:
    """It wanders by up to 6.5 m to each side; then it drives on, by 10 m/s to the east."""
    rng = np.random.default_rng(4)
    metre = math.degrees(1 / EARTH_RADIUS)
    narrowing = math.cos(math.radians(stop[0]))
    fixes = []
    for second in range(90):
        east, north = rng.uniform(-6.5, 6.5, 2) if second else (0, 0)
        east += 10 * max(0, second - 59)
        longitude = (stop[1] + east * metre / narrowing + 180) % 360 - 180
        fixes.append(fix(second, stop[0] + north * metre, longitude))
    found = track(fixes)
    assert found.parked[:59].all()
    assert not found.parked[61:].any()


def test_gaps_add_no_way() -> None:
    assert track([fix(0), fix(1), fix(100), fix(101)]).metres[-1] == pytest.approx(20, rel=1e-4)


def test_one_fix_alone() -> None:
    found = track([fix(0)])
    assert math.isnan(found.speed[0])
    assert found.at(BEGUN).latitude[0] == place(0)[0]
    assert np.isnan(found.at(BEGUN + 0.1).latitude).all()


@pytest.mark.parametrize(
    ("value", "letter", "letters", "angle"),
    [
        (4807.038, "N", "NS", 48.1173),
        (4807.038, "S", "NS", -48.1173),
        (1131.0, "E", "EW", 11.516667),
        (7040.33592, "W", "EW", -70.672265),
    ],
)
def test_degrees_and_minutes(value: float, letter: str, letters: str, angle: float) -> None:
    assert degrees(value, letter, letters) == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "letter"), [(4860.0, "N"), (4807.0, "E"), (4807.0, ""), (-1.0, "N"), (math.nan, "N")]
)
def test_what_is_no_angle(value: float, letter: str) -> None:
    with pytest.raises(ValueError, match=r"angle|minutes"):
        degrees(value, letter, "NS")


def test_hours_that_come_twice_or_never_are_not_guessed() -> None:
    from zoneinfo import ZoneInfo

    clock = Clock(ZoneInfo("Europe/Berlin"))
    for text in ("2025-10-26 02:30:00", "2025-03-30 02:30:00"):
        with pytest.raises(ValueError, match="came twice or never"):
            clock.read(text)
    assert clock.read("2025-10-26 03:30:00") == clock.read("2025-10-26T02:30:00Z")
    assert Clock().read("2025-10-26 03:30:00") is None
