from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workzone.errors import UsageError
from workzone.teach.findings import Area, Findings, Instance, Window
from workzone.teach.tiles import Tiling, merged

FRAME = (100, 160)  # height, width


def area(left: int, top: int, right: int, bottom: int) -> Area:
    return Area(left, top, np.ones((bottom - top, right - left), np.bool_))


def find(mask: Area, score: float = 0.5, name: str = "cone", phrase: str = "a cone") -> Instance:
    return Instance(name, phrase, score, tuple(map(float, mask.window)), mask)


def seen(objects: list[Instance], window: Window, *, regions: bool = False) -> Findings:
    """What a perfect teacher says in a window, in its pixels."""
    left, top = window[:2]
    parts = [(item, item.area.within(window)) for item in objects]
    found = [
        find(part, item.score, item.name, item.phrase).moved(-left, -top)
        for item, part in parts
        if part is not None
    ]
    whole = {item.name: item.area for item in found} if regions else {}
    return Findings(tuple(found), {"cone": 0.5, "vehicle": 0.25}, whole)


def pixels(found: Findings) -> np.ndarray:
    canvas = np.zeros(FRAME, np.bool_)
    for item in found.instances:
        canvas |= item.area.in_frame(*FRAME)
    return canvas


def test_windows_are_the_frame_and_tiles_that_cover_it_exactly() -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    assert windows[0] == (0, 0, 160, 100)
    assert windows[1:] == [
        (left, top, left + 64, top + 64) for top in (0, 36) for left in (0, 48, 96)
    ]
    assert Tiling(64, 0.25).windows(95, 90) == [(0, 0, 95, 90)]  # not large
    assert Tiling(0).windows(4000, 3000) == [(0, 0, 4000, 3000)]
    assert Tiling(64).windows(200, 40)[1] == (0, 0, 64, 40)  # lower than a tile


@given(
    width=st.integers(16, 700),
    height=st.integers(16, 700),
    side=st.integers(64, 300),
    overlap=st.floats(0, 0.9),
)
def test_tiles_cover_every_pixel_and_overlap_enough(
    width: int, height: int, side: int, overlap: float
) -> None:
    whole, *tiles = Tiling(side, overlap).windows(width, height)
    assert whole == (0, 0, width, height)
    if not tiles:
        assert max(width, height) < 1.5 * side
        return
    covered = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in tiles:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert right - left == min(side, width) and bottom - top == min(side, height)
        covered[top:bottom, left:right] = True
    assert covered.all()
    lefts = sorted({tile[0] for tile in tiles})
    for one, two in pairwise(lefts):
        assert one + side - two >= overlap * side - 1


@pytest.mark.parametrize(
    ("side", "overlap", "text"), [(-1, 0.2, "at least 64"), (20, 0.2, "not 20"), (64, 1.0, "0.9")]
)
def test_impossible_tiles_are_refused(side: int, overlap: float, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Tiling(side, overlap)


def test_one_look_stays_as_it_is() -> None:
    """Two finds of one phrase in one look are two, however alike: the teacher told them apart."""
    window = (0, 0, 160, 100)
    found = seen([find(area(10, 10, 20, 20)), find(area(11, 10, 21, 20), 0.4)], window)
    result = merged([(window, found)])
    assert [item.score for item in result.instances] == [0.5, 0.4]
    assert result.presence == found.presence


def test_two_phrases_for_one_object_are_one_find() -> None:
    window = (0, 0, 160, 100)
    objects = [find(area(10, 10, 20, 20)), find(area(10, 10, 21, 20), 0.9, phrase="a drum")]
    (item,) = merged([(window, seen(objects, window))]).instances
    assert (item.phrase, item.score, item.area.window) == ("a drum", 0.9, (10, 10, 21, 20))
    other = [objects[0], find(area(10, 10, 21, 20), 0.9, "vehicle", "a truck")]
    assert len(merged([(window, seen(other, window))]).instances) == 2


OBJECTS = [
    find(area(5, 5, 12, 15), 0.9),  # small, in one tile
    find(area(50, 40, 60, 52), 0.8),  # where four tiles overlap
    find(area(40, 70, 130, 95), 0.7, "vehicle", "a truck"),  # over all tiles below
    find(area(140, 10, 150, 20), 0.6),
]


@pytest.mark.parametrize("whole_frame_sees", [True, False])
def test_objects_come_out_once_and_whole(whole_frame_sees: bool) -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    looks = [(window, seen(OBJECTS, window)) for window in windows]
    if not whole_frame_sees:
        looks[0] = (windows[0], seen([], windows[0]))
    found = merged(looks)
    assert [(item.name, item.score, item.area.window) for item in found.instances] == [
        (item.name, item.score, item.area.window)
        for item in sorted(OBJECTS, key=lambda item: (item.name != "cone", -item.score))
    ]
    assert (pixels(found) == pixels(Findings(tuple(OBJECTS), {}))).all()
    assert all(item.box == tuple(map(float, item.area.window)) for item in found.instances)


def test_a_tile_outlines_better_than_the_squeezed_frame() -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    rough = find(area(4, 4, 14, 15), 0.95)  # in the whole frame
    looks = [(window, seen(OBJECTS[:1], window)) for window in windows]
    looks[0] = (windows[0], seen([rough], windows[0]))
    (item,) = merged(looks).instances
    assert item.area.window == OBJECTS[0].area.window
    assert item.score == 0.95


def test_a_group_seen_as_one_from_afar_gives_way_to_its_parts() -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    cones = [find(area(left, 5, left + 6, 15)) for left in (5, 12, 19)]
    looks = [(window, seen(cones, window)) for window in windows]
    looks[0] = (windows[0], seen([find(area(5, 5, 25, 15), 0.9)], windows[0]))
    assert len(merged(looks).instances) == 3
    looks[1:] = [(window, seen(cones[:1], window)) for window in windows[1:]]
    assert len(merged(looks).instances) == 2  # the others are not found: the group stays


def test_neighbours_at_a_seam_stay_two() -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    cones = [find(area(44, 5, 54, 15)), find(area(54, 5, 66, 15))]
    looks = [(window, seen(cones, window)) for window in windows]
    looks[0] = (windows[0], seen([], windows[0]))
    assert sorted(item.area.window for item in merged(looks).instances) == [
        (44, 5, 54, 15),
        (54, 5, 66, 15),
    ]


def test_boxes_stay_boxes() -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    looks = [(window, Findings((), {"cone": 0.5})) for window in windows]
    for number in (4, 5):  # two tiles below, at the left: a box over both, a pixel lower in one
        x, y = windows[number][:2]
        part = area(20, 40 + number, 140, 60 + number).within(windows[number])
        looks[number] = (windows[number], Findings((find(part).moved(-x, -y),), {"cone": 0.5}))
    (masks,), (boxes,) = (merged(looks, boxes=b).instances for b in (False, True))
    assert not masks.area.pixels.all()
    assert boxes.area.pixels.all() and boxes.area.window == masks.area.window
    assert boxes.box == tuple(map(float, boxes.area.window))


def test_presence_is_the_highest_and_regions_are_joined() -> None:
    windows = Tiling(64, 0.25).windows(160, 100)
    truck = OBJECTS[2]
    looks = [(window, seen([truck], window, regions=True)) for window in windows[1:]]
    looks.insert(0, (windows[0], Findings((), {"cone": 0.75, "vehicle": 0.125})))
    found = merged(looks)
    assert found.presence == {"cone": 0.75, "vehicle": 0.25}
    assert set(found.regions) == {"vehicle"}
    assert found.regions["vehicle"].window == truck.area.window
    assert found.regions["vehicle"].count == truck.area.count


def test_areas_are_masks() -> None:
    random = np.random.default_rng(0)
    one, two = random.random((2, 30, 40)) > 0.9
    areas = Area.of(one), Area.of(two)
    assert (areas[0].in_frame(30, 40) == one).all()
    assert areas[0].overlap(areas[1]) == (one & two).sum()
    assert (areas[0].joined(areas[1]).in_frame(30, 40) == (one | two)).all()
    part = areas[0].within((10, 5, 30, 20))
    cut = np.zeros_like(one)
    cut[5:20, 10:30] = one[5:20, 10:30]
    assert (part.in_frame(30, 40) == cut).all()
    assert Area.of(np.zeros((3, 3), np.bool_)) is None
    assert Area.of(one, 7, 9).window == areas[0].moved(7, 9).window
