"""``workzone drives``: what the frames of a drive say together, and segments of road work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import ManifestArgument
from workzone.errors import UsageError

if TYPE_CHECKING:
    from workzone.run.drives import Drives

EXAMPLES_DRIVES = examples(
    "workzone predict drive.parquet -o scores.parquet",
    "workzone drives drive.parquet scores.parquet",
    "workzone drives drive.parquet scores.parquet -o frames.csv --segments segments.geojson",
    "workzone drives labelled.parquet scores.parquet --fit chain.json",
    "workzone drives drive.parquet scores.parquet --chain chain.json --segments segments.csv",
)
_MOST_SHOWN = 40


@command
def drives(
    manifest: ManifestArgument,
    scores: Annotated[
        Path, typer.Argument(help="What `workzone predict MANIFEST -o` wrote of its images.")
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Frames to write: .parquet, .csv or .jsonl."),
    ] = None,
    segments: Annotated[
        Path | None,
        typer.Option(help="Segments to write: .parquet, .csv, .jsonl or .geojson."),
    ] = None,
    chain: Annotated[
        Path | None,
        typer.Option(
            help="How road work comes and goes: a file that --fit wrote.",
            show_default="as on drawn drives",
        ),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(help="Fit that on the labelled rows, write it to this JSON file, and use it."),
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            help="Share of road work that the scores hold for: what `predict --share` was told, or "
            "found. The scores do not tell it; of a model whose own share is another, name that of "
            "the calibration in its bundle.json."
        ),
    ] = 0.5,
    as_json: JsonFlag = False,
) -> None:
    """Judge frames in the light of their neighbours; find where road work begins and ends.

    A group of the manifest is a drive; its rows need a time. A frame that has no score, or whose
    decision is `unsure`, says nothing itself and is judged by its neighbours.
    """
    from workzone.data.manifest import read_manifest
    from workzone.data.pseudo_labels import read_scores
    from workzone.decide.drive import Chain, read_chain, write_chain
    from workzone.decide.share import check_share
    from workzone.run.drive_files import MAP, write_frames, write_segments
    from workzone.run.drives import along_drives, fit_on_drives
    from workzone.run.tables import table_kind

    if chain is not None and fit is not None:
        raise UsageError("--chain names one to use and --fit makes another: leave one of them out")
    read = {path.resolve() for path in (manifest, scores, chain) if path is not None}
    for target in (output, segments, fit):
        if target is not None and target.resolve() in read:
            raise UsageError(f"{target} is what is read from; name another file to write")
    if output is not None:
        table_kind(output)
    if segments is not None:
        table_kind(segments, also=MAP)
    check_share(share)
    rows, probabilities = read_manifest(manifest), read_scores(scores, with_unsure=False)
    if fit is not None:
        used = fit_on_drives(rows, probabilities, share=share)
        write_chain(used, fit)
    else:
        used = Chain() if chain is None else read_chain(chain)
    found = along_drives(rows, probabilities, used, share=share)
    if output is not None:
        write_frames(found.frames, output)
    if segments is not None:
        write_segments(found, segments)
    if as_json:
        _print_json(found)
        return
    _show(found)
    written = [str(path) for path in (fit, output, segments) if path is not None]
    if written:
        out.print(f"Written: {', '.join(written)}", markup=False, highlight=False, soft_wrap=True)


def _show(found: Drives) -> None:
    table = Table()
    for heading in ("drive", "from (UTC)"):
        table.add_column(heading, overflow="fold")
    for heading in ("seconds", "frames", "mean", "peak"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("evidence", overflow="fold")
    for one in found.segments[:_MOST_SHOWN]:
        table.add_row(
            escape(one.group),
            f"{one.start:%Y-%m-%d %H:%M:%S}",
            f"{one.seconds:,.1f}",
            f"{one.frames:,}",
            f"{one.mean:.2f}",
            f"{one.peak:.2f}",
            escape(one.evidence),
        )
    if found.segments:
        out.print(table)
    left = len(found.segments) - _MOST_SHOWN
    if left > 0:
        out.print(f"and {left:,} more; --segments writes them all", highlight=False)
    out.print(
        f"{len(found.segments):,} segments with road work on {found.drives:,} drives of "
        f"{len(found.frames):,} frames; {found.silent:,} frames say nothing themselves.",
        highlight=False,
        soft_wrap=True,
    )


def _print_json(found: Drives) -> None:
    from workzone.run.drive_files import segment_row
    from workzone.run.tables import in_iso

    print_json(
        {
            "drives": found.drives,
            "frames": len(found.frames),
            "silent": found.silent,
            "segments": [in_iso(segment_row(one)) for one in found.segments],
        }
    )
