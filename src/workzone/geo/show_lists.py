"""What was seen against what is permitted, as one page for a browser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from workzone.geo.compare import VERDICTS, Comparison, Row
from workzone.geo.event import Place
from workzone.geo.show import Page, origin_of, page_of, steps_of
from workzone.geo.works import Work

_COLUMNS = (
    "id",
    "state",
    "parts",
    "directed",
    "road",
    "works",
    "passes",
    "days_over",
    "now",
    "confidence",
    "first_seen",
    "last_seen",
    "sightings",
)
_WORK_COLUMNS = ("id", "road", "parts", "start", "end", "source")


def make_lists_page(
    comparison: Comparison,
    *,
    streets: Iterable[Sequence[Place]] = (),
    tiles: str | None = None,
    attribution: str | None = None,
) -> Page:
    """A page as `workzone.geo.show.make_page` makes it, of the four lists instead of events.

    It asks nothing of the network but tiles, and shows text of works as text, whatever is in it.

    Args:
        comparison: of which every row is shown.
        streets: lines that are drawn below the rows.
        tiles: an address of pictures of the ground, with ``{z}``, ``{x}`` and ``{y}``.
        attribution: whom the map names for streets or tiles.

    Raises:
        UsageError: ``tiles`` is no such address.
    """
    origin = "'none'" if tiles is None else origin_of(tiles)
    works = {work: number for number, work in enumerate(_works(comparison))}
    ids: set[str] = set()
    data = {
        "compares": True,
        "columns": _COLUMNS,
        "states": VERDICTS,
        "rows": [_row(row, _id(row, ids), works) for row in comparison.rows],
        "work_columns": _WORK_COLUMNS,
        "works": [_work(work) for work in works],
        "planned": comparison.planned,
        "newest": _seconds(comparison.now),
        "pictures": {},
        "streets": [steps_of(line) for line in streets],
        "tiles": tiles,
        "attribution": attribution,
    }
    return page_of(f"Seen against permitted, {comparison.now:%Y-%m-%d}", data, origin)


def _works(comparison: Comparison) -> list[Work]:
    """All works of the lists, each once."""
    return list(dict.fromkeys(work for row in comparison.rows for work in row.works))


def _id(row: Row, taken: set[str]) -> str:
    """The event's id, or the work's, which files may share: then it is numbered."""
    name = row.works[0].id if row.event is None else row.event.id
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name} ({number})"
    taken.add(found)
    return found


def _row(row: Row, name: str, works: dict[Work, int]) -> list[Any]:
    """A row without places of its own lies where its work does."""
    event = row.event
    shared = [
        name,
        VERDICTS.index(row.verdict),
        None if event is None else [steps_of(event.line)],
        event is not None or row.works[0].directed,
        row.road,
        [works[work] for work in row.works],
        row.passes,
        None if row.days_over is None else round(row.days_over, 1),
    ]
    if event is None:
        return [*shared, None, None, None, None, 0]
    times = _seconds(event.first_seen), _seconds(event.last_seen)
    return [*shared, event.state, round(event.confidence, 3), *times, event.sightings]


def _work(work: Work) -> list[Any]:
    parts = [steps_of(part) for part in work.parts]
    return [
        work.id,
        work.road,
        parts,
        _seconds(work.start),
        _seconds(work.end),
        Path(work.source).name,
    ]


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())
