"""Which frame of each window is taken."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest

from workzone.data.video.choose import FrameSettings, choose, windows
from workzone.data.video.decode import Decoded
from workzone.errors import UsageError


def frames(seconds: Iterable[float], values: Iterable[Any] | None = None) -> list[Decoded]:
    seconds = list(seconds)
    return [
        Decoded(second, value)
        for second, value in zip(seconds, values or [None] * len(seconds), strict=True)
    ]


def taken(settings: FrameSettings, seconds: Iterable[float], metres: Any = None) -> list[float]:
    return [one.seconds for one in choose(frames(seconds), windows(settings, metres), None)]


def test_one_frame_of_each_second_or_part() -> None:
    rate = [n / 30 for n in range(91)]
    assert taken(FrameSettings(), rate) == pytest.approx([0, 1, 2, 3])
    tenths = [n / 10 for n in range(11)]
    assert taken(FrameSettings(0.3), tenths) == pytest.approx([0, 0.3, 0.6, 0.9])


def test_windows_without_frames_give_none() -> None:
    assert taken(FrameSettings(), [0, 0.4, 3.7, 3.9, 9.2]) == [0, 3.7, 9.2]


def test_metres_count_the_way_and_seconds_where_it_is_unknown() -> None:
    def way(second: float) -> float:
        """10 m/s, then a stop of 10 s, then a tunnel without positions."""
        if second >= 20:
            return math.nan
        return 10 * min(second, 10)

    found = taken(FrameSettings(metres=25), [n / 2 for n in range(48)], way)
    assert found == [0, 2.5, 5, 7.5, 10, 20, 21, 22, 23]
    assert taken(FrameSettings(2.0, metres=25), range(5), None) == [0, 2, 4]


def test_the_sharpest_of_each_window() -> None:
    made = frames([0, 0.5, 1.0, 1.5, 2.0], [3, 7, 9, 2, 1])
    found = choose(made, windows(FrameSettings(), None), lambda one: float(one.frame))
    assert [one.seconds for one in found] == [0.5, 1.0, 2.0]


def test_every_frame_is_judged_once() -> None:
    asked = []

    def judge(one: Decoded) -> float:
        asked.append(one.seconds)
        return 0.0

    list(choose(frames(range(9)), windows(FrameSettings(3.0), None), judge))
    assert asked == list(range(9))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seconds": 0.0}, "seconds between frames must be above 0, got 0"),
        ({"metres": -1.0}, "metres between frames must be above 0"),
        ({"seconds": math.nan}, "seconds between frames must be above 0, got nan"),
        ({"start": datetime(2026, 5, 1)}, "2026-05-01T00:00:00 names no zone; write it as"),
    ],
)
def test_settings_without_sense(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        FrameSettings(**settings)
