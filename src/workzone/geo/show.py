"""The map as one page for a browser: a file that asks nothing of the network unless told to."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from workzone.errors import UsageError
from workzone.files import check_folder, write_text
from workzone.geo.event import Event, Place, State
from workzone.geo.out.fields import changed
from workzone.geo.pictures import Picture

PAGE = Path(__file__).parent / "page"
_SHARED = Path(__file__).parents[1] / "serve" / "page"
"""Look and elements that the service's page has, too."""
_STYLES = (PAGE / "vendor/maplibre-gl.css", _SHARED / "page.css", PAGE / "page.css")
_LIBRARY = PAGE / "vendor/maplibre-gl.js"
_PREWARM = "maplibregl.prewarm();\n"
"""Its worker starts while the browser reads the data."""
_WORLD = PAGE / "vendor/world.json"
_STATES: tuple[State, ...] = ("present", "suspected", "gone")
_MILLIONTHS = 1e6  # of a degree: a tenth of a metre
_COLUMNS = (
    "id",
    "state",
    "confidence",
    "line",
    "heading",
    "road",
    "first_seen",
    "last_seen",
    "last_passed",
    "gone_since",
    "passes",
    "sightings",
    "length_m",
    "error_m",
    "images",
    "classes",
    "history",
)
_IMPORT = re.compile(r'^import [^;]*? from "\./(\w+\.js)";\n', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """HTML, and the content security policy that is in it."""

    text: str
    policy: str

    def write(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            WorkzoneError: the file cannot be written.
        """
        check_folder(path)
        write_text(path, self.text)


def make_page(
    events: Iterable[Event],
    *,
    newest: datetime | None = None,
    pictures: Mapping[str, Picture] | None = None,
    streets: Iterable[Sequence[Place]] = (),
    tiles: str | None = None,
    attribution: str | None = None,
) -> Page:
    """A page that shows events on a map.

    Everything is within it; its content security policy lets the browser ask for nothing,
    or for tiles alone. Text of events is shown as text, whatever is in it.

    Args:
        events: in any order.
        newest: when the newest frame was taken; when something last became of an event, if None.
        pictures: by the ids of frames; see :func:`workzone.geo.pictures.find_pictures`.
        streets: lines that are drawn below the events.
        tiles: an address of pictures of the ground, with ``{z}``, ``{x}`` and ``{y}``.
        attribution: whom the map names for streets or tiles.

    Raises:
        UsageError: ``tiles`` is no such address.
    """
    origin = "'none'" if tiles is None else origin_of(tiles)
    found = sorted(events, key=lambda event: (event.first_seen, event.id))
    last = newest or max(map(changed, found), default=None)
    data = {
        **_table(found),
        "newest": None if last is None else int(last.timestamp()),
        "pictures": {name: one.for_page() for name, one in (pictures or {}).items()},
        "streets": [steps_of(line) for line in streets],
        "tiles": tiles,
        "attribution": attribution,
    }
    title = "Work zones" if last is None else f"Work zones, {last:%Y-%m-%d}"
    return page_of(title, data, origin)


def _table(events: Sequence[Event]) -> dict[str, Any]:
    """Events as rows, whose states, classes, changes and roads are numbers of lists."""
    classes = sorted({name for event in events for name in event.classes})
    roads: dict[str, int] = {}
    changes: dict[str, int] = {}
    rows = []
    for event in events:
        road = -1 if event.road is None else roads.setdefault(event.road, len(roads))
        history = [
            [int(one.time.timestamp()), changes.setdefault(one.what, len(changes)), one.other]
            for one in event.history
        ]
        rows.append(
            [
                event.id,
                _STATES.index(event.state),
                round(event.confidence, 3),
                steps_of(event.line),
                None if event.heading is None else round(event.heading),
                road,
                *(int(time.timestamp()) for time in _times(event)),
                None if event.gone_since is None else int(event.gone_since.timestamp()),
                event.passes,
                event.sightings,
                round(event.length_m),
                round(event.error_m),
                list(event.images),
                [classes.index(name) for name in event.classes],
                history,
            ]
        )
    return {
        "columns": _COLUMNS,
        "states": _STATES,
        "classes": classes,
        "changes": list(changes),
        "roads": list(roads),
        "rows": rows,
    }


def _times(event: Event) -> tuple[datetime, datetime, datetime]:
    return event.first_seen, event.last_seen, event.last_passed


def steps_of(line: Sequence[Place]) -> list[int]:
    """The first place in millionths of a degree, and from each the way to the next that differs."""
    places = np.rint(np.array(line, np.float64) * _MILLIONTHS).astype(np.int64)
    steps = np.diff(places, axis=0)
    found: list[int] = [*places[0].tolist(), *steps[steps.any(axis=1)].ravel().tolist()]
    return found


def origin_of(tiles: str) -> str:
    """Whom the browser asks for tiles, as a content security policy names them.

    Raises:
        UsageError: it is no address of tiles.
    """
    parts = urlsplit(tiles)
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:\[\]-]+", parts.netloc):
        raise UsageError(
            f"tiles {tiles!r}: give an address, such as https://tiles.example.org/{{z}}/{{x}}/{{y}}.png"
        )
    missing = [name for name in ("{z}", "{x}", "{y}") if name not in parts.path + parts.query]
    if missing:
        raise UsageError(
            f"tiles {tiles!r}: {', '.join(missing)} is missing in the address; archives of tiles, "
            "such as PMTiles, are not read"
        )
    return f"{parts.scheme}://{parts.netloc}"


def page_of(title: str, data: Mapping[str, Any], origin: str) -> Page:
    """The whole; scripts and styles are allowed by their hashes.

    Args:
        title: of its window.
        data: what ``page/data.js`` reads, as JSON holds it.
        origin: of tiles, see `origin_of`; ``'none'`` without them.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    style = "\n".join(path.read_text(encoding="utf-8") for path in _STYLES)
    library = f"{_LIBRARY.read_text(encoding='utf-8')}{_PREWARM}"
    script = "".join(_joined("main.js", set()))
    policy = (
        f"default-src 'none'; script-src {_hash(library)} {_hash(script)}; worker-src blob:; "
        f"style-src {_hash(style)}; img-src data: blob:; connect-src {origin}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "title": html.escape(title),
        "style": f"<style>{style}</style>",
        "library": f"<script>{library}</script>",
        "data": _inert("data", text) + _inert("world", _WORLD.read_text(encoding="utf-8")),
        "script": f'<script type="module">{script}</script>',
    }
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    return Page(re.sub(r"<!-- (\w+) -->", lambda mark: parts[mark[1]], index), policy)


def _inert(name: str, text: str) -> str:
    """JSON as an element that the browser does not run, and that nothing in it can end."""
    escaped = text.replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{escaped}</script>\n'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _joined(name: str, seen: set[str]) -> Iterator[str]:
    """A module after those that it imports, as pieces of one script without imports and exports."""
    if name in seen:
        return
    seen.add(name)
    own, shared = PAGE / name, _SHARED / name
    text = (own if own.exists() else shared).read_text(encoding="utf-8")
    for imported in _IMPORT.findall(text):
        yield from _joined(imported, seen)
    yield re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.MULTILINE)
