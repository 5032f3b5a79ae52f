"""A map in a GeoPackage: one file, which QGIS and other programs open, for one writer at a time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workzone.errors import StoreError
from workzone.geo import gpkg
from workzone.geo.database import Box
from workzone.geo.event import Place

_WAIT = 10.0  # seconds for another process to end its transaction


_TYPES: Mapping[str, str] = {
    "key": "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL",
    "text": "TEXT",
    "number": "DOUBLE",
    "time": "DATETIME",
    "bytes": "BLOB",
    "line": "LINESTRING",
}


class GeoPackage:
    """A database as `workzone.geo.database.Database` describes it."""

    def __init__(self, connection: sqlite3.Connection, path: Path | str) -> None:
        self.types, self._connection = _TYPES, connection
        self.name = str(path)

    def run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """See `Database.run`."""
        return self._connection.execute(sql, values)

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """See `Database.many`."""
        self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database.transaction`."""
        try:
            self.run("BEGIN IMMEDIATE")
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.run("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _refusal(self.name, error) from error

    def tables(self) -> set[str]:
        """See `Database.tables`."""
        return {row[0] for row in self.run("SELECT name FROM sqlite_master")}

    def make(self, tables: str) -> None:
        """See `Database.make`."""
        gpkg.make(self._connection)
        gpkg.run_script(self._connection, tables)
        gpkg.add_features(self._connection, "events", "Work zones: where they lie, since when")
        gpkg.add_attributes(self._connection, "changes", "What became of events")

    def line(self, places: Sequence[Place]) -> bytes:
        """See `Database.line`."""
        return gpkg.line(places)

    def places(self, value: bytes) -> tuple[Place, ...]:
        """See `Database.places`."""
        return gpkg.places_of(value)

    def within(self, box: Box) -> tuple[str, tuple[float, ...]]:
        """See `Database.within`."""
        west, south, east, north = box
        values = (east, west, north, south)
        if "rtree_events_geom" in self.tables():
            return (
                "fid IN (SELECT id FROM rtree_events_geom"
                " WHERE minx <= ? AND maxx >= ? AND miny <= ? AND maxy >= ?)",
                values,
            )
        return (  # made by an SQLite without such trees
            "ST_MinX(geom) <= ? AND ST_MaxX(geom) >= ?"
            " AND ST_MinY(geom) <= ? AND ST_MaxY(geom) >= ?",
            values,
        )

    def changed(self) -> None:
        """Say in the GeoPackage's contents where events are, and of when that is."""
        self.run("UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
        self.run(
            "UPDATE gpkg_contents SET (min_x, max_x, min_y, max_y) = (SELECT min(ST_MinX(geom)),"
            " max(ST_MaxX(geom)), min(ST_MinY(geom)), max(ST_MaxY(geom)) FROM events)"
            " WHERE table_name = 'events'"
        )


@contextlib.contextmanager
def connect(path: Path | str, *, create: bool) -> Iterator[GeoPackage]:
    """Open a file, or make one.

    Raises:
        StoreError: a file that is no database or cannot be written, or none where none may be made.
    """
    if not create and not Path(path).is_file():
        raise StoreError(f"{path} does not exist; make it with `workzone map update`")
    try:
        connection = _opened(path, create)
        try:
            gpkg.add_functions(connection)
            connection.execute("PRAGMA synchronous = FULL")
            # What a long transaction changes stays in memory until its end: who reads never waits
            # for more than that end.
            connection.execute("PRAGMA cache_spill = OFF")
            yield GeoPackage(connection, path)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _refusal(path, error) from error


def _opened(path: Path | str, create: bool) -> sqlite3.Connection:
    if create:
        return sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    # Not read-only: whoever opens a file whose writer was killed takes back what it left.
    address = f"{Path(path).resolve().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)


def _refusal(path: Path | str, error: sqlite3.Error) -> StoreError:
    reasons = {
        "locked": "another process writes to it; try again when that has ended",
        "not a database": "it is no GeoPackage; name a new file, or one that `map update` made",
        "malformed": "the file is damaged; make a new store of the drives",
        "unable to open": "its folder does not exist, or cannot be written",
        "readonly": "it cannot be written; name another file",
        "full": "the disk is full; free some space",
    }
    fix = next((text for sign, text in reasons.items() if sign in str(error)), "see the reason")
    return StoreError(f"{path}: {error}; {fix}")
