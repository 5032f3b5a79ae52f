"""Where and when each frame was taken: the video's own time line against its track's."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from workzone.data.track.files import iso
from workzone.data.track.reading import read_track
from workzone.data.track.track import Places, Track
from workzone.data.video.choose import FrameSettings
from workzone.errors import TrackError

_AGREES = 1.0  # seconds between a stated start and that of GPS
_FITS = 2.0  # seconds by which a log that was made with a video may be longer or shorter


@dataclass
class Positions:
    """A video's track, if it has one, and when its first frame was taken.

    ``start``: seconds since 1970, None where nothing tells it. ``warnings``: why something is not
    known.
    """

    track: Track | None = None
    start: float | None = None
    warnings: list[str] = field(default_factory=list)

    def at(self, seconds: float) -> Places | None:
        """Where the camera was at a second of the video; None without a track that fits it."""
        if self.track is None:
            return None
        if self.track.axis == "offset":
            return self.track.at(seconds)
        return None if self.start is None else self.track.at(self.start + seconds)

    def metres(self, seconds: float) -> float:
        """Metres driven until a second of the video; NaN where that is not known."""
        found = self.at(seconds)
        return math.nan if found is None else float(found.metres[0])

    @property
    def known(self) -> bool:
        """Whether frames have places."""
        return self.track is not None and (self.track.axis == "offset" or self.start is not None)


def positions_of(video: Path, duration: float | None, settings: FrameSettings) -> Positions:
    """The track within or beside a video, and how the two fit.

    A log beside the video counts time by GPS alone. When the first frame was taken is what
    ``settings.start`` says; else, a log that is named as the video and lasts as long began with it.

    Args:
        video: the file.
        duration: its seconds, if known.
        settings: zone, weeks and start.
    """
    found = Positions(start=None if settings.start is None else settings.start.timestamp())
    try:
        track = read_track(video, zone=settings.zone, weeks=settings.weeks)
    except TrackError as error:
        found.warnings.append(str(error))
        return found
    found.track = track
    found.warnings += [f"{video}: {note}" for note in track.log.notes]
    if track.axis == "offset":
        _take_own_time(found, track, video)
    elif found.start is None:
        _take_begin_of(found, track, video, duration)
    return found


def _take_own_time(found: Positions, track: Track, video: Path) -> None:
    """The moment of the first frame by the positions within the video, which are surer."""
    if np.isnan(track.utc).any():
        return
    own = float(np.median(track.utc - track.offset))
    if found.start is not None and abs(found.start - own) > _AGREES:
        found.warnings.append(
            f"{video}: by its own positions it began at {iso(own)}, and not when --start says; "
            "their time is taken"
        )
    found.start = own


def _take_begin_of(found: Positions, track: Track, video: Path, duration: float | None) -> None:
    """The begin of a log that lasts as long as the video."""
    span = float(track.utc[-1] - track.utc[0])
    if duration is not None and abs(span - duration) <= _FITS:
        found.start = float(track.utc[0])
        found.warnings.append(
            f"{video}: {track.path.name} lasts as long as the video, and is taken to begin with "
            "it; --start says otherwise"
        )
    else:
        found.warnings.append(
            f"{video}: nothing tells when it began, so its frames have no place and time from "
            f"{track.path.name}; say it by --start, such as --start 2026-05-01T10:00:00Z"
        )
