"""``workzone map compare``: what was seen beside what is permitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json, print_whole
from workzone.cli.map_options import AttributionOption, StoreArgument, TilesOption
from workzone.errors import UsageError, nearest

if TYPE_CHECKING:
    from workzone.geo.compare import Comparison, Row
    from workzone.geo.works import Works

EXAMPLES_COMPARE = examples(
    "workzone map compare zones.gpkg permits.geojson",
    "workzone map compare zones.gpkg wzdx.json datex.xml -o lists.geojson",
    "workzone map compare zones.gpkg permits.geojson -o lists.html",
    "workzone map compare zones.gpkg permits.json --crs EPSG:27700 -o lists.csv",
    "workzone map compare zones.gpkg works.json --register brussels",
)
_MOST_SHOWN = 30
_WORDS = {
    "over_end_date": "over its end date",
    "seen_not_permitted": "seen and not permitted",
    "permitted_not_seen": "permitted and not seen",
    "permitted_and_seen": "permitted and seen",
}


@command
def compare(
    store: StoreArgument,
    works: Annotated[
        list[Path],
        typer.Argument(help="Published works: WZDx, DATEX II, GeoJSON, or a register's records."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The four lists as a table (.csv), map layer (.geojson), or page (.html) that "
            "any browser opens and that asks nothing of the network.",
        ),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(
            help="What the works' places are in, where their file does not say so: EPSG:27700."
        ),
    ] = None,
    register: Annotated[
        str | None,
        typer.Option(
            help="Whose records the files hold, by its name in the package streetworks: brussels, "
            "berlin, autobahn. A name that is none is answered with all."
        ),
    ] = None,
    metres: Annotated[
        float,
        typer.Option("--within", min=0, help="Metres that a zone may lie beside a work."),
    ] = 50.0,
    days: Annotated[
        float,
        typer.Option(min=0, help="Days before its begin and after its end that are let pass."),
    ] = 1.0,
    suspected: Annotated[
        bool, typer.Option("--suspected", help="Count what only one drive has seen, too.")
    ] = False,
    tiles: TilesOption = None,
    attribution: AttributionOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Tell which road work is permitted and which was seen: four lists.

    A zone and a work belong together where they lie along each other, run the same way if the work
    says which, and overlap in time. Permitted and not seen has how often somebody drove by; works
    that are still to begin are in none of the lists.
    """
    from workzone.geo.compare import Tolerance, compare_store
    from workzone.geo.given_roads import given_roads
    from workzone.geo.out.comparison import write_comparison
    from workzone.geo.read.files import read_works
    from workzone.geo.show_lists import make_lists_page
    from workzone.geo.store import open_store

    as_page = _is_page(output)
    if not as_page and (tiles or attribution):
        raise UsageError("--tiles and --attribution are of a page; name it with -o lists.html")
    read = [read_works(path, crs=crs, register=register) for path in works]
    published = [work for one in read for work in one.works]
    tolerance = Tolerance(metres=metres, days=days)
    with open_store(store, create=False) as opened:
        found = compare_store(opened, published, tolerance=tolerance, suspected=suspected)
        streets = given_roads(opened.lines()).lines if as_page else []
    if output is not None and as_page:
        page = make_lists_page(found, streets=streets, tiles=tiles, attribution=attribution)
        page.write(output)
    elif output is not None:
        write_comparison(found, output)
    if as_json:
        print_json(_json(found, read))
        return
    _show(found, read)
    if output is not None:
        _say(f"Written: {output}")


def _is_page(output: Path | None) -> bool:
    """Whether a page is to be written.

    Raises:
        UsageError: nothing of this suffix is written.
    """
    from workzone.geo.out.comparison import FORMATS

    suffix = None if output is None else output.suffix.lower()
    if suffix is not None and suffix not in (*FORMATS, ".html"):
        raise UsageError(f"{output}: {nearest(suffix, (*FORMATS, '.html'))}")
    return suffix == ".html"


def _json(found: Comparison, read: list[Works]) -> dict[str, object]:
    from workzone.geo.compare import VERDICTS
    from workzone.geo.out.comparison import to_geojson

    return {
        "counts": {verdict: len(found.of(verdict)) for verdict in VERDICTS},
        "never_passed": found.never_passed,
        "planned": found.planned,
        "without_place": sum(one.without_place for one in read),
        "cancelled": sum(one.cancelled for one in read),
        "lists": to_geojson(found),
    }


def _show(found: Comparison, read: list[Works]) -> None:
    table = Table()
    for heading in ("list", "event", "works", "road"):
        table.add_column(heading)
    for heading in ("permitted until (UTC)", "last seen", "days over", "seen", "passes"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = [row for row in found.rows if row.passes and row.verdict != "permitted_and_seen"]
    for row in rows[:_MOST_SHOWN]:
        table.add_row(*_cells(row))
    if rows:
        print_whole(table)
    if len(rows) > _MOST_SHOWN:
        _say(f"and {len(rows) - _MOST_SHOWN:,} more; -o writes all")
    for verdict, words in _WORDS.items():
        line = f"{words}: {sum(row.verdict == verdict for row in found.rows):,}"
        unknown = found.never_passed if verdict == "permitted_not_seen" else 0
        _say(line + (f", {unknown:,} of them by which nobody drove" if unknown else ""))
    notes = (
        (found.planned, "still to begin"),
        (sum(one.cancelled for one in read), "cancelled"),
        (sum(one.without_place for one in read), "without a place"),
    )
    told = [f"{count:,} {words}" for count, words in notes if count]
    if told:
        _say(f"Works in none of the lists: {', '.join(told)}.")


def _cells(row: Row) -> tuple[str, ...]:
    from workzone.geo.out.comparison import values

    plain = values(row)
    until, last = plain["permitted_until"], plain["last_seen"]
    return (
        _WORDS[row.verdict],
        plain["event"] or "",
        escape(", ".join(plain["works"])),
        escape(plain["road"] or ""),
        (until or "")[:16].replace("T", " "),
        (last or "")[:16].replace("T", " "),
        "" if row.days_over is None else f"{row.days_over:,.1f}",
        f"{plain['sightings']:,}",
        f"{row.passes:,}",
    )


def _say(text: str) -> None:
    out.print(text, markup=False, highlight=False, soft_wrap=True)
