"""Objects that masks show: their distances, and what events make of them."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from made_drives import START, drive, drives, east_of, showing, street, write_objects
from workzone.errors import WorkzoneError
from workzone.geo.config import MapConfig
from workzone.geo.detections import Drive
from workzone.geo.event import Event
from workzone.geo.objects import InFrame, Objects, distance, in_frame, names_of, objects_of
from workzone.geo.objects_file import FrameObjects, read_objects
from workzone.geo.passes import passes_of
from workzone.geo.profiles import Profile, Sighting, profiles_of
from workzone.geo.roads import Roads
from workzone.geo.store import open_store
from workzone.geo.update import update
from workzone.types import FoundObject

ZONE = [(600.0, 800.0)]
CONES = range(600, 801, 10)


def found(name: str, *box: float) -> FoundObject:
    """An object of a frame of 1000 by 800 pixels, by its box in pixels."""
    x0, y0, x1, y1 = box
    return FoundObject(name, 0.9, (x0 / 1000, y0 / 800, x1 / 1000, y1 / 800), ())


def seen(*objects: FoundObject) -> InFrame:
    """What is in such a frame, 90 degrees wide: a metre high is 500 pixels at one metre."""
    return in_frame(FrameObjects("a", 1000, 800, objects), 90)


def test_a_distance_follows_from_height_and_field_of_view():
    assert distance(0.75, 37.5, width=1000, field_of_view=90) == pytest.approx(10)
    assert distance(1.75, 100, width=2000, field_of_view=90) == pytest.approx(17.5)
    # tan 30 degrees is 1 / sqrt(3)
    expected = 960 * math.sqrt(3) / 50
    assert distance(1.0, 50, width=1920, field_of_view=60) == pytest.approx(expected)


def test_the_nearest_and_the_farthest_object_of_a_known_height_are_told():
    cone, far = found("cone", 100, 400, 120, 437.5), found("cone", 300, 400, 305, 418.75)
    barrier, worker = found("barrier", 500, 400, 600, 440), found("worker", 700, 300, 720, 335)
    assert seen(cone) == (1, pytest.approx(10), pytest.approx(10))
    assert seen(far, barrier, cone) == (3, pytest.approx(10), pytest.approx(20))
    assert seen(worker, cone) == (9, pytest.approx(10), pytest.approx(25))
    unknown = [found(name, 100, 100, 200, 400) for name in ("sign", "vehicle", "equipment")]
    assert seen(*unknown, cone) == (1 + 4 + 16 + 32, pytest.approx(10), pytest.approx(10))
    assert names_of(53) == ("cone", "sign", "vehicle", "equipment")


@pytest.mark.parametrize(
    "box",
    [
        (100, 400, 120, 411.9),  # too low
        (0, 400, 20, 450),
        (100, 0.5, 120, 450),
        (100, 400, 999.5, 450),
        (100, 400, 120, 800),
    ],
)
def test_what_is_low_or_cut_off_says_no_distance(box):
    classes, near, far = seen(found("cone", *box))
    assert classes == 1 and math.isnan(near) and math.isnan(far)
    assert not math.isnan(seen(found("cone", 1.5, 1.5, 998.5, 798.5)).near)
    assert not math.isnan(seen(found("cone", 100, 400, 120, 412.1)).near)


def line_of(name: str, *objects: dict[str, object], **changes: object) -> str:
    image = {"id": name, "width": 1000, "height": 800, "objects": list(objects)}
    return json.dumps(image | changes) + "\n"


CONE = {"class": "cone", "score": 0.9, "box": [100, 400, 120, 437.5], "polygon": []}


def test_files_of_one_frame_add_up(tmp_path):
    barrier = CONE | {"class": "barrier", "box": [100, 400, 120, 420]}
    sign = CONE | {"class": "sign"}
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text(line_of("a", CONE) + line_of("b") + line_of("c", sign))
    two.write_text(line_of("a", barrier) + line_of("c", sign))
    both = objects_of([one, two], 90)
    assert both["a"] == (3, pytest.approx(10), pytest.approx(25)) == objects_of([two, one], 90)["a"]
    assert set(both) == {"a", "b", "c"} and both["b"].classes == 0
    assert both["c"].classes == 4 and math.isnan(both["c"].near)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (line_of("a", CONE | {"class": "crane"}), "class 'crane' is none of cone, barrier"),
        (line_of("a", CONE | {"box": [100, 400, 120, 400]}), r"box \[100, 400, 120, 400\]"),
        (line_of("a", CONE | {"box": [100, 400, 120]}), "not enough values"),
        (line_of("a", width=0), "a frame of 0.0 by 800.0 pixels"),
        (line_of("a", height=math.nan), "a frame of 1000.0 by nan pixels"),
        (line_of("a", CONE | {"box": [-5, -5, -2, -1]}), "in a frame of 1000 by 800"),
        (line_of("a", CONE | {"box": [2000, 2000, 3000, 3000]}), "in a frame of 1000 by 800"),
        (line_of("a", width=1e-300), "a frame of 1e-300 by 800.0 pixels"),
        (line_of("a").replace("1000", "1" * 400), "OverflowError"),
        ("[" * 200_000, "RecursionError"),
        ("cones", "JSONDecodeError"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path, line, complaint):
    path = tmp_path / "objects.jsonl"
    path.write_text(line_of("first", CONE) + line)
    with pytest.raises(WorkzoneError, match=rf"line 2: no objects of an image \(.*{complaint}"):
        list(read_objects(path))


def events_of(*days: list[Drive]) -> list[Event]:
    with open_store(":memory:") as store:
        for day in days:
            update(store, day)
        return store.events()


def ends_off(event: Event, begin: float, end: float) -> float:
    """Metres of both ends together."""
    return abs(east_of(event.line[0]) - begin) + abs(east_of(event.line[-1]) - end)


def sightings_of(car: Drive) -> tuple[Sighting, ...]:
    (profile,) = profiles_of(Roads([]), passes_of([car]), MapConfig())
    assert Profile.unpacked(0, profile.key, profile.time, profile.packed()).sightings == (
        profile.sightings
    )
    return profile.sightings


def test_distances_place_both_ends_of_a_sighting():
    plain = drive("car", START, street(), [(580.0, 820.0)])
    (one,), (two,) = sightings_of(plain), sightings_of(showing(plain, CONES, classes=9))
    assert (one.begin, one.end) == (pytest.approx(580, abs=12), pytest.approx(820, abs=12))
    assert (two.begin, two.end) == (pytest.approx(600, abs=5), pytest.approx(800, abs=5))
    assert (one.classes, two.classes) == (0, 9)
    assert dataclasses.replace(two, begin=one.begin, end=one.end, classes=0) == one


def test_objects_that_are_far_tell_no_end():
    plain = drive("car", START, street(), [(580.0, 820.0)])
    unknown = np.where(plain.probability > 0.5, 30.1, np.nan)
    objects = dataclasses.replace(showing(plain, CONES).objects, near=unknown, far=unknown)
    (one,), (two,) = sightings_of(plain), sightings_of(dataclasses.replace(plain, objects=objects))
    assert two == dataclasses.replace(one, classes=1)


def test_a_car_that_came_from_the_side_tells_no_begin():
    (one,) = sightings_of(showing(drive("car", START, street(), [(0.0, 300.0)]), range(0, 301, 10)))
    assert one.begin is None and one.end == pytest.approx(300, abs=5)
    last = 124 * 12.0
    cones = range(1200, 1501, 10)
    (one,) = sightings_of(showing(drive("car", START, street(), [(1200.0, last + 60)]), cones))
    assert one.begin == pytest.approx(1200, abs=10) and one.end is None


def test_ends_of_an_event_are_nearer_with_objects_though_boxes_are_noisy():
    rng = np.random.default_rng(3)
    off = rng.normal(0, 20, (12, 2))
    cars = drives(12, street(), lambda n: [(590 + off[n, 0], 805 + off[n, 1])])
    (plain,) = events_of(cars)
    (event,) = events_of([showing(car, CONES, error=0.2) for car in cars])
    assert ends_off(event, 600, 800) < 0.7 * ends_off(plain, 600, 800)
    assert event.error_m < plain.error_m


@pytest.mark.parametrize("cones", [[705], range(600, 641, 10), range(760, 801, 10)])
def test_objects_in_a_part_of_a_zone_leave_its_other_ends(cones):
    cars = drives(12, street(), lambda _: [(600.0, 800.0)])
    (plain,) = events_of(cars)
    (event,) = events_of([showing(car, list(cones)) for car in cars])
    assert ends_off(event, 600, 800) < ends_off(plain, 600, 800) + 10


def test_masks_that_find_few_objects_leave_the_ends():
    """In one frame of seven."""
    cars = drives(12, street(), lambda _: [(600.0, 800.0)])
    (plain,) = events_of(cars)
    weak = []
    for number, car in enumerate(cars):
        objects = showing(car, CONES).objects
        lost = np.arange(len(car.ids)) % 7 != number % 7
        near, far = (np.where(lost, np.nan, some) for some in (objects.near, objects.far))
        seldom = dataclasses.replace(objects, near=near, far=far)
        weak.append(dataclasses.replace(car, objects=seldom))
    (event,) = events_of(weak)
    assert ends_off(event, 600, 800) < ends_off(plain, 600, 800) + 5


def classes_of(shown: list[int]) -> tuple[str, ...]:
    """Of an event that drives saw whose masks showed these classes."""
    cars = drives(len(shown), street(), lambda _: ZONE)
    (event,) = events_of([showing(c, (), classes=k) for c, k in zip(cars, shown, strict=True)])
    return event.classes


def test_an_event_has_the_classes_that_two_drives_showed_or_the_only_one():
    assert classes_of([33]) == ("cone", "equipment")
    assert classes_of([0]) == ()
    assert classes_of([1, 1]) == ("cone",)
    assert classes_of([1, 2]) == ()
    assert classes_of([1, 3, 1, 1, 1, 1, 1, 1]) == ("cone",)
    assert classes_of([8, 1, 1, 0, 0, 8]) == ("cone", "worker")


def test_one_drive_that_comes_by_twice_shows_a_class_once():
    one, two = drives(2, street(), lambda _: ZONE)
    late = dataclasses.replace(one, time=one.time + 600)
    round_ = Drive(
        id="round",
        ids=tuple(f"r/{row}" for row in range(2 * len(one.ids))),
        objects=Objects.nothing(2 * len(one.ids)),
        **{
            name: np.concatenate([getattr(one, name), getattr(late, name)])
            for name in ("time", "longitude", "latitude", "heading", "probability")
        },
    )
    frames = {name: InFrame(1, math.nan, math.nan) for name in round_.ids}
    (event,) = events_of([round_.with_objects(frames), two])
    assert event.sightings == 2 and event.classes == ()


def test_classes_stay_where_zones_merge_and_where_they_split():
    def merging(number: int) -> list[tuple[float, float]]:
        return [(300.0, 500.0), (700.0, 900.0)] if number < 10 else [(300.0, 900.0)]

    cars = drives(30, street(), merging)
    early = [showing(car, (), classes=2) for car in cars[:10]]
    for car, row in ((early[0], 30), (early[1], 30)):  # only the first zone is in view there
        car.objects.classes[row] |= 8
    for car, row in ((early[2], 65), (early[3], 65)):  # and there the second
        car.objects.classes[row] |= 16
    found_first = sorted(events_of(early), key=lambda event: east_of(event.line[0]))
    assert [e.classes for e in found_first] == [("barrier", "worker"), ("barrier", "vehicle")]
    (event,) = [e for e in events_of([*early, *cars[10:]]) if e.state == "present"]
    assert event.classes == ("barrier", "worker", "vehicle")


def test_parts_of_a_zone_have_its_classes_and_from_then_on_their_own():
    parts = [(300.0, 500.0), (700.0, 900.0)]
    cars = drives(30, street(), lambda n: parts if n >= 10 else [(300.0, 900.0)])
    cars = [showing(car, (), classes=2 if row < 10 else 0) for row, car in enumerate(cars)]
    for car, row in ((cars[-1], 30), (cars[-2], 30)):  # only the first part is in view there
        car.objects.classes[row] |= 8
    first, second = sorted(events_of(cars), key=lambda event: east_of(event.line[0]))
    assert first.classes == ("barrier", "worker") and second.classes == ("barrier",)


def test_a_drive_that_comes_again_with_objects_takes_its_place():
    cars = drives(4, street(), lambda _: ZONE)
    masked = [showing(car, CONES) for car in cars]
    with open_store(":memory:") as store:
        update(store, cars)
        done = update(store, masked[1:3])
        assert (done.added, done.same, done.replaced) == (0, 0, 2)
        assert update(store, masked[1:3]).same == 2
        assert store.events() == events_of([cars[0], *masked[1:3], cars[3]])
        (event,) = store.events()
        assert event.classes == ("cone",)


def test_frames_of_others_are_passed_over(tmp_path):
    (car, other) = (showing(car, CONES) for car in drives(2, street(), lambda _: ZONE))
    read = objects_of([write_objects(tmp_path / "objects.jsonl", [car, other])], 90)
    again = car.with_objects({}).with_objects(read)
    assert again.objects.found == car.objects.found > 0
    assert again.objects.classes.tolist() == car.objects.classes.tolist()
    assert np.allclose(again.objects.near, car.objects.near, atol=0.05, equal_nan=True)
    assert np.allclose(again.objects.far, car.objects.far, atol=0.05, equal_nan=True)
    assert sum(one.classes > 0 for one in read.values()) == 2 * again.objects.found
    assert again.objects.found == other.objects.found
