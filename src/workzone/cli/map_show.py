"""The map as a page: map show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workzone.cli.console import command, examples, out
from workzone.cli.map_options import (
    AttributionOption,
    RoundPlacesOption,
    StoreArgument,
    TilesOption,
)
from workzone.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workzone.geo.event import Event
    from workzone.geo.pictures import Picture

EXAMPLES_SHOW = examples(
    "workzone map show zones.gpkg -o map.html",
    "workzone map show zones.gpkg -o map.html --images frames --objects outlined/objects.jsonl",
    "workzone map show zones.gpkg -o map.html --tiles "
    "'https://tile.openstreetmap.org/{z}/{x}/{y}.png' --attribution '© OpenStreetMap contributors'",
)


@command
def show(
    store: StoreArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page, an HTML file.")],
    *,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the frames, from which their ids start: small pictures of those that "
            "show events most surely go into the page. Faces and plates stay as they are in them."
        ),
    ] = None,
    objects: Annotated[
        Path | None,
        typer.Option(
            help="With --images: the objects.jsonl of `workzone predict --masks`, whose outlines "
            "are drawn over them."
        ),
    ] = None,
    tiles: TilesOption = None,
    attribution: AttributionOption = None,
    round_positions: RoundPlacesOption = None,
) -> None:
    """Write the map as one file that any browser opens: where work zones are, and since when.

    It needs no server and asks nothing of the network: the map, its events and its pictures are
    in the file. Below the events are outlines of countries and the roads that the map was given.
    """
    from workzone.files import check_folder
    from workzone.geo.given_roads import given_roads
    from workzone.geo.rounding import rounded
    from workzone.geo.show import make_page
    from workzone.geo.store import open_store

    if objects is not None and images is None:
        raise UsageError("--objects outlines pictures; name their folder with --images")
    check_folder(output)
    with open_store(store, create=False) as opened:
        events, lines, newest = opened.events(), opened.lines(), opened.newest()
    if round_positions is not None:
        events = [rounded(event, round_positions) for event in events]
    pictures = {} if images is None else _pictures(events, images, objects)
    roads = given_roads(lines)
    if roads.left_out:
        _say(f"Roads that are too many for a page: {roads.left_out:,}")
    page = make_page(
        events,
        newest=newest,
        pictures=pictures,
        streets=roads.lines,
        tiles=tiles,
        attribution=attribution,
    )
    page.write(output)
    size = output.stat().st_size / 1e6
    _say(f"Events: {len(events):,}, pictures: {len(pictures):,}. Written: {output} ({size:.1f} MB)")


def _pictures(events: Sequence[Event], folder: Path, objects: Path | None) -> dict[str, Picture]:
    from workzone.geo.pictures import find_pictures, read_outlines

    found = find_pictures(
        events, folder, objects=None if objects is None else read_outlines(objects)
    )
    for count, what in (
        (found.missing, f"Frames without a file in {folder}"),
        (found.unreadable, "Frames that cannot be read"),
        (found.left_out, "Frames that are too many for a page"),
    ):
        if count:
            _say(f"{what}: {count:,}")
    return dict(found.pictures)


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
