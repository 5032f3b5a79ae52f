"""``workzone video``: road work along videos, in tables, on a map and in pictures that move."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.console import FAILED, command, err, examples, out
from workzone.cli.data_track import WeeksOption, ZoneOption
from workzone.cli.options import (
    DeviceOption,
    EngineOption,
    EnginePrecisionOption,
    ImageOnlyFlag,
    ModelOption,
    ViewSizeOption,
    say_shipped,
)
from workzone.cli.video_options import (
    BlurFlag,
    EveryMetresOption,
    EveryOption,
    KeyframesFlag,
    RoundOption,
    SharpestFlag,
    StartOption,
    frame_settings,
    refuse_blur,
)
from workzone.data.passed_over import counted

if TYPE_CHECKING:
    from workzone.run.annotate import AnnotatedVideos

EXAMPLES_VIDEO = examples(
    "workzone video drive.mp4 -o found",
    "workzone video drive.mp4 -o found --start 2026-05-01T10:00:00Z",
    "workzone video videos/ -o found --every 0.5 --fps 8",
    "workzone video drive.mp4 -o found --every-metres 5 --round-positions 100",
)


@command
def video(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="VIDEO...", help="Videos, or folders of them.", show_default=False),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    model: ModelOption = None,
    every: EveryOption = None,
    every_metres: EveryMetresOption = None,
    keyframes: KeyframesFlag = False,
    sharpest: SharpestFlag = False,
    start: StartOption = None,
    zone: ZoneOption = None,
    add_weeks: WeeksOption = None,
    fps: Annotated[
        float,
        typer.Option(
            help="Pictures a second of the annotated video, one for each frame that was scored: "
            "with a frame a second, so many times as fast as it was driven."
        ),
    ] = 4.0,
    round_positions: RoundOption = None,
    blur: BlurFlag = False,
    share: Annotated[
        float | None,
        typer.Option(
            help="Share of frames with road work, for which probabilities are to hold.",
            show_default="the model's own",
        ),
    ] = None,
    size: ViewSizeOption = None,
    image_only: ImageOnlyFlag = False,
    engine: EngineOption = None,
    precision: EnginePrecisionOption = None,
    device: DeviceOption = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find road work along videos: frames, scores, segments, the way driven, and an annotated video.

    The folder then holds scores.parquet, with time and place where they are known;
    smoothed.parquet, each frame in the light of the others; segments.csv and segments.geojson,
    where road work begins and ends; track.gpx; NAME.annotated.mp4 of each video; and frames/, with
    a manifest. What is there is not made again.
    """  # noqa: E501
    from workzone.run.annotate import annotate_videos
    from workzone.run.model_choice import ModelChoice

    refuse_blur(blur)
    settings = frame_settings(every, every_metres, keyframes, sharpest, start, zone, add_weeks)
    say_shipped(model)
    choice = ModelChoice(
        model=model, engine=engine, precision=precision, device=device, size=size, share=share
    )
    made = annotate_videos(
        choice.load(),
        sources,
        output,
        settings=settings,
        metres=round_positions,
        rate=fps,
        image_only=image_only,
    )
    for remark in made.remarks:
        err.print(remark, style="yellow", markup=False, soft_wrap=True)
    _show(made, as_json=as_json)
    if made.unreadable and not made.frames:
        raise typer.Exit(FAILED)


def _show(made: AnnotatedVideos, *, as_json: bool) -> None:
    if as_json:
        told = asdict(made) | {"folder": str(made.folder), "files": [str(f) for f in made.files]}
        typer.echo(json.dumps(told))
        return
    segments = "" if made.segments is None else f" in {counted(made.segments, 'segment')}"
    lines = [
        f"{counted(made.videos, 'video')}, {counted(made.frames, 'frame')}, "
        f"{made.roadwork:,} with road work{segments}",
        *(f"- {file}" for file in made.files),
    ]
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    if made.unreadable:
        err.print(f"{made.unreadable:,} could not be read", style="yellow", markup=False)
