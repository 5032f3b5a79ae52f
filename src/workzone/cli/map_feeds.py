"""Feeds of work zones, written and checked: map export, map validate."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.console import FAILED, JsonFlag, command, examples, out, print_json
from workzone.cli.map_options import (
    Cc0Flag,
    ContactOption,
    RoundPlacesOption,
    StoreArgument,
    SuspectedFlag,
    states_of_feed,
)

if TYPE_CHECKING:
    from workzone.geo.validate.report import Finding, Report

EXAMPLES_EXPORT = examples(
    "workzone map export zones.gpkg -o zones.geojson",
    'workzone map export zones.gpkg -o wzdx.json --publisher "City of Example"',
    'workzone map export zones.gpkg -o zones.xml --publisher "City of Example" --country DE',
)
EXAMPLES_VALIDATE = examples(
    "workzone map validate feed.geojson",
    "workzone map validate publication.xml --json",
)


@command
def export(
    store: StoreArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="By its suffix: .geojson, .parquet (GeoParquet), .csv, .kml, .json (WZDx 4.2) or "
            ".xml (DATEX II 3).",
        ),
    ],
    *,
    publisher: Annotated[
        str | None, typer.Option(help="Who publishes a feed; WZDx and DATEX II need it.")
    ] = None,
    country: Annotated[
        str | None, typer.Option(help="Two letters of the publisher's country, for DATEX II.")
    ] = None,
    contact: ContactOption = None,
    cc0: Cc0Flag = False,
    suspected: SuspectedFlag = False,
    round_positions: RoundPlacesOption = None,
) -> None:
    """Write the work zones of a map as a table, a map layer or a feed.

    What cameras cannot know is said to be unknown, in the words that each format has for it.
    Feeds are dated by the newest frame of the map.
    """
    from workzone.geo.out.files import write_events
    from workzone.geo.out.publisher import Publisher
    from workzone.geo.rounding import rounded
    from workzone.geo.store import open_store

    of_feed = None
    if publisher is not None:
        of_feed = Publisher(name=publisher, country=country, contact_email=contact, cc0=cc0)
    states = states_of_feed(suspected)
    with open_store(store, create=False) as opened:
        events, newest = opened.events(), opened.newest()
    if round_positions is not None:
        events = [rounded(event, round_positions) for event in events]
    write_events(events, output, publisher=of_feed, published=newest, states=states)
    written = sum(event.state in states for event in events)
    _say(f"{_count(written, 'event')} of {len(events):,} written: {output}")


@command
def validate(
    feed: Annotated[Path, typer.Argument(help="A WZDx feed (JSON) or a DATEX II one (XML).")],
    *,
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="XSD",
            exists=True,
            dir_okay=False,
            help="Hold DATEX II to its XML schema as well, such as DATEXII_3_D2Payload.xsd, with "
            "the others of its version beside it; see https://docs.datex2.eu.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Say all that is wrong with a feed of work zones, whoever made it.

    WZDx is held to the schema of version 4.2, DATEX II to version 3 (2 where it says the same),
    and both to what no schema checks: order of dates, places on the globe and distinct, known
    sources, ids that are used once. The schema of DATEX II is not within this package: give it
    with --schema. Nothing is asked of the network.

    The exit code is 0 for a feed without faults and 1 for any other; remarks are no faults.
    """
    from workzone.geo.validate.feed import validate_feed

    report = validate_feed(feed, schema=schema)
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
