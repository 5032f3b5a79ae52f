"""GPX 1.0 and 1.1 (https://www.topografix.com/GPX/1/1/): the points of all tracks in a file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from workzone.data.track.fixes import DAMAGED, NO_TIME, Clock, Fix, Log
from workzone.errors import TrackError

NAME = "GPX"


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The points of all tracks; see `workzone.data.track.fixes.Reader`."""
    if b"<gpx" not in head:
        return None
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise TrackError(f"{path} defines entities, which no GPX does; write it anew")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314  # no entities, see above
    except ElementTree.ParseError as error:
        raise TrackError(f"{path} is no whole XML: {error}; write or copy it again") from error
    log = Log(NAME)
    zoneless = 0
    for point in root.iter():
        if _name(point) != "trkpt":
            continue
        said = {_name(part): (part.text or "").strip() for part in point}
        if not said.get("time"):
            log.dropped[NO_TIME] += 1
            continue
        try:
            place = float(point.get("lat", "")), float(point.get("lon", ""))
            utc = clock.read(said["time"])
            altitude = float(said["ele"]) if said.get("ele") else None
        except ValueError:
            log.dropped[DAMAGED] += 1
            continue
        if utc is None:
            zoneless += 1
        else:
            log.fixes.append(Fix(*place, utc, altitude=altitude))
    refuse_zoneless(path, zoneless)
    return log


def refuse_zoneless(path: Path, count: int) -> None:
    """Refuse times that no zone was stated for, in a log that has nothing else to go by.

    Raises:
        TrackError: there are some.
    """
    if count:
        raise TrackError(
            f"{path}: {count:,} times name no zone; say it, such as --zone UTC or "
            "--zone Europe/Berlin"
        )


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
