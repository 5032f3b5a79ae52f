"""Videos as a source of samples: one of each chosen frame, with its place and time.

Frames become JPEG files beside the manifest, in a folder for each video. The group is the folder
between the class and the video, as for images. Without one, all frames of a video are a group, and
so are videos of one folder that follow each other within `SAME_DRIVE` seconds, as dashcams part a
drive, or that are of one time, as those of front and rear.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from workzone import progress
from workzone.data.find_files import find_files
from workzone.data.passed_over import counted
from workzone.data.places import Floats
from workzone.data.sources.folder import Placed, left_out, place
from workzone.data.sources.record import Record, Source
from workzone.data.track.files import iso
from workzone.data.video.choose import FrameSettings
from workzone.data.video.extract import LIST, Frames, extract
from workzone.data.video.places import Positions
from workzone.errors import UsageError, VideoError
from workzone.types import ImageRef

SAME_DRIVE = 30.0
"""Seconds from a video's last frame to the next one's first within which a drive goes on."""

_log = logging.getLogger(__name__)


def open_videos(path: Path, store: Path, settings: FrameSettings) -> Source:
    """A video, or all below a folder.

    Args:
        path: the file or folder; class folders count as for images.
        store: where frames go.
        settings: which frames.

    Raises:
        UsageError: no videos, or a start for several.
        MissingExtraError: PyAV is not installed.
    """
    root, placed, warnings = _placed(path)
    records, more = take_frames(root, placed, store, settings)
    return Source(path.stem, len(records), lambda: iter(records), {}, (*warnings, *more))


def take_frames(
    root: Path, placed: Sequence[Placed], store: Path, settings: FrameSettings
) -> tuple[list[Record], list[str]]:
    """A record of each chosen frame, or of each video that cannot be decoded, and warnings.

    Args:
        root: where names begin.
        placed: videos below it.
        store: where frames go, a folder for each video.
        settings: which frames.

    Raises:
        UsageError: a start for several videos.
        MissingExtraError: PyAV is not installed.
    """
    if settings.start is not None and len(placed) > 1:
        raise UsageError(f"--start is of one video, but {root} holds {len(placed)}")
    drives = _Drives()
    records: list[Record] = []
    warnings: list[str] = []
    for item in progress.track(placed, "taking frames"):
        video = root / item.name
        try:
            frames = extract(video, store / item.name, settings)
        except VideoError as error:
            problem = ("unreadable", str(error))
            records.append(Record(item.name, item.name, None, problem=problem))
            continue
        warnings += [*frames.positions.warnings, *frames.remarks]
        _log.info("%s: %s%s", video, counted(len(frames.frames), "frame"), _found(frames))
        found = list(_records(item, frames, drives.group(item, frames)))
        if frames.positions.known and not any("latitude" in record.values for record in found):
            warnings.append(_apart(video, frames.positions))
        records += found
    return records, warnings


def is_frame(folder: Path, name: str) -> bool:
    """Whether an image below ``folder`` is a frame that an earlier import took of a video."""
    return (folder / name).with_name(LIST).is_file()


def _placed(path: Path) -> tuple[Path, list[Placed], list[str]]:
    """The folder that names start at, the videos, and warnings."""
    if not path.is_dir():
        return path.parent, [Placed(path.name, None, None, None)], []
    found = find_files(path)
    if not found.videos:
        images = [counted(len(found.images), "image")] if found.images else []
        raise UsageError(f"{path} holds no videos: {'; '.join([*images, found.holdings()])}")
    placed, warnings = place(found.videos, where=str(path), noun="video")
    return path, placed, [*warnings, *left_out(path, found, "videos")]


def _found(frames: Frames) -> str:
    track = frames.positions.track
    return "" if track is None else f"; {track.log}"


def _apart(video: Path, positions: Positions) -> str:
    """That a track and its video are of different times."""
    assert positions.track is not None
    track = positions.track
    begun = None if positions.start is None else iso(positions.start)
    return (
        f"{video}: no frame has a place: the positions of {track.path.name} are of other times"
        + (f" (from {iso(track.utc[0])}, the video from {begun})" if begun else "")
    )


def _records(item: Placed, frames: Frames, group: str) -> Iterator[Record]:
    for name, seconds in frames.frames:
        values: dict[str, Any] = {"label": item.label, "group": group, "split": item.split}
        extra = {"video": item.name, "offset": f"{seconds:.3f}"}
        if frames.positions.start is not None:
            moment = datetime.fromtimestamp(frames.positions.start + seconds, UTC)
            values["time"] = moment.isoformat(timespec="milliseconds")
        where = frames.positions.at(seconds)
        if where is not None and not math.isnan(where.latitude[0]):
            values["latitude"] = float(where.latitude[0])
            values["longitude"] = float(where.longitude[0])
            extra |= _motion(where.speed, where.heading)
            if where.parked[0]:
                extra["parked"] = "yes"
        yield Record(
            f"{item.name}/{name.removesuffix('.jpg')}",
            f"{item.name} at {seconds:.3f} s",
            ImageRef(str(frames.folder / name)),
            values,
            extra,
        )


def _motion(speed: Floats, heading: Floats) -> dict[str, str]:
    named = {"speed": float(speed[0]), "heading": float(heading[0])}
    return {name: f"{value:.1f}" for name, value in named.items() if not math.isnan(value)}


@dataclass
class _Drives:
    """Which group videos are in, in order of their names."""

    folder: PurePosixPath | None = None
    name: str = ""
    begun: float = math.nan
    ended: float = math.nan

    def group(self, item: Placed, frames: Frames) -> str:
        """The drive of a video: its folder below the class, where there is one; else its own, or
        the one that it goes on or shows from another side.
        """
        if item.group is not None:
            return item.group
        start = frames.positions.start
        begun = math.nan if start is None else start
        ended = begun + frames.frames[-1][1]
        folder = PurePosixPath(item.name).parent
        if folder == self.folder and self.begun - 1 <= begun <= self.ended + SAME_DRIVE:
            self.ended = max(self.ended, ended)
        else:
            self.folder, self.name, self.begun, self.ended = folder, item.name, begun, ended
        return self.name
