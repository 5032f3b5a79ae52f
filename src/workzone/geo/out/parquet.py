"""Events as GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0), written with pyarrow alone."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from workzone.files import writing
from workzone.geo.event import Event, Place
from workzone.geo.out.fields import box, places, values

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_CRS = {  # WGS 84 with longitude first
    "$schema": "https://proj.org/schemas/v0.7/projjson.schema.json",
    "type": "GeographicCRS",
    "name": "WGS 84 (CRS84)",
    "datum": {
        "type": "GeodeticReferenceFrame",
        "name": "World Geodetic System 1984",
        "ellipsoid": {
            "name": "WGS 84",
            "semi_major_axis": 6378137,
            "inverse_flattening": 298.257223563,
        },
    },
    "coordinate_system": {
        "subtype": "ellipsoidal",
        "axis": [
            {
                "name": "Geodetic longitude",
                "abbreviation": "Lon",
                "direction": "east",
                "unit": "degree",
            },
            {
                "name": "Geodetic latitude",
                "abbreviation": "Lat",
                "direction": "north",
                "unit": "degree",
            },
        ],
    },
    "id": {"authority": "OGC", "code": "CRS84"},
}


def write_parquet(events: Iterable[Event], path: Path) -> None:
    """Write events, whole or not at all: typed columns, WKB lines, and a box for each row.

    Raises:
        FeedError: an event without two distinct places.
        WorkzoneError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([_row(event) for event in events], schema=_schema())
    with writing(path) as aside:
        pq.write_table(table, aside, compression="zstd")


def _row(event: Event) -> dict[str, Any]:
    line = places(event)
    times = {name: getattr(event, name) for name in _TIMES}
    history = [
        {"time": change.time, "what": change.what, "other": change.other}
        for change in event.history
    ]
    bounds = dict(zip(_SIDES, box(line), strict=True))
    return values(event) | times | {"history": history, "bbox": bounds, "geometry": _wkb(line)}


_TIMES = ("first_seen", "last_seen", "last_passed", "gone_since")


def _wkb(line: Sequence[Place]) -> bytes:
    """A line as well-known binary, little-endian."""
    numbers = [number for place in line for number in place]
    return struct.pack(f"<BII{len(numbers)}d", 1, 2, len(line), *numbers)


def _schema() -> Any:
    import pyarrow as pa

    moment, text = pa.timestamp("us", tz="UTC"), pa.string()
    change = pa.struct([("time", moment), ("what", text), ("other", text)])
    columns = [
        *((name, text) for name in ("id", "state", "road")),
        *((name, pa.float64()) for name in ("confidence", "heading", "length_m", "error_m")),
        *((name, moment) for name in _TIMES),
        *((name, pa.int64()) for name in ("passes", "sightings")),
        *((name, pa.list_(text)) for name in ("images", "classes")),
        ("history", pa.list_(change)),
        ("bbox", pa.struct([(side, pa.float64()) for side in _SIDES])),
        ("geometry", pa.binary()),
    ]
    return pa.schema(columns, metadata={"geo": json.dumps(_about())})


def _about() -> dict[str, Any]:
    """What a reader of GeoParquet looks for in the file's metadata."""
    column = {
        "encoding": "WKB",
        "geometry_types": ["LineString"],
        "crs": _CRS,
        "edges": "planar",
        "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
