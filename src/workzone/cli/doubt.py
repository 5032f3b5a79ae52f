"""``workzone data doubt``: likely label errors, to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import ManifestArgument

EXAMPLES_DOUBT = examples(
    "workzone data doubt masked.parquet -o doubts.csv --sheet doubts.png",
    "workzone predict split.parquet -o scores.parquet  # by a model that has not learned from it",
    "workzone data doubt split.parquet --scores scores.parquet --sheet doubts.png",
)

_SHOWN = 20


@command
def doubt(
    manifest: ManifestArgument,
    *,
    scores: Annotated[
        Path | None, typer.Option(help="What `workzone predict MANIFEST -o` wrote.")
    ] = None,
    masks: Annotated[
        bool, typer.Option("--masks/--no-masks", help="Whether masks count as evidence.")
    ] = True,
    least: Annotated[
        float, typer.Option(help="List labels whose doubt is at least this, 0 to 1.")
    ] = 0.5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all of them to this .csv file.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Draw the most doubtful on this .png file.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Rank images whose label and evidence disagree: likely label errors.

    Evidence are masks (label 0 with sure cones, label 1 with nothing found) and scores of a model
    that has not learned from these labels. Nothing is changed: look, and correct the labels. Masks
    that cannot be read are told, and with -o listed in OUTPUT.quarantine.csv.
    """
    from workzone.data.doubt import draw_doubts, find_doubts, write_doubts
    from workzone.data.manifest import read_manifest
    from workzone.data.pseudo_labels import read_scores
    from workzone.data.quarantine import write_quarantine

    listed = read_manifest(manifest)
    told = None if scores is None else read_scores(scores)
    found = find_doubts(listed, told, masks=masks, least=least)
    doubts = found.ranked
    if output is not None:
        write_doubts(doubts, output)
        write_quarantine(found.unreadable, output.with_suffix(".csv.quarantine.csv"))
    if sheet is not None and doubts:
        draw_doubts(doubts, listed.root, sheet)
    if as_json:
        rows = [
            {"id": one.sample.id, "label": one.sample.label, "doubt": one.doubt}
            | {"score": one.score, "masks": None if one.masks is None else one.masks.score}
            for one in doubts
        ]
        unreadable = {entry.id: entry.reason for entry in found.unreadable}
        print_json({"rows": len(listed), "doubts": rows, "unreadable": unreadable})
        return
    for rank, one in enumerate(doubts[:_SHOWN], 1):
        _say(f"{rank:4d}. {one.doubt:.2f}  {one.sample.id}: {one.reason}")
    _say(f"{len(doubts)} of {len(listed)} labels are in doubt")
    if found.unreadable:
        _say(f"masks of {len(found.unreadable)} could not be read, and did not count:", "yellow")
    for entry in found.unreadable[:_SHOWN]:
        _say(f"  - {entry.id}: {entry.reason}", "yellow")
    for path in (output, sheet if doubts else None):
        if path is not None:
            _say(f"Written: {path}")


def _say(text: str, style: str | None = None) -> None:
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
