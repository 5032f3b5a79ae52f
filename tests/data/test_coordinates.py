from __future__ import annotations

import pytest

from workzone.data.coordinates import READINGS, misplaced
from workzone.types import ImageRef, Sample

MUNICH, SAO_PAULO, LAGOS, PITTSBURGH = (48.1, 11.5), (-23.5, -46.6), (6.5, 3.4), (40.4, -80.0)
EXCHANGED, LATITUDE_SIGN, LONGITUDE_SIGN, BOTH_SIGNS = READINGS


def drive(group: str | None, place: tuple[float, float], count: int = 6) -> list[Sample]:
    return [
        Sample(
            f"{group}-{place[0]:g}-{n}", ImageRef("x.jpg"), group=group,
            latitude=place[0] + n / 1000, longitude=place[1] + n / 1000,
        )
        for n in range(count)
    ]  # fmt: skip


def at(name: str, place: tuple[float, float], **more: object) -> Sample:
    return Sample(name, ImageRef("x.jpg"), latitude=place[0], longitude=place[1], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("true", "wrong", "reading"),
    [
        (MUNICH, (11.5, 48.1), EXCHANGED),
        (SAO_PAULO, (-46.6, -23.5), EXCHANGED),
        (SAO_PAULO, (23.5, -46.6), LATITUDE_SIGN),
        (PITTSBURGH, (40.4, 80.0), LONGITUDE_SIGN),
        (SAO_PAULO, (23.5, 46.6), BOTH_SIGNS),
        (MUNICH, (30.0, 30.0), None),
    ],
)
def test_a_row_is_held_against_the_rest_of_its_group(
    true: tuple[float, float], wrong: tuple[float, float], reading: str | None
) -> None:
    samples = [*drive("g", true), at("wrong", wrong, group="g"), *drive("h", LAGOS)]
    (found,) = misplaced(samples)
    assert (found.id, found.reading, found.among) == ("wrong", reading, "group g")
    assert found.kilometres is not None and found.kilometres > 500


@pytest.mark.parametrize("column", ["City", "city_name", "City Name"])
def test_a_row_without_a_group_is_held_against_its_city(column: str) -> None:
    city = {"extra": {column: "Munich"}}
    samples = [at(f"{n}", (48.1 + n / 100, 11.5), **city) for n in range(5)]
    (found,) = misplaced([*samples, at("wrong", (11.5, 48.1), **city)])
    assert (found.id, found.among, found.reading) == ("wrong", "city Munich", EXCHANGED)


def test_a_whole_group_is_held_against_the_others() -> None:
    samples = [s for n in range(6) for s in drive(f"g{n}", MUNICH)]
    wrong = [*drive("x", (11.5, 48.1)), *drive("y", (11.5, 48.1))]
    found = misplaced([*samples, *wrong])
    assert [each.id for each in found] == [s.id for s in wrong]
    assert {(each.reading, each.among) for each in found} == {(EXCHANGED, "the other groups")}


def test_places_that_are_right_are_left_alone() -> None:
    everywhere = [at(f"{n}", (n * 7.0 - 60, n * 9.0 - 90), group="world") for n in range(15)]
    assert misplaced(everywhere) == ()
    cities = [MUNICH, SAO_PAULO, LAGOS, PITTSBURGH]
    assert misplaced([s for n, city in enumerate(cities) for s in drive(f"g{n}", city)]) == ()
    few = [*drive("g", MUNICH, 2), at("other", (11.5, 48.1), group="g")]
    assert misplaced(few) == ()  # too few to tell who is wrong
    assert misplaced([]) == misplaced([Sample("a", ImageRef("a.jpg"))]) == ()
    assert misplaced([*drive("g", MUNICH), at("far", (50.1, 8.7), group="g")]) == ()  # 300 km
