"""Which frames of a video: one of each window of time or way, the first or the sharpest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from workzone.data.video.decode import Decoded
from workzone.errors import UsageError

Window = tuple[str, int]

_ROUNDING = 1e-6  # seconds or metres: 0.3 / 0.1 is below 3


@dataclass(frozen=True, slots=True)
class FrameSettings:
    """Which frames are taken, and how their places and times are told.

    ``seconds``, ``metres``: how far apart frames are; metres count where the track knows the way,
    seconds elsewhere. ``zone``, ``weeks``: see `workzone.data.track.reading.read_track`.
    ``start``: the moment of the first frame, for a log that is beside the video.
    """

    seconds: float = 1.0
    metres: float | None = None
    keyframes: bool = False
    sharpest: bool = False
    zone: tzinfo | None = None
    weeks: int | None = None
    start: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: a distance that is not above 0, or a start without zone.
        """
        for name in ("seconds", "metres"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} between frames must be above 0, got {value}")
        if self.start is not None and self.start.tzinfo is None:
            raise UsageError(
                f"the start {self.start.isoformat()} names no zone; write it as "
                f"{self.start.isoformat()}Z, or +02:00 for Z"
            )

    def check_videos(self, where: str, number: int) -> None:
        """Refuse a start for more than one video.

        Args:
            where: they are, for the message.
            number: of videos.

        Raises:
            UsageError: there is a start, and several videos.
        """
        if self.start is not None and number > 1:
            raise UsageError(
                f"--start is of one video, but {where} holds {number}; take them one by one, each "
                "with its own"
            )


def windows(
    settings: FrameSettings, metres_at: Callable[[float], float] | None
) -> Callable[[float], Window]:
    """Which window a second of the video is in.

    Args:
        settings: how far apart frames are.
        metres_at: the way driven until some second, NaN where it is not known; None where there is
            no track.
    """

    def window(seconds: float) -> Window:
        if settings.metres is not None and metres_at is not None:
            metres = metres_at(seconds)
            if not math.isnan(metres):
                return "metres", math.floor((metres + _ROUNDING) / settings.metres)
        return "seconds", math.floor((seconds + _ROUNDING) / settings.seconds)

    return window


def choose(
    frames: Iterable[Decoded],
    window: Callable[[float], Window],
    sharpness: Callable[[Decoded], float] | None,
) -> Iterator[Decoded]:
    """One frame of each window, as soon as it is known.

    Args:
        frames: in order.
        window: of a second.
        sharpness: how good a frame is; None: the first of each window is taken.
    """
    current: Window | None = None
    best: tuple[float, Decoded] | None = None
    for decoded in frames:
        found = window(decoded.seconds)
        if found != current:
            if best is not None:
                yield best[1]
            current, best = found, None
            if sharpness is None:
                yield decoded
        if sharpness is not None:
            value = sharpness(decoded)
            if best is None or value > best[0]:
                best = value, decoded
    if best is not None:
        yield best[1]
