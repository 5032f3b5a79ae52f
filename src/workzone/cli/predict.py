"""The command that users meet first: predict."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from workzone.cli.console import FAILED, command, err, examples, out
from workzone.cli.options import (
    AUTO_SHARE,
    DeviceOption,
    ModelOption,
    ShareOption,
    TestTimeOption,
    ViewSizeOption,
    WeightsOption,
    model_folder,
    say_share,
    with_share,
)

if TYPE_CHECKING:
    from workzone.run.predictor import Predictor, Scored

TABLE_ROWS = 40
"""Longer results go to a file; the terminal gets the first rows."""
_OUTSIDE = ""
"""In place of a first folder: the id leads out of any folder it is joined to."""
_LONGEST_NAME = 200
"""In bytes; file systems take 255, and the overlay's name is longer than the image's."""


EXAMPLES_PREDICT = examples(
    "workzone predict street.jpg",
    "workzone predict street.jpg --size 768",
    "workzone predict street.jpg --model model",
    "workzone predict street.jpg --model model --explain overlays",
    "workzone predict street.jpg --model model --tta 4",
    "workzone predict dashcam/ --model model -o scores.parquet",
    "workzone predict dashcam/ --share auto -o scores.parquet",
    "workzone predict dashcam/ --model model --json | jq .probability",
    "workzone predict manifest.parquet --model model --image-only -o scores.csv",
)


@command
def predict(
    source: Annotated[Path, typer.Argument(help="An image, a folder of images, or a manifest.")],
    model: ModelOption = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this .jsonl, .csv or .parquet file."),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder for overlays that show where the evidence lies."),
    ] = None,
    image_only: Annotated[
        bool,
        typer.Option(
            "--image-only",
            help="Do not use the manifest's metadata, with a model that was trained with such.",
        ),
    ] = False,
    tta: TestTimeOption = None,
    size: ViewSizeOption = None,
    share: ShareOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
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

    With -o, folders of any size are streamed, a stopped job goes on where it was, and images that
    cannot be read are listed in OUTPUT.quarantine.csv. Above 0.5 is road work.

    A model that was trained with metadata uses those of a manifest, row by row; where nothing is
    known, in folders, and with --image-only it looks at the image alone. `inputs` says which.

    The model that comes with workzone is calibrated for as many images with road work as without.
    Where it is rarer, say how rare with --share, or let all of the images tell it: --share auto.
    """
    from workzone.run.bulk import predict_many
    from workzone.run.predictor import Predictor, load

    predictor = load(model_folder(model), weights=weights, device=device)
    bundle = with_share(predictor.bundle.with_test_time(tta).with_view_size(size), share)
    predictor = Predictor(bundle, predictor.backbone)
    find_share = share == AUTO_SHARE
    if output is not None:
        summary = predict_many(
            predictor, source, output, image_only=image_only, find_share=find_share
        )
        found = summary.share
        scored, bad = summary.scored, summary.quarantined
        if as_json:
            typer.echo(json.dumps({k: _plain(v) for k, v in asdict(summary).items()}))
        else:
            out.print(
                f"{scored:,} images scored ({summary.resumed:,} results were there), "
                f"{summary.roadwork:,} with road work: {summary.output}",
                markup=False,
                soft_wrap=True,
            )
        if bad:
            err.print(
                f"{bad:,} could not be read: {summary.quarantine}",
                style="yellow",
                markup=False,
                soft_wrap=True,
            )
    else:
        scored, bad, found = _print_each(
            predictor, source, image_only=image_only, find_share=find_share, as_json=as_json
        )
    if found is not None:
        say_share(found, scored)
    if explain is not None:
        if found is not None:
            predictor = Predictor(bundle.with_share(found), predictor.backbone)
        written = _write_overlays(predictor, source, explain, image_only=image_only)
        err.print(f"{written:,} overlays in {explain}", markup=False, soft_wrap=True)
    if bad and not scored:
        raise typer.Exit(FAILED)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _print_each(
    predictor: Predictor, source: Path, *, image_only: bool, find_share: bool, as_json: bool
) -> tuple[int, int, float | None]:
    """Print as results come, or, where the share of road work is to be found, when all have.

    Returns:
        How many images were scored, how many could not be read, and the share.
    """
    from workzone.errors import ImageError
    from workzone.run.bulk import flat, flat_error, stream
    from workzone.run.share import at_estimated_share

    names = predictor.bundle.spec.layout.names()
    table = Table("road work", "probability", "strongest view", "its share")
    if predictor.takes_metadata:
        table.add_column("inputs", no_wrap=True)
    table.add_column("image", overflow="fold")
    good = bad = 0
    results: Iterable[tuple[str, Scored | ImageError]]
    results = stream(predictor, source, image_only=image_only)
    found = None
    if find_share:
        results, found = at_estimated_share(list(results))
    for name, result in results:
        if isinstance(result, ImageError):
            bad += 1
            sys.stderr.write(f"not scored: {result}\n")  # not by rich: it would break the bar
            if as_json:
                sys.stdout.write(json.dumps(flat_error(name, result)) + "\n")
            continue
        good += 1
        prediction = result.prediction
        if as_json:
            sys.stdout.write(json.dumps(flat(prediction), allow_nan=False) + "\n")
        elif good <= TABLE_ROWS:
            table.add_row(
                "[bold red]yes[/]" if prediction.decision == "roadwork" else "no",
                f"{prediction.probability:.3f}",
                names[prediction.view],
                f"{prediction.view_weight:.0%}",
                *([prediction.inputs] if predictor.takes_metadata else []),
                Text(name),
            )
    if not as_json and good:
        out.print(table)
        if good > TABLE_ROWS:
            out.print(f"... and {good - TABLE_ROWS:,} more; write them all with -o scores.csv")
    return good, bad, found


def _write_overlays(predictor: Predictor, source: Path, folder: Path, *, image_only: bool) -> int:
    """An overlay for every image that can be read; how many there are."""
    from workzone.data.images import read_bytes
    from workzone.errors import ImageError
    from workzone.files import writing
    from workzone.progress import track
    from workzone.run.bulk import find_images
    from workzone.run.metadata import mapping_of

    image_only |= not predictor.takes_metadata
    found, _ = find_images(source)
    places = overlay_places([name for name, _ in found])
    written = 0
    for (_, item), place in track(zip(found, places, strict=True), "explaining", len(found)):
        try:
            sample = None if image_only else item.sample
            _, overlay = predictor.explain(
                read_bytes(item.ref, item.root), None if sample is None else mapping_of(sample)
            )
        except ImageError:
            continue  # was said by the scoring
        with writing(folder / place) as aside:
            overlay.save(aside, format="JPEG", quality=90)
        written += 1
    return written


def overlay_places(ids: Iterable[str]) -> list[PurePosixPath]:
    """A relative path for the overlay of each id, no two alike and none outside the folder.

    Ids may be any text. Relative ones keep their folders; of absolute ones, and of those that
    climb up, the folders are kept that tell them apart from each other.
    """
    parts_of = [_parts(name) for name in ids]
    climbing = [parts[1:-1] for parts in parts_of if parts[0] == _OUTSIDE]
    levels = zip(*climbing, strict=False)
    shared = sum(1 for _ in takewhile(lambda folders: len(set(folders)) == 1, levels))
    places: list[PurePosixPath] = []
    taken: set[str] = set()
    for parts in parts_of:
        inside = parts[1 + shared :] if parts[0] == _OUTSIDE else parts
        path = stem = PurePosixPath(*inside)
        number = 1
        while str(path).casefold() in taken:  # some disks do not tell cases apart
            number += 1
            path = stem.with_name(f"{stem.stem}-{number}{stem.suffix}")
        taken.add(str(path).casefold())
        places.append(path.with_name(path.name + ".overlay.jpg"))
    return places


def _parts(name: str) -> list[str]:
    """The folders and the file of an id as names that can be written, see `_OUTSIDE`."""
    path = PurePosixPath(name.replace("\0", ""))
    kept = [part for part in path.parts if part != ".." and part.strip("/")] or ["image"]
    shortened = [
        part.encode(errors="replace")[-_LONGEST_NAME:].decode(errors="ignore") for part in kept
    ]
    leads_out = path.is_absolute() or ".." in path.parts
    return [_OUTSIDE, *shortened] if leads_out else shortened
