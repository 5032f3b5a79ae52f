"""``workzone data import``: from a data set on disk to a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.data_track import WeeksOption, ZoneOption
from workzone.cli.video_options import (
    EveryMetresOption,
    EveryOption,
    KeyframesFlag,
    SharpestFlag,
    StartOption,
    frame_settings,
)
from workzone.errors import UsageError

if TYPE_CHECKING:
    from workzone.data.importing import ImportSummary

EXAMPLES_IMPORT = examples(
    "workzone data import photos/ -o data/manifest.parquet",
    "workzone data import rows.csv -o data/manifest.parquet --map image=file --map group=clip",
    "workzone data import natix/ --kind natix -o data/manifest.parquet",
    "workzone data import roadwork/ --kind roadwork --split gps_split -o data/manifest.parquet",
    "workzone data import drive.mp4 -o data/drive.parquet --every-metres 5 --sharpest",
)


@command
def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a .csv, .tsv, .parquet, .zip or .tar file, a video, or a data set on "
            "the hub."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column fills a field; repeat."),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="auto, folder, table, parquet, natix, roadwork, huggingface or video; "
            "auto looks at what is there."
        ),
    ] = "auto",
    split: Annotated[
        str | None,
        typer.Option(help="For ROADWork: gps_split or pittsburgh_only, its published splits."),
    ] = None,
    every: EveryOption = None,
    every_metres: EveryMetresOption = None,
    keyframes: KeyframesFlag = False,
    sharpest: SharpestFlag = False,
    start: StartOption = None,
    zone: ZoneOption = None,
    add_weeks: WeeksOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Read a data set, check every image and field, and write a manifest.

    What cannot be used is never dropped in silence: it is listed, with the reason, in the
    quarantine table beside the manifest. Of videos, frames are taken, each with the place and time
    that the track within or beside the video gives it.
    """
    from workzone.data.importing import import_source

    columns = _columns(mapping or [])
    frames = frame_settings(every, every_metres, keyframes, sharpest, start, zone, add_weeks)
    summary = import_source(
        source,
        output,
        kind=kind,  # type: ignore[arg-type]  # checked there, with a better message
        columns=columns or None,
        split=split,
        frames=frames,
    )
    if as_json:
        print_json(_import_json(summary))
    else:
        _show_import(summary)


def _columns(mapping: Sequence[str]) -> dict[str, str]:
    columns = {}
    for pair in mapping:
        field, mark, column = pair.partition("=")
        if not (field and mark and column):
            raise UsageError(f"--map {pair!r} is not FIELD=COLUMN; for example --map image=file")
        if field in columns:
            raise UsageError(f"--map names the field {field!r} twice; keep one of them")
        columns[field] = column
    return columns


def _import_json(summary: ImportSummary) -> dict[str, Any]:
    from workzone.data.quarantine import count_by_code

    return {
        "manifest": str(summary.manifest),
        "quarantine": str(summary.quarantine),
        "rows_read": summary.rows_read,
        "rows_kept": summary.rows_kept,
        "labels": dict(summary.label_counts),
        "quarantined": count_by_code(summary.entries),
        "warnings": list(summary.warnings),
    }


def _show_import(summary: ImportSummary) -> None:
    from workzone.data.quarantine import count_by_code

    table = Table("label", "rows", title=f"{summary.rows_kept} of {summary.rows_read} rows kept")
    fill(table, [(name, count) for name, count in summary.label_counts.items()])
    if summary.entries:
        table = Table("quarantined because", "entries")
        fill(table, list(count_by_code(summary.entries).items()))
        say(f"Reasons, row by row: {summary.quarantine}")
    for warning in summary.warnings:
        say(f"warning: {warning}", style="yellow")
    say(f"Written: {summary.manifest}")


def fill(table: Table, rows: Sequence[Sequence[str | int]]) -> None:
    """Print a table of a name and counts in each row."""
    for column in table.columns[1:]:
        column.justify = "right"
    for name, *counts in rows:
        table.add_row(escape(str(name)), *(f"{count:,}" for count in counts))
    out.print(table)


def say(text: str, *, style: str | None = None) -> None:
    """Print a sentence as it is."""
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
