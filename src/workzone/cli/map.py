"""``workzone map``: work zones on a map, from what many drives saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json, print_whole
from workzone.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workzone.geo.event import Event

EXAMPLES_UPDATE = examples(
    "workzone drives monday.parquet scores.parquet -o monday-frames.parquet",
    "workzone map update monday-frames.parquet --store zones.gpkg",
    "workzone map update day-1.parquet day-2.parquet --store zones.gpkg --roads roads.osm.pbf",
    "workzone map update frames.parquet --store zones.gpkg --objects outlined/objects.jsonl",
)
EXAMPLES_SIMULATE = examples(
    "workzone map simulate",
    "workzone map simulate --streets ring --passes 2 --passes 10 --days 30",
    "workzone map simulate -o chart.html",
    "workzone map simulate --passes 10 --days 5 --frames frames.parquet",
)
_MOST_SHOWN = 40

app = typer.Typer(
    help="Work zones on a map: where they begin and end, since when, still there?",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.command(epilog=EXAMPLES_UPDATE)
@command
def update(
    detections: Annotated[
        list[Path],
        typer.Argument(
            help="Scored frames with drive (group), time and place: .parquet, .csv or .jsonl, as "
            "`workzone drives -o` and `workzone predict MANIFEST -o` write them."
        ),
    ],
    *,
    store: Annotated[
        str,
        typer.Option(
            help="The GeoPackage to update, or to make; or postgresql://USER@HOST/DATABASE, with "
            "PostGIS."
        ),
    ],
    roads: Annotated[
        Path | None,
        typer.Option(
            help="Roads to match to: an extract of OpenStreetMap (.osm.pbf), or GeoJSON lines; a "
            "store keeps its own."
        ),
    ] = None,
    keep_days: Annotated[
        float | None,
        typer.Option(
            min=1,
            help="Drop frames of drives, and events that are gone, when they are older than that "
            "beside the newest frame; all the rest is computed anew.",
            show_default="all are kept",
        ),
    ] = None,
    objects: Annotated[
        list[Path] | None,
        typer.Option(
            help="The objects.jsonl of `workzone predict --masks` of these frames: events then "
            "have classes, and ends by how far ahead objects are. May be repeated."
        ),
    ] = None,
    field_of_view: Annotated[
        float | None,
        typer.Option(
            min=20,
            max=150,
            help="With --objects: degrees that the camera sees from side to side.",
            show_default="65",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Add drives to a map of work zones, and show what is on it.

    A drive that is there already changes nothing, and the order of drives does not matter. What is
    stopped midway leaves the map as it was.
    """
    from workzone.geo.detections import read_detections, with_objects
    from workzone.geo.network import read_network
    from workzone.geo.objects import FIELD_OF_VIEW, objects_of
    from workzone.geo.store import open_store
    from workzone.geo.update import update as update_store

    if field_of_view is not None and not objects:
        raise UsageError("--field-of-view tells how far objects are; name them with --objects")
    tables = [read_detections(path) for path in detections]
    network = [] if roads is None else read_network(roads)
    drives = [drive for table in tables for drive in table.drives]
    if objects:
        drives = with_objects(drives, objects_of(objects, field_of_view or FIELD_OF_VIEW))
    with open_store(store) as opened:
        done = update_store(opened, drives, network=network, keep_days=keep_days)
        events, name = opened.events(), opened.name
    shown = sum(drive.objects.found for drive in drives)
    if as_json:
        told = {"update": _plain(done), "frames_with_objects": shown}
        print_json(told | {"events": [_plain(event) for event in events]})
        return
    _show(events)
    words = f"{done.added:,} drives added"
    for count, text in (
        (done.same, "were there already"),
        (done.replaced, "replaced"),
        (done.too_old, "too old"),
        (done.dropped, "dropped for their age"),
    ):
        words += f", {count:,} {text}" if count else ""
    left_out = sum(table.without_place + table.silent for table in tables)
    words += f"; {left_out:,} frames without time, place or score left out" if left_out else ""
    words += f"; {shown:,} frames with objects" if objects else ""
    out.print(f"{words}. Written: {name}", markup=False, highlight=False, soft_wrap=True)


def _show(events: Sequence[Event]) -> None:
    table = Table()
    for heading in ("event", "state"):
        table.add_column(heading, no_wrap=True)
    for heading in ("sure", "begins at", "m", "± m", "seen", "since (UTC)", "until"):
        table.add_column(heading, justify="right", no_wrap=True)
    order = {"present": 0, "suspected": 1, "gone": 2}
    ranked = sorted(events, key=lambda one: (order[one.state], -one.confidence, one.id))
    for one in ranked[:_MOST_SHOWN]:
        lon, lat = one.line[0]
        table.add_row(
            one.id,
            one.state,
            f"{one.confidence:.2f}",
            f"{lat:.5f}, {lon:.5f}",
            f"{one.length_m:,.0f}",
            f"{one.error_m:.0f}",
            f"{one.sightings:,} of {one.passes:,}",
            f"{one.first_seen:%Y-%m-%d %H:%M}",
            "" if one.gone_since is None else f"{one.gone_since:%Y-%m-%d %H:%M}",
        )
    if events:
        print_whole(table)
    if len(events) > _MOST_SHOWN:
        out.print(f"and {len(events) - _MOST_SHOWN:,} more; --json tells all", highlight=False)
    counts = [f"{sum(e.state == name for e in events):,} {name}" for name in order]
    out.print(f"Events: {', '.join(counts)}.", highlight=False)


def _plain(value: Any) -> Any:
    """Dataclasses, times and tuples as JSON has them."""
    import dataclasses
    from datetime import datetime

    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


@app.command(epilog=EXAMPLES_SIMULATE)
@command
def simulate(
    *,
    streets: Annotated[
        str, typer.Option(help="What the network is like: grid, ring or irregular.")
    ] = "grid",
    passes: Annotated[
        list[float] | None,
        typer.Option(
            min=0.1,
            max=200,
            help="How often each street is passed in each direction, a day; may be repeated.",
            show_default="2, 5, 10 and 20",
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=2, max=365, help="How long.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of streets, zones and cars.")] = 0,
    roads: Annotated[
        bool, typer.Option(help="Whether the map is given the streets, or only what cars draw.")
    ] = True,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Draw it too: a chart as .svg, .png or .html."),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(
            help="Write the frames of the made drives, which `workzone map update` reads, as "
            ".parquet, .csv or .jsonl; with one --passes."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell how many cars a map needs: made streets, zones that come and go, a fallible detector.

    Precision and recall are of the events that are present at the ends of days; delays are medians.
    """
    from workzone.errors import nearest
    from workzone.geo.simulate import figures_of, follow, make_world, write_frames
    from workzone.geo.streets import KINDS

    kind = next((one for one in KINDS if one == streets), None)
    if kind is None:
        raise UsageError(f"--streets {streets}: no such kind; {nearest(streets, KINDS)}")
    if output is not None:
        from workzone.report.passes import check_suffix, write_passes

        check_suffix(output)
    if frames is not None:
        from workzone.run.tables import table_kind

        table_kind(frames)
        if len(passes or ()) != 1:
            raise UsageError("--frames writes the drives of one world: name one --passes")
    rows: list[dict[str, float | None]] = []
    for rate in passes or (2.0, 5.0, 10.0, 20.0):
        world = make_world(kind, passes=rate, days=days, seed=seed)
        if frames is not None:
            write_frames(world, frames)
        row: dict[str, float | None] = {"passes_a_day": rate}
        rows.append(row | figures_of([follow(world, roads=roads)]))
    if output is not None:
        given = "roads given" if roads else "without roads"
        write_passes(output, rows, f"Simulated: {streets}, {days} days, {given}, seed {seed}")
    if as_json:
        print_json(
            {"streets": streets, "days": days, "seed": seed, "roads": roads, "figures": rows}
        )
        return
    table = Table()
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*("" if value is None else f"{value:.2f}" for value in row.values()))
    print_whole(table)
    written = [str(path) for path in (output, frames) if path is not None]
    if written:
        out.print(f"Written: {', '.join(written)}", markup=False, highlight=False, soft_wrap=True)
