"""Tables and geometries of a GeoPackage (OGC 12-128r19, version 1.4), in SQLite."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence

from workzone.geo.event import Place

APPLICATION_ID = 0x47504B47  # "GPKG"
USER_VERSION = 10400
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433],AUTHORITY["EPSG","4326"]]'
)
_TABLES = """
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
  description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
  srs_id INTEGER REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL UNIQUE REFERENCES gpkg_contents(table_name),
  column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
  srs_id INTEGER NOT NULL REFERENCES gpkg_spatial_ref_sys(srs_id),
  z TINYINT NOT NULL, m TINYINT NOT NULL, PRIMARY KEY (table_name, column_name));
CREATE TABLE gpkg_extensions (
  table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL,
  scope TEXT NOT NULL, UNIQUE (table_name, column_name, extension_name));
"""
# Annex F.3, "RTree Spatial Indexes", for a table t with the column geom and the key fid.
_RTREE = """
CREATE VIRTUAL TABLE rtree_{t}_geom USING rtree(id, minx, maxx, miny, maxy);
CREATE TRIGGER rtree_{t}_geom_insert AFTER INSERT ON {t}
  WHEN NEW.geom NOT NULL AND NOT ST_IsEmpty(NEW.geom)
BEGIN INSERT OR REPLACE INTO rtree_{t}_geom VALUES (NEW.fid,
  ST_MinX(NEW.geom), ST_MaxX(NEW.geom), ST_MinY(NEW.geom), ST_MaxY(NEW.geom)); END;
CREATE TRIGGER rtree_{t}_geom_update6 AFTER UPDATE OF geom ON {t}
  WHEN OLD.fid = NEW.fid AND NEW.geom NOT NULL AND NOT ST_IsEmpty(NEW.geom)
BEGIN INSERT OR REPLACE INTO rtree_{t}_geom VALUES (NEW.fid,
  ST_MinX(NEW.geom), ST_MaxX(NEW.geom), ST_MinY(NEW.geom), ST_MaxY(NEW.geom)); END;
CREATE TRIGGER rtree_{t}_geom_update2 AFTER UPDATE OF geom ON {t}
  WHEN OLD.fid = NEW.fid AND (NEW.geom IS NULL OR ST_IsEmpty(NEW.geom))
BEGIN DELETE FROM rtree_{t}_geom WHERE id = OLD.fid; END;
CREATE TRIGGER rtree_{t}_geom_update5 AFTER UPDATE ON {t}
  WHEN OLD.fid != NEW.fid AND NEW.geom NOT NULL AND NOT ST_IsEmpty(NEW.geom)
BEGIN DELETE FROM rtree_{t}_geom WHERE id = OLD.fid;
  INSERT OR REPLACE INTO rtree_{t}_geom VALUES (NEW.fid,
  ST_MinX(NEW.geom), ST_MaxX(NEW.geom), ST_MinY(NEW.geom), ST_MaxY(NEW.geom)); END;
CREATE TRIGGER rtree_{t}_geom_update4 AFTER UPDATE ON {t}
  WHEN OLD.fid != NEW.fid AND (NEW.geom IS NULL OR ST_IsEmpty(NEW.geom))
BEGIN DELETE FROM rtree_{t}_geom WHERE id IN (OLD.fid, NEW.fid); END;
CREATE TRIGGER rtree_{t}_geom_delete AFTER DELETE ON {t} WHEN OLD.geom NOT NULL
BEGIN DELETE FROM rtree_{t}_geom WHERE id = OLD.fid; END;
"""


def make(connection: sqlite3.Connection) -> None:
    """Make the tables that every GeoPackage has."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {USER_VERSION}")
    run_script(connection, _TABLES)
    connection.executemany(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)",
        [
            ("WGS 84", 4326, "EPSG", 4326, _WGS84, "longitude, latitude"),
            ("Undefined Cartesian", -1, "NONE", -1, "undefined", None),
            ("Undefined geographic", 0, "NONE", 0, "undefined", None),
        ],
    )


def add_features(connection: sqlite3.Connection, table: str, description: str) -> None:
    """Register a table of lines with the columns ``fid`` and ``geom``; index them where it can."""
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)"
        " VALUES (?, 'features', ?, ?, 4326)",
        (table, table, description),
    )
    connection.execute(
        "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'LINESTRING', 4326, 0, 0)", (table,)
    )
    if connection.execute("SELECT sqlite_compileoption_used('ENABLE_RTREE')").fetchone()[0]:
        run_script(connection, _RTREE.format(t=table))
        connection.execute(
            "INSERT INTO gpkg_extensions VALUES (?, 'geom', 'gpkg_rtree_index',"
            " 'http://www.geopackage.org/spec120/#extension_rtree', 'write-only')",
            (table,),
        )


def add_attributes(connection: sqlite3.Connection, table: str, description: str) -> None:
    """Register a table without places."""
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description)"
        " VALUES (?, 'attributes', ?, ?)",
        (table, table, description),
    )


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that the triggers of an R-tree call."""
    for number, name in enumerate(("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")):
        connection.create_function(
            name, 1, lambda body, n=number: _envelope(body)[n], deterministic=True
        )
    connection.create_function("ST_IsEmpty", 1, lambda body: body[3] >> 4 & 1, deterministic=True)


def line(places: Sequence[Place]) -> bytes:
    """A LineString as a GeoPackage's binary: header with envelope, then well-known binary."""
    xs, ys = zip(*places, strict=True)
    head = struct.pack("<2sBBi4d", b"GP", 0, 0b00000011, 4326, min(xs), max(xs), min(ys), max(ys))
    flat = [value for place in places for value in place]
    return head + struct.pack(f"<BII{len(flat)}d", 1, 2, len(places), *flat)


def places_of(body: bytes) -> tuple[Place, ...]:
    """The places of what `line` wrote."""
    count = struct.unpack_from("<I", body, 45)[0]
    flat = struct.unpack_from(f"<{2 * count}d", body, 49)
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _envelope(body: bytes) -> tuple[float, float, float, float]:
    low_x, high_x, low_y, high_y = struct.unpack_from("<4d", body, 8)
    return low_x, high_x, low_y, high_y


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """Statements one by one, within the transaction (``executescript`` would end it)."""
    statement = ""
    for text in script.splitlines(keepends=True):
        statement += text
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
