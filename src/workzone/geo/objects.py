"""What masks say of frames for the map: which classes are in them, and how far ahead.

Of an object of a known height, the height of its box tells how far it is from the camera
(`distance`). Objects whose height varies (signs, vehicles, equipment) tell their class alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workzone.geo.ground import Floats, Indices
from workzone.geo.objects_file import FrameObjects, read_objects
from workzone.types import OBJECT_CLASSES, FoundObject

HEIGHTS = {"cone": 0.75, "barrier": 1.0, "worker": 1.75}
"""Metres, of the classes whose objects are about as high as each other."""
FIELD_OF_VIEW = 65.0
"""Degrees that a dashcam sees from side to side, where nothing is known of it."""

_LEAST = 12.0  # pixels; one more or less of a lower box changes the distance by too much
_BORDER = 1.0  # pixels from the frame's border, where an object may be cut off


class InFrame(NamedTuple):
    """What is in one frame."""

    classes: int  # bit k: class k of `OBJECT_CLASSES`
    near: float  # metres ahead of the camera to the nearest object; NaN where no distance is known
    far: float  # to the farthest


NOTHING = InFrame(0, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Objects:
    """What is in frames, ``[n]`` each; as of `InFrame`."""

    classes: Indices
    near: Floats
    far: Floats

    @staticmethod
    def of(frames: Sequence[InFrame]) -> Objects:
        """One after the other."""
        classes, near, far = np.array(frames, np.float64).reshape(-1, 3).T
        return Objects(classes.astype(np.int64), near, far)

    @staticmethod
    def nothing(count: int) -> Objects:
        """Of so many frames without objects."""
        unknown = np.full(count, np.nan)
        return Objects(np.zeros(count, np.int64), unknown, unknown)

    @property
    def found(self) -> int:
        """How many frames have any."""
        return int(np.count_nonzero(self.classes))

    def at(self, rows: Indices) -> Objects:
        """Those of some frames."""
        return Objects(self.classes[rows], self.near[rows], self.far[rows])


def distance(
    metres_high: float, pixels_high: float, *, width: float, field_of_view: float
) -> float:
    """How far an object is from a camera whose pictures are rectilinear (a pinhole), in metres.

    Args:
        metres_high: how high the object is.
        pixels_high: how high it is in the frame.
        width: of the frame, pixels.
        field_of_view: of that width, degrees, above 0 and below 180.
    """
    focal_length = width / 2 / math.tan(math.radians(field_of_view) / 2)  # pixels
    return focal_length * metres_high / pixels_high


def objects_of(paths: Iterable[Path], field_of_view: float = FIELD_OF_VIEW) -> dict[str, InFrame]:
    """What is in frames by their ids.

    A frame that is there more than once has all that is said of it.

    Args:
        paths: of ``objects.jsonl`` of ``workzone predict --masks``.
        field_of_view: of the camera, degrees from side to side.

    Raises:
        WorkzoneError: one cannot be read, or is no such file.
    """
    found: dict[str, InFrame] = {}
    for path in paths:
        for frame in read_objects(path):
            one, other = in_frame(frame, field_of_view), found.get(frame.id, NOTHING)
            found[frame.id] = InFrame(
                one.classes | other.classes,
                float(np.fmin(one.near, other.near)),
                float(np.fmax(one.far, other.far)),
            )
    return found


def in_frame(frame: FrameObjects, field_of_view: float) -> InFrame:
    """Classes and distances of the objects in a frame."""
    classes, metres = 0, []
    for one in frame.objects:
        classes |= 1 << OBJECT_CLASSES.index(one.name)
        pixels = (one.box[3] - one.box[1]) * frame.height
        if one.name in HEIGHTS and pixels >= _LEAST and _is_whole(one, frame):
            high = HEIGHTS[one.name]
            metres.append(distance(high, pixels, width=frame.width, field_of_view=field_of_view))
    return InFrame(classes, min(metres, default=math.nan), max(metres, default=math.nan))


def _is_whole(one: FoundObject, frame: FrameObjects) -> bool:
    """Whether the frame's border cuts nothing off."""
    x0, y0, x1, y1 = one.box
    across, down = _BORDER / frame.width, _BORDER / frame.height
    return min(x0, 1 - x1) >= across and min(y0, 1 - y1) >= down


def names_of(classes: int) -> tuple[str, ...]:
    """The classes that bits stand for, in their order."""
    return tuple(name for k, name in enumerate(OBJECT_CLASSES) if classes >> k & 1)
