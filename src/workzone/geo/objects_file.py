"""Objects of frames, from the ``objects.jsonl`` that ``workzone predict --masks`` writes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workzone.errors import WorkzoneError
from workzone.types import OBJECT_CLASSES, Box, FoundObject

_DAMAGED = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class FrameObjects:
    """What masks show in one frame."""

    id: str
    width: float  # pixels of the upright frame
    height: float
    objects: tuple[FoundObject, ...]


def read_objects(path: Path) -> Iterator[FrameObjects]:
    """Frames of such a file, one by one.

    Raises:
        WorkzoneError: it cannot be read, or is no such file.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parsed(path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise WorkzoneError(f"{path} cannot be read: {error}") from error


def _parsed(path: Path, number: int, line: str) -> FrameObjects:
    try:
        image = json.loads(line)
        width, height = float(image["width"]), float(image["height"])
        if not (1 <= width < math.inf and 1 <= height < math.inf):
            raise ValueError(f"a frame of {width} by {height} pixels")
        objects = tuple(_object(one, width, height) for one in image["objects"])
        return FrameObjects(str(image["id"]), width, height, objects)
    except _DAMAGED as error:
        raise WorkzoneError(
            f"{path}, line {number}: no objects of an image ({error!r}); give the "
            "objects.jsonl of `workzone predict --masks`"
        ) from error


def _object(one: Any, width: float, height: float) -> FoundObject:
    """An object whose places are pixels, in fractions of the frame."""
    name = one["class"]
    if name not in OBJECT_CLASSES:
        raise ValueError(f"class {name!r} is none of {', '.join(OBJECT_CLASSES)}")
    x0, y0, x1, y1 = one["box"]
    box: Box = (x0 / width, y0 / height, x1 / width, y1 / height)
    if not (max(box[0], 0) < min(box[2], 1) and max(box[1], 0) < min(box[3], 1)):
        raise ValueError(f"box {one['box']} in a frame of {width:g} by {height:g}")
    rings = (tuple((x / width, y / height) for x, y in ring) for ring in one["polygon"])
    return FoundObject(name, float(one["score"]), box, tuple(rings))
