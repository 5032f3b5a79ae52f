"""The windows in which a frame is looked at, and how what is found in them becomes one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from workzone.errors import UsageError
from workzone.teach.findings import Area, Findings, Instance, Window, shared

LARGE = 1.5
"""Times a tile's side, from which on a frame's longer side makes it large."""
AGREEMENT = 0.5
"""Intersection over union, from which on two finds are one object."""
COVERED = 0.8
"""Share of an object that others cover, from which on it is those others seen together."""


@dataclass(frozen=True)
class Tiling:
    """Tiles of large frames; small objects are lost where a large frame is squeezed.

    Raises:
        UsageError: a value out of range.
    """

    side: int  # pixels; 0: no tiles
    overlap: float = 0.25  # share of a tile that its neighbour covers too, at least

    def __post_init__(self) -> None:
        if self.side < 0 or 0 < self.side < 64:
            raise UsageError(f"a tile has a side of at least 64 pixels, not {self.side}; 0: none")
        if not 0 <= self.overlap <= 0.9:
            raise UsageError(f"overlap is a share from 0 to 0.9, not {self.overlap}")

    def windows(self, width: int, height: int) -> list[Window]:
        """The whole frame, and of a large one its tiles, row by row, which cover it exactly."""
        whole = (0, 0, width, height)
        if not self.side or max(width, height) < LARGE * self.side:
            return [whole]
        across, down = min(self.side, width), min(self.side, height)
        return [
            whole,
            *(
                (left, top, left + across, top + down)
                for top in _starts(height, down, self.overlap)
                for left in _starts(width, across, self.overlap)
            ),
        ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    steps = math.ceil((length - side) / (side * (1 - overlap)))
    return [round(step * (length - side) / steps) for step in range(steps + 1)] if steps else [0]


@dataclass(frozen=True)
class _Find:
    """An instance with the window in which it was found; both in pixels of the frame."""

    item: Instance
    window: Window
    number: int  # of the window

    def cut(self, frame: Window) -> bool:
        """Whether it reaches an edge of its window that is none of the frame's."""
        edges = zip(self.item.area.window, self.window, frame, strict=True)
        return any(own == edge != outer for own, edge, outer in edges)

    def is_one_with(self, other: _Find) -> bool:
        """Whether they agree where both windows look.

        Of one look at one phrase the teacher itself has told the objects apart.
        """
        if self.number == other.number and self.item.phrase == other.item.phrase:
            return False
        common = shared(self.window, other.window)
        if common is None:
            return False
        one, two = self.item.area.within(common), other.item.area.within(common)
        if one is None or two is None:
            return False
        both = one.overlap(two)
        return both >= AGREEMENT * (one.count + two.count - both)


def merged(looks: Sequence[tuple[Window, Findings]], *, boxes: bool = False) -> Findings:
    """What was found in the windows of one frame as one, in pixels of the frame.

    Finds of a class are one object where their masks agree in the part of the frame that both
    windows show. Of those the one is kept whole that no seam cuts, from the smallest window, then
    of the highest score; if seams cut all, they are joined. Its score is their highest. What was
    found in the whole frame alone is left out where others cover it: they are its parts.

    Args:
        looks: each window with what was found in it, in its pixels; the first is the whole frame.
        boxes: areas are the insides of boxes; so is what becomes of several.
    """
    frame = looks[0][0]
    finds: dict[str, list[_Find]] = {}
    presence: dict[str, float] = {}
    regions: dict[str, Area] = {}
    for number, (window, look) in enumerate(looks):
        there = look.moved(window[0], window[1])
        for item in there.instances:
            finds.setdefault(item.name, []).append(_Find(item, window, number))
        for name, value in there.presence.items():
            presence[name] = max(value, presence.get(name, 0.0))
        for name, area in there.regions.items():
            regions[name] = regions[name].joined(area) if name in regions else area
    instances = [item for name in presence for item in _objects(finds.get(name, []), frame, boxes)]
    return Findings(tuple(instances), presence, regions)


def _objects(finds: Sequence[_Find], frame: Window, boxes: bool) -> list[Instance]:
    groups = _groups(finds)
    objects = [
        (_one(group, frame, boxes), all(find.number == 0 for find in group)) for group in groups
    ]
    kept = [
        item
        for item, coarse in objects
        if not (coarse and _is_covered(item, [o for o, other in objects if not other]))
    ]
    return sorted(kept, key=lambda item: -item.score)


def _groups(finds: Sequence[_Find]) -> list[list[_Find]]:
    """Finds that are one object, directly or through others."""
    leader = list(range(len(finds)))

    def lead(number: int) -> int:
        while leader[number] != number:
            number = leader[number]
        return number

    for one, two in combinations(range(len(finds)), 2):
        if finds[one].is_one_with(finds[two]):
            leader[lead(two)] = lead(one)
    groups: dict[int, list[_Find]] = {}
    for number, find in enumerate(finds):
        groups.setdefault(lead(number), []).append(find)
    return list(groups.values())


def _one(group: Sequence[_Find], frame: Window, boxes: bool) -> Instance:
    if len(group) == 1:
        return group[0].item
    score = max(find.item.score for find in group)
    whole = [find for find in group if not find.cut(frame)]
    if whole:
        best = min(whole, key=lambda find: (_size(find.window), -find.item.score)).item
        return Instance(best.name, best.phrase, score, best.box, best.area)
    surest = max(group, key=lambda find: find.item.score).item
    area, box = surest.area, surest.box
    for find in group:
        area = area.joined(find.item.area)
        far = find.item.box
        box = (min(box[0], far[0]), min(box[1], far[1]), max(box[2], far[2]), max(box[3], far[3]))
    if boxes:
        area = Area(area.left, area.top, np.ones_like(area.pixels))
    return Instance(surest.name, surest.phrase, score, box, area)


def _size(window: Window) -> int:
    return (window[2] - window[0]) * (window[3] - window[1])


def _is_covered(item: Instance, others: Sequence[Instance]) -> bool:
    cover: Area | None = None
    for other in others:
        part = other.area.within(item.area.window)
        if part is not None:
            cover = part if cover is None else cover.joined(part)
    return cover is not None and item.area.overlap(cover) >= COVERED * item.area.count
