"""Options that commands share which take videos, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.data_track import parse_zone
from workzone.errors import UsageError

if TYPE_CHECKING:
    from workzone.data.video.choose import FrameSettings
    from workzone.run.sources import Found
    from workzone.run.videos import VideoFrames

_PANEL = "Videos"

EveryOption = Annotated[
    float | None,
    typer.Option(help="Seconds between frames.", show_default="1", rich_help_panel=_PANEL),
]
EveryMetresOption = Annotated[
    float | None,
    typer.Option(
        help="Metres between frames instead, where the track knows the way.",
        rich_help_panel=_PANEL,
    ),
]
KeyframesFlag = Annotated[
    bool,
    typer.Option(
        "--keyframes",
        help="Take key frames only: many times faster, and not when you ask for them.",
        rich_help_panel=_PANEL,
    ),
]
SharpestFlag = Annotated[
    bool,
    typer.Option(
        "--sharpest",
        help="Take the sharpest frame of each stretch, not its first.",
        rich_help_panel=_PANEL,
    ),
]
StartOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="When the video's first frame was taken, such as 2026-05-01T10:00:00Z, for a "
        "track beside it.",
        rich_help_panel=_PANEL,
    ),
]
RoundOption = Annotated[
    float | None,
    typer.Option(
        "--round-positions",
        metavar="METRES",
        help="Move positions to the nearest point of a grid of so many metres, wherever they are "
        "written.",
    ),
]
BlurFlag = Annotated[
    bool,
    typer.Option(
        "--blur", help="Faces and number plates in pictures written out: refused, and says why."
    ),
]


def frame_settings(
    every: float | None,
    every_metres: float | None,
    keyframes: bool,
    sharpest: bool,
    start: str | None,
    zone: str | None,
    weeks: int | None,
) -> FrameSettings | None:
    """Which frames the options ask for; None where none of them is given.

    Raises:
        UsageError: a time or zone that is none, or a distance that is not above 0.
    """
    asked = (every, every_metres, start, zone, weeks, keyframes or None, sharpest or None)
    if all(value is None for value in asked):
        return None
    from datetime import datetime

    from workzone.data.video.choose import FrameSettings

    stated = parse_zone(zone)
    try:
        begun = None if start is None else datetime.fromisoformat(start)
    except ValueError as error:
        raise UsageError(
            f"--start {start!r} is no time; write it as 2026-05-01T10:00:00Z"
        ) from error
    if begun is not None and begun.tzinfo is None and stated is not None:
        begun = begun.replace(tzinfo=stated)
    return FrameSettings(
        1.0 if every is None else every, every_metres, keyframes, sharpest, stated, weeks, begun
    )


def find_with_frames(
    sources: list[str],
    output: Path | None,
    settings: FrameSettings | None,
    metres: float | None,
) -> Found:
    """The images of sources, and frames of videos, which go beside the output.

    Raises:
        UsageError: options of videos and positions without an output; see
            :func:`workzone.run.sources.find_images`.
    """
    from workzone.run.sources import find_images
    from workzone.run.videos import frames_beside

    frames: VideoFrames | None = None
    if output is not None:
        frames = frames_beside(output, settings, metres)
    elif settings is not None or metres is not None:
        raise UsageError(
            "options of videos and --round-positions are for what is written: name it, such as "
            "-o scores.parquet"
        )
    return find_images(sources, frames)


def refuse_blur(blur: bool) -> None:
    """Refuse to blur, rather than to blur some and have it taken for privacy.

    Raises:
        UsageError: it was asked for.
    """
    if blur:
        raise UsageError(
            "--blur: no detector of faces and of number plates is to be had that is free to use, "
            "kept up, and comes whole with a package, and blurring faces alone is no privacy. Blur "
            "the images or the video first, for example with EgoBlur (Apache-2.0, both kinds; "
            "docs/score/video.md), look at the result, and give that to workzone"
        )
