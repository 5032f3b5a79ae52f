"""The command that users meet first: predict."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import FAILED, JsonFlag, command, err, examples, out

if TYPE_CHECKING:
    from workzone.run.predictor import Predictor

TABLE_ROWS = 40
"""Longer results go to a file; the terminal gets the first rows."""


EXAMPLES_PREDICT = examples(
    "workzone predict street.jpg --model model",
    "workzone predict street.jpg --model model --explain overlays",
    "workzone predict dashcam/ --model model -o scores.parquet",
    "workzone predict dashcam/ --model model --json | jq .probability",
)


@command
def predict(
    source: Annotated[Path, typer.Argument(help="An image, a folder of images, or a manifest.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="Folder of the model bundle.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this .jsonl, .csv or .parquet file."),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(help="Folder for overlays that show where the evidence lies."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Local file or folder with the backbone's weights.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, ...")] = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Say of images whether there is road work in them.

    With -o, folders of any size are streamed, a stopped job goes on where it was, and images that
    cannot be read are listed in OUTPUT.quarantine.csv. Above 0.5 is road work.
    """
    from workzone.run.bulk import predict_many
    from workzone.run.predictor import load

    predictor = load(model, weights=weights, device=device)
    if output is not None:
        summary = predict_many(predictor, source, output)
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
        scored, bad = _print_each(predictor, source, as_json=as_json)
    if explain is not None:
        written = _write_overlays(predictor, source, explain)
        err.print(f"{written:,} overlays in {explain}", markup=False, soft_wrap=True)
    if bad and not scored:
        raise typer.Exit(FAILED)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _print_each(predictor: Predictor, source: Path, *, as_json: bool) -> tuple[int, int]:
    """Print as results come; how many images were scored, and how many could not be read."""
    from workzone.errors import ImageError
    from workzone.run.bulk import flat, stream

    names = predictor.bundle.spec.layout.names()
    table = Table("road work", "probability", "strongest view", "its share")
    table.add_column("image", overflow="fold")
    good = bad = 0
    for name, result in stream(predictor, source):
        if isinstance(result, ImageError):
            bad += 1
            err.print(f"not scored: {result}", style="yellow", markup=False, soft_wrap=True)
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
                escape(name),
            )
    if not as_json and good:
        out.print(table)
        if good > TABLE_ROWS:
            out.print(f"... and {good - TABLE_ROWS:,} more; write them all with -o scores.csv")
    return good, bad


def _write_overlays(predictor: Predictor, source: Path, folder: Path) -> int:
    """An overlay for every image that can be read; how many there are."""
    from workzone.data.images import read_bytes
    from workzone.errors import ImageError
    from workzone.files import writing
    from workzone.progress import track
    from workzone.run.bulk import find_images

    found, _ = find_images(source)
    written = 0
    for name, item in track(found, "explaining"):
        try:
            _, overlay = predictor.explain(read_bytes(item.ref, item.root))
        except ImageError:
            continue  # was said by the scoring
        inside = Path(name)  # an id may be any text: nothing is written outside the folder
        if inside.is_absolute() or ".." in inside.parts:
            inside = Path(inside.name)
        target = folder / inside
        with writing(target.with_name(target.name + ".overlay.jpg")) as aside:
            overlay.save(aside, format="JPEG", quality=90)
        written += 1
    return written
