"""What a teacher finds in a picture: areas of pixels, instances, and how they move to a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

Window = tuple[int, int, int, int]
"""Left, top, right and bottom edges in pixels, right and bottom beyond the last one."""

PixelBox = tuple[float, float, float, float]
"""The same of a box, in fractions of pixels too."""


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """Some pixels of a picture: bool ``[h, w]`` that are true in every outer row and column.

    ``left``, ``top``: where the first column and row of ``pixels`` are in the picture.
    """

    left: int
    top: int
    pixels: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, mask: npt.NDArray[np.bool_], left: int = 0, top: int = 0) -> Self | None:
        """The area of a mask ``[h, w]`` that lies at ``left``, ``top``; None: it has no pixel."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        window = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(left + int(columns[0]), top + int(rows[0]), np.ascontiguousarray(window))

    @property
    def window(self) -> Window:
        """The smallest window around it."""
        height, width = self.pixels.shape
        return self.left, self.top, self.left + width, self.top + height

    @property
    def count(self) -> int:
        """Its pixels."""
        return int(self.pixels.sum())

    def moved(self, right: int, down: int) -> Area:
        """The same elsewhere."""
        return replace(self, left=self.left + right, top=self.top + down)

    def within(self, window: Window) -> Area | None:
        """What of it lies within a window; None: nothing."""
        common = shared(self.window, window)
        return None if common is None else Area.of(self._cut(common), common[0], common[1])

    def overlap(self, other: Area) -> int:
        """Pixels that both have."""
        common = shared(self.window, other.window)
        return 0 if common is None else int((self._cut(common) & other._cut(common)).sum())

    def joined(self, other: Area) -> Area:
        """The pixels that either has."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        right, bottom = (max(self.window[i], other.window[i]) for i in (2, 3))
        canvas = np.zeros((bottom - top, right - left), np.bool_)
        for area in (self, other):
            rows, columns = area.pixels.shape
            y, x = area.top - top, area.left - left
            canvas[y : y + rows, x : x + columns] |= area.pixels
        return Area(left, top, canvas)

    def in_frame(self, height: int, width: int) -> npt.NDArray[np.bool_]:
        """As a mask bool ``[height, width]`` of the picture."""
        canvas = np.zeros((height, width), np.bool_)
        left, top, right, bottom = self.window
        canvas[top:bottom, left:right] = self.pixels
        return canvas

    def _cut(self, window: Window) -> npt.NDArray[np.bool_]:
        left, top, right, bottom = window
        return self.pixels[top - self.top : bottom - self.top, left - self.left : right - self.left]


def shared(one: Window, other: Window) -> Window | None:
    """The window that two have in common, if any."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One object that a teacher found.

    ``box``: as the teacher says it, in pixels; ``area``: its mask, or the inside of its box where
    the teacher gives boxes alone.
    """

    name: str  # one of OBJECT_CLASSES
    phrase: str  # what it was asked for
    score: float  # 0..1
    box: PixelBox
    area: Area

    def moved(self, right: int, down: int) -> Instance:
        """The same elsewhere."""
        left, top, far, bottom = self.box
        box = (left + right, top + down, far + right, bottom + down)
        return replace(self, box=box, area=self.area.moved(right, down))


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """What a teacher says of one picture.

    ``presence``: of each class that was asked for, how sure the teacher is that there is any, 0..1;
    ``regions``: by class, its semantic mask: all of the class, objects not told apart; empty unless
    asked for, and without the classes of which there is nothing.
    """

    instances: tuple[Instance, ...]
    presence: Mapping[str, float]
    regions: Mapping[str, Area] = field(default_factory=dict)

    def moved(self, right: int, down: int) -> Findings:
        """The same elsewhere."""
        return replace(
            self,
            instances=tuple(item.moved(right, down) for item in self.instances),
            regions={name: area.moved(right, down) for name, area in self.regions.items()},
        )
