"""What an annotated video shows: frame, decision, curve and map."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest

from workzone.report.captions import DARK, LIGHT, decision_colour
from workzone.report.drive_curve import Curve, clock, ticks
from workzone.report.drive_map import RouteMap, scale_metres
from workzone.report.drive_picture import DrivePictures, Moment

ROADWORK, NONE = decision_colour(1.0), decision_colour(0.0)


def near(pixels: npt.NDArray[np.uint8], colour: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where a picture ``[H, W, 3]`` has a colour."""
    return (np.abs(pixels[..., :3].astype(int) - colour).max(axis=-1) <= 12).astype(bool)


def curve(values: list[float], seconds: list[float] | None = None, gap: float = 30.0) -> Curve:
    """One of 400 x 100 pixels, of frames that say 0.5 each."""
    rows = np.arange(len(values), dtype=float) if seconds is None else np.array(seconds)
    own = np.full(len(values), 0.5)
    return Curve(rows, own, np.array(values), (400, 100), text_size=10, gap=gap)


def test_a_curve_is_orange_where_there_is_road_work() -> None:
    pixels = np.asarray(curve([0.1] * 10 + [0.9] * 10).at(0))
    work, none = near(pixels, ROADWORK), near(pixels, NONE)
    assert work[:, 230:].sum() > 300 and none[:, 230:].sum() == 0
    assert none[:, 40:190].sum() > 300 and work[20:, 40:190].sum() == 0
    rows = np.flatnonzero(work[:, 300])
    assert rows.max() < np.flatnonzero(none[:, 100]).min()  # higher up


def test_the_mark_is_at_the_frame_s_second() -> None:
    drawn = curve([0.1] * 5, [0.0, 10.0, 20.0, 30.0, 40.0], gap=60)
    columns = []
    for number in range(5):
        lines = near(np.asarray(drawn.at(number)), LIGHT)[20:80].sum(axis=0)
        columns.append(int(lines.argmax()))
    assert np.diff(columns) == pytest.approx(np.diff(columns).mean(), abs=2.5)
    assert columns[0] < 30 and columns[-1] > 385


def test_across_a_gap_there_is_no_line() -> None:
    seconds = [0.0, 1.0, 2.0, 98.0, 99.0, 100.0]
    with_gap = np.asarray(curve([0.9] * 6, seconds, gap=30).at(0))
    without = np.asarray(curve([0.9] * 6, seconds, gap=100).at(0))
    assert near(with_gap, ROADWORK)[:, 100:300].sum() == 0
    assert near(without, ROADWORK)[:, 100:300].sum() >= 200


def test_one_frame_makes_a_curve() -> None:
    assert curve([0.9]).at(0).size == (400, 100)


def test_seconds_as_a_clock_and_on_an_axis() -> None:
    assert [clock(s) for s in (0, 9.9, 65, 3661)] == ["0:00", "0:09", "1:05", "1:01:01"]
    assert ticks(0, 119) == [0, 15, 30, 45, 60, 75, 90, 105]
    assert ticks(3.5, 7.2) == [4, 5, 6, 7]
    assert max(len(ticks(0, last)) for last in range(1, 40_000, 97)) <= 9


def route(latitude: list[float], longitude: list[float], work: list[float]) -> RouteMap:
    return RouteMap(np.array(latitude), np.array(longitude), np.array(work), 200, text_size=12)


def test_north_is_up_and_the_way_has_the_colour_of_its_frames() -> None:
    pixels = np.asarray(route([52.5, 52.501, 52.502], [13.4] * 3, [0.1, 0.1, 0.9]).at(0))
    work, none = near(pixels, ROADWORK), near(pixels, NONE)
    assert np.flatnonzero(work.any(axis=1)).max() < np.flatnonzero(none.any(axis=1)).max() - 40
    columns = np.flatnonzero((work | none).any(axis=0))
    assert columns.max() - columns.min() <= 10
    assert abs(columns.mean() - 100) < 4


def test_east_is_right_and_as_long_as_it_is_on_the_ground() -> None:
    """A square of 500 m at 60 degrees, across the date line."""
    step = 500 / 111_195
    latitude = [60.0, 60.0, 60.0 + step, 60.0 + step]
    longitude = [179.999, -180.001 + 2 * step, -180.001 + 2 * step, 179.999]
    shown = near(np.asarray(route(latitude, longitude, [0.1] * 4).at(0)), NONE)
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=3)
    assert np.ptp(rows) > 100


def test_unknown_places_part_the_line_and_have_no_mark() -> None:
    nan = float("nan")
    longitude = [13.4, 13.4, nan, 13.4, 13.4]
    drawn = route([52.5, 52.501, nan, 52.503, 52.504], longitude, [0.1] * 5)
    shown = near(np.asarray(drawn.at(2)), NONE).any(axis=1)
    rows = np.flatnonzero(shown)
    assert np.diff(rows).max() > 40
    marked = [np.asarray(drawn.at(number)) for number in range(5)]
    assert (marked[0] != marked[2]).any()
    assert near(marked[0], LIGHT).sum() > near(marked[2], LIGHT).sum()


def test_the_scale_is_a_round_number_of_metres() -> None:
    found = [scale_metres(metres) for metres in (1.0, 1.9, 49, 50, 99, 100, 1999, 2000)]
    assert found == [1, 1, 20, 50, 50, 100, 1000, 2000]


def moments(count: int, *, placed: bool = True) -> list[Moment]:
    start = datetime(2025, 6, 1, 10, tzinfo=UTC)
    nan = float("nan")
    return [
        Moment(
            float(second),
            probability=0.9 if second else 0.1,
            smoothed=0.8,
            box=(0.25, 0.25, 0.5, 0.75),
            time=start.replace(second=second),
            latitude=52.5 + second / 10_000 if placed else nan,
            longitude=13.4 if placed else nan,
        )
        for second in range(count)
    ]


@pytest.mark.parametrize(
    ("shape", "width"),
    [
        ((64, 64), 640),
        ((720, 1280), 1280),
        ((1080, 1920), 1280),
        ((1280, 719), 720),
        ((333, 99), 480),
    ],
)
def test_sides_are_even_and_bounded(shape: tuple[int, int], width: int) -> None:
    pictures = DrivePictures(moments(3), shape, gap=30)
    drawn = pictures.draw(np.full((*shape, 3), 90, np.uint8), 1)
    assert drawn.size == pictures.size
    assert drawn.width == width
    assert drawn.width % 2 == drawn.height % 2 == 0
    assert drawn.height < 1280 * 1.3


def test_the_evidence_is_outlined_where_there_is_road_work() -> None:
    pictures = DrivePictures(moments(3, placed=False), (400, 800), gap=30)
    frame = np.full((400, 800, 3), 90, np.uint8)
    none, work = (np.asarray(pictures.draw(frame, number)) for number in (0, 1))
    assert (none[:400] == 90).all()
    changed = (work[:400] != 90).any(axis=-1)
    assert changed[95:305, 190:410].any()
    assert not changed[105:295, 210:390].any()  # the evidence itself is not covered
    assert not changed[:, 450:].any()
    assert tuple(none[415, 2]) == NONE and tuple(work[415, 2]) == ROADWORK


def test_without_places_there_is_no_map() -> None:
    frame = np.full((400, 800, 3), 90, np.uint8)
    with_map, without = (
        np.asarray(DrivePictures(moments(3, placed=placed), (400, 800), gap=30).draw(frame, 0))
        for placed in (True, False)
    )
    corner = np.s_[5:100, 650:790]
    assert (with_map[corner] < 90).any(axis=-1).mean() > 0.5
    assert (without[corner] == 90).all()
    assert (with_map[450:] == without[450:]).all()
    assert (without[:400] != DARK).all()
