"""Ways of OpenStreetMap out of an extract, as features of GeoJSON."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from workzone.errors import ManifestError, needing_geo

SUFFIXES = (".osm", ".osm.pbf", ".pbf", ".osm.gz", ".osm.bz2")


def read_ways(path: Path) -> Iterator[dict[str, Any]]:
    """Ways with the key ``highway`` that are no areas, with their tags as properties.

    Where the extract lacks nodes, as at its border, a way is cut: each part is a feature. All nodes
    of the file are held in memory, 8 bytes each and more: cut the extract to where cars drive
    (``osmium extract``).

    Args:
        path: of XML or PBF, with a suffix out of `SUFFIXES`.

    Raises:
        ManifestError: it cannot be read.
        MissingExtraError: osmium is not installed.
    """
    with needing_geo("an extract of OpenStreetMap"):
        import osmium
    kinds = osmium.osm.NODE | osmium.osm.WAY
    try:
        file = osmium.FileProcessor(path, kinds).with_locations()
        for way in file.with_filter(osmium.filter.KeyFilter("highway")):
            tags = dict(way.tags)
            if way.is_way() and tags.get("area") != "yes":
                for places in _parts(node.location for node in way.nodes):
                    yield {
                        "geometry": {"type": "LineString", "coordinates": places},
                        "properties": tags,
                    }
    except (RuntimeError, OSError) as error:  # osmium has no class for it
        raise ManifestError(
            f"{path} cannot be read as an extract of OpenStreetMap ({error}); download it again, "
            "or write it by `osmium extract`"
        ) from error


def _parts(locations: Iterable[Any]) -> Iterator[list[list[float]]]:
    """Runs of two or more places that the extract has, in degrees."""
    for there, run in itertools.groupby(locations, key=lambda one: one.valid()):
        places = [[one.lon, one.lat] for one in run] if there else []
        if len(places) > 1:
            yield places
