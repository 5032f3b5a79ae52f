"""``mapillary_image_description.json``, which mapillary-tools writes: images, and tracks of videos.

Capture times are UTC. A video's track has offsets to its first frame, and times since 1970 where
its sixth value is there. (https://github.com/mapillary/mapillary_tools)
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workzone.data.track.fixes import DAMAGED, NO_FIX, Clock, Fix, Log
from workzone.errors import TrackError

NAME = "Mapillary"
FILE = "mapillary_image_description.json"
_TIME = "%Y_%m_%d_%H_%M_%S_%f"


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The images of a description, or its one video; see `workzone.data.track.fixes.Reader`."""
    return read_video(path, head, None)


def read_video(path: Path, head: bytes, video: Path | None) -> Log | None:
    """The track of one video by name; without a name, the images or the only video.

    Raises:
        TrackError: no whole JSON, or several videos and none named.
    """
    if path.name != FILE and b'"MAP' not in head:
        return None
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise TrackError(f"{path} is no whole JSON: {error}; write it again") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise TrackError(f"{path} is no list of descriptions; write it again by mapillary_tools")
    log = Log(NAME)
    tracks = [e for e in entries if "MAPGPSTrack" in e]
    if video is not None:
        tracks = [e for e in tracks if Path(str(e.get("filename", ""))).name == video.name]
        if not tracks:
            return None
    elif len(tracks) > 1:
        raise TrackError(f"{path} describes {len(tracks)} videos; give one of them instead")
    if tracks:
        points = tracks[0]["MAPGPSTrack"]
        if not isinstance(points, list):
            raise TrackError(f"{path}: a track is no list of points; write it again")
        for point in points:
            _add(log, _point, point)
        return log
    for entry in entries:
        if "MAPLatitude" in entry:
            _add(log, _image, entry)
        else:
            log.dropped[NO_FIX] += 1
    return log


def _add(log: Log, make: Any, said: Any) -> None:
    try:
        log.fixes.append(make(said))
    except (ValueError, TypeError, LookupError, OverflowError):
        log.dropped[DAMAGED] += 1


def _point(point: list[Any]) -> Fix:
    altitude, utc = (
        float(point[n]) if len(point) > n and point[n] is not None else None for n in (3, 5)
    )
    return Fix(float(point[2]), float(point[1]), utc, float(point[0]) / 1000, altitude)


def _image(entry: dict[str, Any]) -> Fix:
    moment = datetime.strptime(entry["MAPCaptureTime"], _TIME).replace(tzinfo=UTC)
    altitude = entry.get("MAPAltitude")
    return Fix(
        float(entry["MAPLatitude"]),
        float(entry["MAPLongitude"]),
        moment.timestamp(),
        altitude=None if altitude is None else float(altitude),
        image=Path(str(entry["filename"])).name,
    )
