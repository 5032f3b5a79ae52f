"""A file of published works, by what is in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workzone.errors import FeedError, UsageError
from workzone.geo.feed_file import is_xml, parsed_json, read_content
from workzone.geo.read.datex import read_datex
from workzone.geo.read.geojson import read_geojson
from workzone.geo.read.registers import read_register
from workzone.geo.read.wzdx import is_wzdx, read_wzdx
from workzone.geo.validate.xml import read_xml
from workzone.geo.works import Work, Works


def read_works(path: Path, *, crs: str | None = None, register: str | None = None) -> Works:
    """Works that somebody has published: WZDx, DATEX II, GeoJSON, or a register's own records.

    Each names the file as its source.

    Args:
        path: XML is DATEX II, JSON with ``feed_info`` WZDx, other features are GeoJSON.
        crs: such as ``EPSG:27700``: what its places are in, where it does not say so itself. WZDx
            is in degrees whatever this says.
        register: whose records the file has, see `workzone.geo.read.registers.registers`.

    Raises:
        FeedError: it cannot be read, or is none of these, or a place cannot be.
        UsageError: there is no such system of coordinates, or no such register.
        MissingExtraError: an extra is needed that is not installed.
    """
    content = read_content(path)
    try:
        if is_xml(content) and register is None:
            told = read_datex(read_xml(content), crs)
        else:
            told = _read_json(content, crs, register)
    except (FeedError, UsageError) as error:
        raise type(error)(f"{path}: {error}") from error
    return replace(told, works=tuple(_written(work, str(path)) for work in told.works))


def _written(work: Work, source: str) -> Work:
    """A work whose text can be written, with its source: JSON may hold halves of characters."""
    road = None if work.road is None else _whole(work.road)
    return replace(work, id=_whole(work.id), road=road, source=source)


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_json(content: bytes, crs: str | None, register: str | None) -> Works:
    told = parsed_json(content, "WZDx, GeoJSON")
    if register is not None:
        return read_register(told, register, crs)
    if not isinstance(told, dict) or not isinstance(told.get("features"), list):
        raise FeedError(
            "has no 'features'; WZDx and GeoJSON are a FeatureCollection, and of the records of a "
            "register --register says whose they are"
        )
    return read_wzdx(told) if is_wzdx(told) else read_geojson(told, crs)
