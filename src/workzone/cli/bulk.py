"""Images by the million: bulk."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import FAILED, command, err, examples
from workzone.cli.data_track import WeeksOption, ZoneOption
from workzone.cli.options import (
    DeviceOption,
    EngineOption,
    EnginePrecisionOption,
    ImageOnlyFlag,
    LooksOption,
    ModelOption,
    TestTimeOption,
    UnsureChoice,
    UnsureOption,
    ViewSizeOption,
    WeightsOption,
    say_doubts,
    say_shipped,
)
from workzone.cli.results import say_summary
from workzone.cli.video_options import (
    EveryMetresOption,
    EveryOption,
    KeyframesFlag,
    RoundOption,
    SharpestFlag,
    StartOption,
    find_with_frames,
    frame_settings,
)

EXAMPLES_BULK = examples(
    "workzone bulk dashcam/ -o scores",
    "workzone bulk videos/ -o scores --every 2",
    "workzone bulk manifest.parquet -o scores --estimate",
    "workzone bulk shards/*.tar -o scores --workers 8",
    "workzone bulk s3://fleet/2026-11-30/ -o scores --ray head:6379",
    "workzone bulk manifest.parquet -o scores --since 2026-11-01 --sample 10000",
)


@command
def bulk(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders of images and videos, manifests, tar or zip archives, parquet files with "
            "images inside; at addresses (s3://, gs://, az://, hdfs://) folders of images, tars, "
            "parquet files and manifests.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for parts of parquet; or a .parquet, .csv or .jsonl file.",
        ),
    ],
    model: ModelOption = None,
    ray: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Of a Ray cluster that this machine belongs to, such as head:6379, or auto; "
            "local starts one on this machine alone.",
        ),
    ] = "local",
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|MIN:MAX",
            help="Processes that judge, each on a core or a GPU of its own (default: one per core; "
            "on a cluster as many as it has room for).",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many images.")] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many images, drawn at random; the same ones each time."),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
            help="Only images taken then or later, as a manifest says; without a zone it is UTC.",
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say how long it would take, and stop.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try images again that could not be read before.")
    ] = False,
    part_rows: Annotated[
        int | None,
        typer.Option(min=1, help="Images in one part of the output folder (default: 50,000)."),
    ] = None,
    image_only: ImageOnlyFlag = False,
    tta: TestTimeOption = None,
    looks: LooksOption = None,
    size: ViewSizeOption = None,
    share: Annotated[
        float | None,
        typer.Option(help="Share of images with road work, for which probabilities are to hold."),
    ] = None,
    unsure: UnsureOption = UnsureChoice.OFF,
    engine: EngineOption = None,
    precision: EnginePrecisionOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    every: EveryOption = None,
    every_metres: EveryMetresOption = None,
    keyframes: KeyframesFlag = False,
    sharpest: SharpestFlag = False,
    start: StartOption = None,
    zone: ZoneOption = None,
    add_weeks: WeeksOption = None,
    round_positions: RoundOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score images by the million, each once, on this machine or a Ray cluster.

    It is the job of `workzone predict -o`, with a process per core or GPU: the same rows, and the
    same way to go on. Kill it at any time, workers and machines too; the same command goes on where
    it was. Into a folder, run again it does nothing, but for images that are new or were replaced.
    Images that cannot be read are listed with the reason.

    A folder as output holds part-00000.parquet and so on, which pyarrow, pandas, DuckDB and Spark
    read as one table, with time and place where a manifest tells them (GeoParquet); _job.json says
    which model made it, and _quarantine.csv what could not be read.
    """
    from workzone.run.bulk import PART_ROWS, BulkJob
    from workzone.run.estimate import Estimate, seconds_each
    from workzone.run.model_choice import ModelChoice
    from workzone.run.on_ray import Actors, RayScorer, folders_to_see
    from workzone.run.selection import select_images

    actors = Actors(ray, *_workers(workers))
    settings = frame_settings(every, every_metres, keyframes, sharpest, start, zone, add_weeks)
    found = select_images(
        find_with_frames(sources, output, settings, round_positions),
        since=since,
        sample=sample,
        limit=limit,
    )
    for note in found.notes():
        err.print(note, style="dim", markup=False, soft_wrap=True)
    say_shipped(model)
    choice = ModelChoice(
        model=model,
        engine=engine,
        precision=precision,
        weights=weights,
        device=device,
        size=size,
        tta=tta,
        looks=looks,
        share=share,
        unsure=unsure.value,
    ).absolute()
    predictor = choice.load()
    say_doubts(predictor.description, unsure)
    job = BulkJob(predictor, found, output, image_only=image_only, retry=retry)
    left = job.left()
    if not left:
        if estimate:
            err.print("nothing is left to be scored", markup=False)
            if as_json:
                typer.echo(json.dumps({"images": 0}))
            return
        summary = job.run(part_rows=part_rows or PART_ROWS)
    else:
        seconds = seconds_each(predictor, left, image_only=image_only)
        scorer = RayScorer(
            choice,
            predictor,
            actors,
            seconds_each=seconds,
            remote=found.remote,
            folders=folders_to_see(item for _, item in left),
        )
        with scorer.running() as (_, most, machines):
            cost = Estimate(len(left), seconds, most, machines)
            err.print(str(cost), markup=False, soft_wrap=True)
            if estimate:
                if as_json:
                    typer.echo(json.dumps(cost.as_json()))
                return
            summary = job.run(scorer, part_rows=part_rows or PART_ROWS)
    say_summary(summary, as_json=as_json)
    if summary.quarantined and not summary.scored:
        raise typer.Exit(FAILED)


def _workers(text: str | None) -> tuple[int | None, int | None]:
    """The fewest and the most processes.

    Raises:
        UsageError: neither a number nor two.
    """
    from workzone.errors import UsageError

    if text is None:
        return None, None
    few, colon, most = text.partition(":")
    if not few.isdecimal() or (colon and not most.isdecimal()):
        raise UsageError(f"--workers {text!r}: give a number, such as 8, or two, such as 4:64")
    return int(few), int(most) if colon else int(few)
