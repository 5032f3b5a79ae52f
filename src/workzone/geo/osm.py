"""Ways of OpenStreetMap out of an extract, as features of GeoJSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workzone.errors import ManifestError, MissingExtraError

SUFFIXES = (".osm", ".osm.pbf", ".pbf", ".osm.gz", ".osm.bz2")


def read_ways(path: Path) -> Iterator[dict[str, Any]]:
    """Ways with the key ``highway`` that are no areas, with their tags as properties.

    Nodes that the extract lacks, as at its border, are left out. All nodes of the file are held in
    memory, 8 bytes each and more: cut the extract to where cars drive (``osmium extract``).

    Args:
        path: of XML or PBF, with a suffix out of `SUFFIXES`.

    Raises:
        ManifestError: it cannot be read.
        MissingExtraError: osmium is not installed.
    """
    try:
        import osmium
    except ImportError as error:
        raise MissingExtraError("osmium", "geo", "an extract of OpenStreetMap") from error
    kinds = osmium.osm.NODE | osmium.osm.WAY
    try:
        file = osmium.FileProcessor(path, kinds).with_locations()
        for way in file.with_filter(osmium.filter.KeyFilter("highway")):
            tags = dict(way.tags)
            if way.is_way() and tags.get("area") != "yes":
                nodes = [node.location for node in way.nodes if node.location.valid()]
                places = [[node.lon, node.lat] for node in nodes]
                yield {
                    "geometry": {"type": "LineString", "coordinates": places},
                    "properties": tags,
                }
    except (RuntimeError, OSError) as error:  # osmium has no class for it
        raise ManifestError(
            f"{path} cannot be read as an extract of OpenStreetMap ({error}); download it again, "
            "or write it by `osmium extract`"
        ) from error
