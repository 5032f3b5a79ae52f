"""``workzone data track``: where cameras were, from what they wrote into or beside their videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.errors import UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

    from workzone.data.track.track import Track

EXAMPLES_TRACK = examples(
    "workzone data track drive.mp4",
    "workzone data track drive.mp4 -o drive.gpx",
    "workzone data track *.MP4 --zone Europe/Berlin -o drives.geojson",
    "workzone data track photos/ --json > places.json",
)

ZoneOption = Annotated[
    str | None,
    typer.Option(
        metavar="ZONE",
        help="Zone of times that name none: UTC, Europe/Berlin, +02:00. The machine's own is never "
        "taken.",
    ),
]
WeeksOption = Annotated[
    int | None,
    typer.Option(
        metavar="WEEKS",
        min=0,
        max=5120,
        help="Add weeks to all times: 1024 for a receiver that counts GPS's weeks anew; 0 takes "
        "old times as they are.",
    ),
]


@command
def track(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Videos, logs (GPX, NMEA, CSV, 70mai, Mapillary), photographs, or folders of them."
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .gpx or .geojson file to write."),
    ] = None,
    zone: ZoneOption = None,
    add_weeks: WeeksOption = None,
    max_gap: Annotated[
        float, typer.Option(help="Seconds between fixes up to which the way is taken as known.")
    ] = 5.0,
    as_json: JsonFlag = False,
) -> None:
    """Show where and when a camera was, by its own records, and write that as GPX or GeoJSON.

    Read are GoPro, CAMM, BlackVue and Novatek (such as Viofo) within videos, and GPX, NMEA, CSV,
    70mai and Mapillary beside them. Times come from GPS. Positions without a fix, at 0, 0 or
    without a time are dropped, and counted.
    """
    from workzone.data.track.files import SUFFIXES, write_tracks
    from workzone.data.track.reading import read_track

    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output}: tracks are written as {' or '.join(SUFFIXES)}")
    stated = parse_zone(zone)
    tracks = [read_track(file, zone=stated, weeks=add_weeks, max_gap=max_gap) for file in files]
    if output is not None:
        write_tracks(tracks, output)
    if as_json:
        print_json([_json(one) for one in tracks])
        return
    for one in tracks:
        _say(f"{one.path.name}: {one.log}")
        for note in one.log.notes:
            _say(f"{one.path.name}: {note}", style="yellow")
    _show(tracks)
    if output is not None:
        _say(f"Written: {output}")


def parse_zone(name: str | None) -> tzinfo | None:
    """A zone from its name or its distance from UTC.

    Raises:
        UsageError: there is none of that name.
    """
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    if name is None:
        return None
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        if name[:1] in ("+", "-"):
            return datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise UsageError(
            f"--zone {name!r} is no zone; say UTC, a name such as Europe/Berlin, or +02:00"
        ) from error


def _show(tracks: list[Track]) -> None:
    from workzone.data.track.files import iso

    table = Table()
    table.add_column("file", overflow="fold")
    table.add_column("from (UTC)", no_wrap=True)
    for heading in ("seconds", "fixes", "gaps", "km", "parked"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in tracks:
        seconds, begun = one.seconds, iso(one.utc[0])
        table.add_row(
            escape(one.path.name),
            "-" if begun is None else begun[:19].replace("T", " "),
            f"{seconds[-1] - seconds[0]:,.1f}",
            f"{len(one):,}",
            f"{one.stretch[-1]:,}",
            f"{one.metres[-1] / 1000:,.2f}",
            f"{one.parked.mean():.0%}",
        )
    out.print(table)


def _json(one: Track) -> dict[str, Any]:
    from workzone.data.track.files import iso, numbers

    columns = {
        "offset": numbers(one.offset),
        "latitude": [round(value, 7) for value in one.latitude.tolist()],
        "longitude": [round(value, 7) for value in one.longitude.tolist()],
        "altitude": numbers(one.altitude),
        "speed": numbers(one.speed),
        "heading": numbers(one.heading),
        "parked": one.parked.tolist(),
        "stretch": one.stretch.tolist(),
        "image": list(one.images),
    }
    return {
        "file": str(one.path),
        "reader": one.log.reader,
        "dropped": dict(one.log.dropped),
        "notes": list(one.log.notes),
        "fixes": [
            {"time": iso(moment)} | dict(zip(columns, row, strict=True))
            for moment, row in zip(
                one.utc.tolist(), zip(*columns.values(), strict=True), strict=True
            )
        ],
    }


def _say(text: str, *, style: str | None = None) -> None:
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
