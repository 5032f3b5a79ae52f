"""Small pictures of the frames that show events, for a page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workzone.data.images import decode_pixels, read_bytes
from workzone.data.kinds import IMAGE_SUFFIXES
from workzone.errors import ImageError, UsageError
from workzone.geo.event import Event
from workzone.geo.objects_file import read_objects
from workzone.report.overlay import thumbnail
from workzone.types import ImageRef, Ring

EACH = 2
"""Pictures of an event, at most."""
MOST = 2_000
"""Pictures in all: some 60 MB of a page."""
_LONGEST = 640  # pixels of the longer side


@dataclass(frozen=True, slots=True)
class Outlined:
    """An object of a picture."""

    name: str
    rings: Sequence[Ring]  # in fractions of the picture


@dataclass(frozen=True, slots=True)
class Picture:
    """A frame made small, without anything that its file said beside pixels."""

    jpeg: bytes
    objects: Sequence[Outlined] = ()

    def for_page(self) -> dict[str, Any]:
        """As a page holds it."""
        address = "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode()
        objects = [{"name": one.name, "rings": one.rings} for one in self.objects]
        return {"address": address, "objects": objects}


@dataclass(frozen=True, slots=True)
class Found:
    """Pictures by the ids of their frames, and how many there are not."""

    pictures: Mapping[str, Picture]
    missing: int  # frames without a file
    unreadable: int
    left_out: int  # beyond `MOST`


def find_pictures(
    events: Iterable[Event],
    folder: Path,
    *,
    objects: Mapping[str, Sequence[Outlined]] | None = None,
) -> Found:
    """Read the first frames of events that are not gone, then of the others, up to `MOST`.

    Args:
        events: whose ``images`` are ids: paths below ``folder``, with or without their suffix.
        folder: of the frames; nothing beside it is read.
        objects: what is outlined, by id; see :func:`read_outlines`.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; name the one that the frames' ids start from")
    ranked = sorted(events, key=lambda event: (event.state == "gone", -event.confidence, event.id))
    wanted = list(dict.fromkeys(name for event in ranked for name in event.images[:EACH]))
    pictures: dict[str, Picture] = {}
    missing = unreadable = 0
    for number, name in enumerate(wanted):
        if len(pictures) == MOST:
            return Found(pictures, missing, unreadable, len(wanted) - number)
        path = _file(folder, name)
        if path is None:
            missing += 1
            continue
        try:
            pixels = decode_pixels(
                read_bytes(ImageRef(path.name), path.parent), enough_side=_LONGEST, name=name
            )
        except ImageError:
            unreadable += 1
            continue
        pictures[name] = Picture(thumbnail(pixels, longest=_LONGEST), (objects or {}).get(name, ()))
    return Found(pictures, missing, unreadable, 0)


def _file(folder: Path, name: str) -> Path | None:
    """The file of a frame below a folder; ids are the work of others, and lead nowhere else."""
    within = folder.resolve()
    for suffix in ("", *sorted(IMAGE_SUFFIXES)):
        try:
            path = (folder / (name + suffix)).resolve()
            if path.is_relative_to(within) and path.is_file():
                return path
        except (OSError, ValueError):  # too long, or with a zero byte
            return None
    return None


def read_outlines(path: Path) -> dict[str, list[Outlined]]:
    """Objects by the ids of their frames; see `workzone.geo.objects_file.read_objects`."""
    return {
        frame.id: [
            Outlined(one.name, [_rounded(ring) for ring in one.rings]) for one in frame.objects
        ]
        for frame in read_objects(path)
    }


def _rounded(ring: Ring) -> Ring:
    return tuple((round(x, 4), round(y, 4)) for x, y in ring)
