"""The command that users meet first: predict."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.console import FAILED, command, err, examples, out, print_whole
from workzone.cli.data_track import WeeksOption, ZoneOption
from workzone.cli.options import (
    AUTO_SHARE,
    DeviceOption,
    EngineOption,
    EnginePrecisionOption,
    ImageOnlyFlag,
    LooksOption,
    ModelOption,
    ShareOption,
    TestTimeOption,
    UnsureChoice,
    UnsureOption,
    ViewSizeOption,
    WeightsOption,
    say_doubts,
    say_share,
    say_shipped,
    with_share,
)
from workzone.cli.video_options import (
    BlurFlag,
    EveryMetresOption,
    EveryOption,
    KeyframesFlag,
    RoundOption,
    SharpestFlag,
    StartOption,
    find_with_frames,
    frame_settings,
    refuse_blur,
)
from workzone.data.passed_over import counted

if TYPE_CHECKING:
    from workzone.cli.results import Shown
    from workzone.errors import ImageError
    from workzone.run.predictor import Predictor
    from workzone.run.sources import Found
    from workzone.serve.remote import RemotePredictor
    from workzone.types import Prediction

TABLE_ROWS = 40
"""Longer results go to a file; the terminal gets the first rows."""

EXAMPLES_PREDICT = examples(
    "workzone predict street.jpg",
    "workzone predict street.jpg --size 768",
    "workzone predict one.jpg two.jpg dashcam/",
    "curl -s https://example.org/street.jpg | workzone predict -",
    "workzone predict street.jpg --model model",
    "workzone predict street.jpg --model model --explain overlays",
    "workzone predict street.jpg --model model --masks outlines",
    "workzone predict street.jpg --model model --tta 4",
    "workzone predict dashcam/ --model model -o scores.parquet",
    "workzone predict drive.mp4 --every 2 -o scores.parquet",
    "workzone predict dashcam/ --server http://localhost:8080 -o scores.parquet",
    "workzone predict dashcam/ --share auto -o scores.parquet",
    "workzone predict dashcam/ --unsure abstain -o scores.parquet",
    "workzone predict dashcam/ --model model --json | jq .probability",
    "workzone predict manifest.parquet --model model --image-only -o scores.csv",
)


@command
def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            help="Images, videos, folders of them, or a manifest; - is one image from standard "
            "input.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write to this .jsonl, .csv or .parquet file, or into a folder of parquet parts.",
        ),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder for overlays that show where the evidence lies."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder for pictures with objects outlined, and objects.jsonl, coco.json and "
            "pixels.geojson; of a model with a mask head.",
        ),
    ] = None,
    image_only: ImageOnlyFlag = False,
    tta: TestTimeOption = None,
    looks: LooksOption = None,
    size: ViewSizeOption = None,
    share: ShareOption = None,
    unsure: UnsureOption = UnsureChoice.OFF,
    engine: EngineOption = None,
    precision: EnginePrecisionOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Have a running `workzone serve` judge, such as http://localhost:8080; a token is "
            "taken from WORKZONE_TOKEN.",
        ),
    ] = None,
    every: EveryOption = None,
    every_metres: EveryMetresOption = None,
    keyframes: KeyframesFlag = False,
    sharpest: SharpestFlag = False,
    start: StartOption = None,
    zone: ZoneOption = None,
    add_weeks: WeeksOption = None,
    round_positions: RoundOption = None,
    blur: BlurFlag = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print JSON lines, one object per image (id, error and code if it cannot be "
            "read); with -o, the summary as JSON.",
        ),
    ] = False,
) -> None:
    """Say of images whether there is road work in them.

    With -o, folders of any size are streamed (`workzone bulk` takes a process per core, or a
    cluster), a stopped job goes on where it was, and images that
    cannot be read are listed in OUTPUT.quarantine.csv. Above 0.5 is road work. Of videos a frame a
    second is scored, with its time and place.

    A model that was trained with metadata uses those of a manifest, row by row; where nothing is
    known, in folders, and with --image-only it looks at the image alone. `inputs` says which.

    The model that comes with workzone is calibrated for as many images with road work as without.
    Where it is rarer, say how rare with --share, or let all of the images tell it: --share auto.
    """
    from workzone.errors import UsageError
    from workzone.run.explaining import explain_each
    from workzone.run.model_choice import ModelChoice
    from workzone.run.predictor import Predictor

    refuse_blur(blur)
    if not sources:
        raise UsageError(
            "name an image, several, a folder or a manifest, such as: workzone predict street.jpg; "
            "- reads one image from standard input; --help tells more"
        )
    settings = frame_settings(every, every_metres, keyframes, sharpest, start, zone, add_weeks)
    found = find_with_frames(sources, output, settings, round_positions)
    missed = found.passed_over.missed or found.remarks
    for note in found.notes():
        err.print(note, style="yellow" if missed else "dim", markup=False, soft_wrap=True)
    predictor: Predictor | RemotePredictor
    if server is not None:
        chosen = {
            "--model": model, "--tta": tta, "--looks": looks, "--size": size, "--share": share,
            "--engine": engine, "--precision": precision, "--weights": weights, "--masks": masks,
            "--unsure": None if unsure == UnsureChoice.OFF else unsure,
            "--device": None if device == "cpu" else device,
        }  # fmt: skip
        predictor = _remote(server, [n for n, value in chosen.items() if value is not None])
    else:
        say_shipped(model)
        loaded = ModelChoice(
            model=model,
            engine=engine,
            precision=precision,
            weights=weights,
            device=device,
            size=size,
            tta=tta,
            looks=looks,
            unsure=unsure.value,
        ).load()
        say_doubts(loaded.description, unsure)
        predictor = loaded.described(with_share(loaded.description, share))
        if masks is not None:
            predictor.description.check_masks()  # before anything is scored
    auto = share == AUTO_SHARE
    found_share: float | None = None
    results: Iterable[tuple[str, Shown | ImageError]] = ()
    if output is not None:
        scored, bad, found_share = _write(predictor, found, output, image_only, auto, as_json)
    elif auto or (explain is None and masks is None):
        results, found_share = _scored(predictor, found, image_only=image_only, auto=auto)
    if found_share is not None and isinstance(predictor, Predictor):
        predictor = predictor.described(predictor.description.with_share(found_share))
    if explain is not None:
        explained = explain_each(predictor, found, explain, image_only=image_only)
        if output is None and not auto and masks is None:
            results = _shown(explained)
        else:
            _run(explained)
    if masks is not None and isinstance(predictor, Predictor):
        outlined = _outlined(predictor, found, masks, image_only)
        if output is None:
            results = outlined  # these have the objects too
        else:
            _run(outlined)
    if output is None:
        scored, bad = _print_each(results, as_json=as_json, takes_metadata=predictor.takes_metadata)
    if found_share is not None:
        say_share(found_share, scored)
    if explain is not None:
        err.print(f"{counted(scored, 'overlay')} in {explain}", markup=False, soft_wrap=True)
    if bad and not scored:
        raise typer.Exit(FAILED)


def _remote(url: str, chosen: list[str]) -> RemotePredictor:
    """A service in place of a model.

    Raises:
        UsageError: options beside it that are the service's to choose.
        ServerError: it cannot be reached, or refuses.
    """
    from workzone.errors import UsageError
    from workzone.serve.client import Client
    from workzone.serve.remote import RemotePredictor

    if chosen:
        raise UsageError(
            f"{', '.join(chosen)}: the service at {url} chose that when it was started; leave it "
            "out, or leave out --server"
        )
    return RemotePredictor(Client(url, token=os.environ.get("WORKZONE_TOKEN")))


def _run(results: Iterable[object]) -> None:
    for _ in results:
        pass


def _shown(
    results: Iterable[tuple[str, Prediction | ImageError]],
) -> Iterator[tuple[str, Shown | ImageError]]:
    from workzone.cli.results import Shown
    from workzone.errors import ImageError

    for name, result in results:
        yield name, result if isinstance(result, ImageError) else Shown(result)


def _outlined(
    predictor: Predictor, found: Found, folder: Path, image_only: bool
) -> Iterator[tuple[str, Shown | ImageError]]:
    """Decide and outline; at the end say where everything is."""
    from workzone.cli.results import Shown
    from workzone.errors import ImageError
    from workzone.run.outlining import outline_each

    kept = 0
    for name, result in outline_each(predictor, found, folder, image_only=image_only):
        if isinstance(result, ImageError):
            yield name, result
        else:
            kept += result.kept
            yield name, Shown(result.prediction, result.evidence)
    there = f" ({counted(kept, 'image')} had them already)" if kept else ""
    err.print(f"objects and their outlines in {folder}{there}", markup=False, soft_wrap=True)


def _write(
    predictor: Predictor | RemotePredictor,
    found: Found,
    output: Path,
    image_only: bool,
    auto: bool,
    as_json: bool,
) -> tuple[int, int, float | None]:
    """Score into a file and say so; how many were scored, were not, and the share found."""
    from workzone.cli.results import say_summary
    from workzone.run.bulk import predict_many

    summary = predict_many(predictor, found, output, image_only=image_only, find_share=auto)
    say_summary(summary, as_json=as_json)
    return summary.scored, summary.quarantined, summary.share


def _scored(
    predictor: Predictor | RemotePredictor, found: Found, *, image_only: bool, auto: bool
) -> tuple[Iterable[tuple[str, Shown | ImageError]], float | None]:
    """Results as they come, or, where the share of road work is to be found, once all are there."""
    from workzone.errors import ImageError
    from workzone.run.bulk import stream
    from workzone.run.predictor import Predictor
    from workzone.run.scorer import Judged, Scorer
    from workzone.run.share import at_estimated_share

    scorer: Scorer[Judged] = predictor
    results: Iterable[tuple[str, Judged | ImageError]]
    results, share = stream(scorer, found, image_only=image_only), None
    if auto:
        assert isinstance(predictor, Predictor)  # a service has its own share
        scored = list(stream(predictor, found, image_only=image_only))
        results, share = at_estimated_share(scored)
    predictions = (
        (name, result if isinstance(result, ImageError) else result.prediction)
        for name, result in results
    )
    return _shown(predictions), share


def _print_each(
    results: Iterable[tuple[str, Shown | ImageError]], *, as_json: bool, takes_metadata: bool
) -> tuple[int, int]:
    """Print results: JSON lines as they come; else a sentence, or a table of several, at the end.

    Returns:
        How many images were scored, and how many could not be read.
    """
    from workzone.cli.results import table_of
    from workzone.errors import ImageError
    from workzone.report.answer import printable, sentence
    from workzone.run.result_rows import flat, flat_error

    shown: list[tuple[str, Shown]] = []
    good = bad = 0
    for name, result in results:
        if isinstance(result, ImageError):
            bad += 1
            # Not by rich: it would break the bar.
            sys.stderr.write(f"not scored: {printable(str(result))}\n")
            if as_json:
                sys.stdout.write(json.dumps(flat_error(name, result)) + "\n")
            continue
        good += 1
        if as_json:
            row = flat(result.prediction)
            row |= {} if result.objects is None else {"evidence": result.objects}
            sys.stdout.write(json.dumps(row, allow_nan=False) + "\n")
        elif good <= TABLE_ROWS:
            shown.append((name, result))
    if good == 1 and not as_json:
        ((name, one),) = shown
        name = "standard input" if name == "-" else name
        text = sentence(name, one.prediction, takes_metadata=takes_metadata, objects=one.objects)
        out.print(text, markup=False, highlight=False, soft_wrap=True)
    elif shown:
        width = out.width if out.is_terminal else None
        table = table_of(shown, width=width, takes_metadata=takes_metadata)
        print_whole(table)
        if good > TABLE_ROWS:
            out.print(f"... and {good - TABLE_ROWS:,} more; write them all with -o scores.csv")
    return good, bad
