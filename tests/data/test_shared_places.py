from __future__ import annotations

import pytest

from workzone.data.shared_places import LISTED, shared_places
from workzone.types import ImageRef, Sample


def sample(number: int, group: str | None, metres: float) -> Sample:
    return Sample(
        f"s{number}", ImageRef("x"), group=group, latitude=metres / 111_195.08, longitude=7.0
    )


def test_groups_that_share_a_place_are_counted_and_the_nearest_named_once() -> None:
    samples = [
        *(sample(n, "a", n) for n in range(3)),
        *(sample(10 + n, "b", 20 + n) for n in range(3)),
        sample(20, "c", 110),
        sample(30, "alone", 5000),
        sample(40, None, 0),
    ]
    found = shared_places(samples, 100, lambda s: s.group, each_two_sides_once=True)
    assert (found.pairs, found.sides) == (9 + 3, 3)
    assert [(near.first, near.second) for near in found.nearest] == [("s2", "s10"), ("s12", "s20")]
    assert found.nearest[0].metres == pytest.approx(18, abs=0.01)


def test_thousands_of_images_at_one_spot_make_one_finding() -> None:
    samples = [sample(n, "a" if n < 15_000 else "b", 0) for n in range(20_000)]
    found = shared_places(samples, 100, lambda s: s.group)
    assert found.pairs == 15_000 * 5_000
    assert [(near.first, near.second) for near in found.nearest] == [("s0", "s15000")]


def test_the_list_is_bounded() -> None:
    samples = [sample(n, f"g{n}", n) for n in range(60)]
    found = shared_places(samples, 100, lambda s: s.group, each_two_sides_once=True)
    assert (found.pairs, found.sides, len(found.nearest)) == (60 * 59 // 2, 60, LISTED)
