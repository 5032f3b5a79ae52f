"""``workzone map``: work zones on a map, and the feeds in which they are exchanged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.console import FAILED, JsonFlag, command, examples, out, print_json

if TYPE_CHECKING:
    from workzone.geo.validate.report import Finding, Report

app = typer.Typer(
    help="Work zones on a map, and feeds of them.", no_args_is_help=True, rich_markup_mode="rich"
)

EXAMPLES_VALIDATE = examples(
    "workzone map validate feed.geojson",
    "workzone map validate publication.xml --json",
)


@app.command(epilog=EXAMPLES_VALIDATE)
@command
def validate(
    feed: Annotated[Path, typer.Argument(help="A WZDx feed (JSON) or a DATEX II one (XML).")],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Say all that is wrong with a feed of work zones, whoever made it.

    WZDx is held to version 4.2, DATEX II to version 3 (2 where it says the same), and both to
    what no schema checks: order of dates, places on the globe and distinct, known sources, ids
    that are used once. Nothing is asked of the network.

    The exit code is 0 for a feed without faults and 1 for any other; remarks are no faults.
    """
    from workzone.geo.validate.feed import validate_feed

    report = validate_feed(feed)
    if as_json:
        print_json(_json(feed, report))
    else:
        _show(feed, report)
    if report.faults:
        raise typer.Exit(FAILED)


def _json(feed: Path, report: Report) -> dict[str, object]:
    return {
        "file": str(feed),
        "format": report.format,
        "events": report.events,
        "valid": not report.faults,
        "findings": [asdict(one) for one in report.findings],
    }


def _show(feed: Path, report: Report) -> None:
    from workzone.geo.validate.report import alike

    for one, count in alike(report.findings):
        _say(_line(one, count), style="red" if one.level == "fault" else "yellow")
    found = (_count(len(report.faults), "fault"), _count(len(report.remarks), "remark"))
    _say(f"{feed}: {report.format}, {_count(report.events, 'event')}: {', '.join(found)}")


def _line(one: Finding, count: int) -> str:
    event = "" if one.event is None else f" (event {one.event!r})"
    others = "" if count == 1 else f" [and {count - 1:,} more like it]"
    return f"{one.level}: {one.where}{event} {one.what}{others}"


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _say(text: str, *, style: str | None = None) -> None:
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
