"""70mai: ``GPSData000001.txt`` on the card, a line for each second of each video.

A line holds a number of seconds, ``A`` (or ``V`` without fix), latitude, longitude, heading, speed,
three accelerations and the name of the video. The seconds look like Unix time, but run eight hours
behind it in the logs that users published: the camera takes its clock for China's. So the time is
held against the one in the video's name, which is local, by the zone that is stated. Lines that do
not fit are dropped; where none fits, the zone is wrong.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from workzone.data.track.fixes import DAMAGED, NO_FIX, Clock, Fix, Log
from workzone.errors import TrackError

NAME = "70mai"
NO_ZONE = (
    "its clock is no UTC and names no zone, so its fixes have no time: say the zone that the "
    "camera shows, such as --zone Europe/Berlin"
)
_BEHIND = (28_800, 0)  # seconds by which the log may be behind UTC
_SLACK = 900  # seconds: a video's length, and the difference of two clocks
_QUARTER = 900  # all zones are whole quarters of an hour from UTC
_MISFIT = "of other times than their video"
_NAME = re.compile(r"(?:NO|EV|PA|LA|TL)(\d{8}-\d{6})-(\d+)[FB]?", re.IGNORECASE)
_ROW = re.compile(rb"^\d{1,12},[AV],-?[\d.]+,-?[\d.]+,", re.MULTILINE)


class _MisfitError(Exception):
    """A line whose time cannot be that of its video."""


def is_video_of(path: Path) -> bool:
    """Whether a video is named as 70mai's cameras do."""
    return _NAME.fullmatch(path.stem) is not None


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The positions of all videos in a log; see `workzone.data.track.fixes.Reader`."""
    return read_video(path, head, clock, None)


def read_video(path: Path, head: bytes, clock: Clock, video: Path | None) -> Log | None:
    """Those of one video, with offsets to its first frame; front and rear count as one."""
    if b"\0" in head or not (head.startswith(b"$V0") or _ROW.search(head)):
        return None
    wanted = _key(video.stem) if video is not None else None
    log = Log(NAME)
    misfit = None
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(",")
        name = fields[9].rpartition(".")[0] if len(fields) > 9 else ""
        if line.startswith("$") or not line.strip():
            continue
        if wanted is not None and _key(name) != wanted:
            continue
        if len(fields) < 10 or fields[1] not in ("A", "V"):
            log.dropped[DAMAGED] += 1
        elif fields[1] == "V":
            log.dropped[NO_FIX] += 1
        else:
            try:
                log.fixes.append(_fix(fields, name, clock, wanted is not None))
            except _MisfitError as error:
                misfit = misfit or error
                log.dropped[_MISFIT] += 1
            except ValueError:
                log.dropped[DAMAGED] += 1
    if misfit is not None and not log.fixes:
        raise TrackError(f"{path}: {misfit}. State the zone that the camera showed.")
    if clock.zone is None and log.fixes:
        log.note(NO_ZONE)
    return log


def _fix(fields: list[str], name: str, clock: Clock, of_video: bool) -> Fix:
    seconds = float(fields[0])
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} names no video")
    began = datetime.strptime(found[1], "%Y%m%d-%H%M%S")
    offset = (seconds - began.replace(tzinfo=UTC).timestamp()) % _QUARTER
    if offset > _QUARTER - 5:  # named after its first seconds
        offset -= _QUARTER
    start = clock.utc(began)
    utc = None
    if start is not None:
        behind = next((b for b in _BEHIND if abs(seconds + b - start) < _SLACK), None)
        if behind is None:
            raise _MisfitError(
                f"its clock at {fields[0]} does not fit the video {name}: in the stated zone that "
                f"began at {datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S} UTC"
            )
        utc = seconds + behind
    return Fix(float(fields[2]), float(fields[3]), utc, offset if of_video else None)


def _key(stem: str) -> str | None:
    found = _NAME.fullmatch(stem)
    return f"{found[1]}-{found[2]}" if found else None
