"""The map on disk: drives, what they saw, and the events that follow, in one GeoPackage.

QGIS and other programs open it and show the table ``events``; ``changes`` holds their history. One
process writes at a time, in transactions: a process that is killed leaves the store as it was
before. The methods of `Store` are all that is asked of it (`workzone.geo.update` has the rest), so
that another database can take its place.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workzone.errors import StoreError
from workzone.geo import gpkg
from workzone.geo.config import MapConfig
from workzone.geo.detections import Drive
from workzone.geo.event import Change, Event
from workzone.geo.profiles import Profile
from workzone.geo.roads import NETWORK, Line

_FORMAT = "2"
_WAIT = 10.0  # seconds for another process to end its transaction
_TABLES = """
CREATE TABLE workzone_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE workzone_drives (
  id TEXT PRIMARY KEY, digest TEXT NOT NULL, first REAL NOT NULL, last REAL NOT NULL, frames BLOB);
CREATE TABLE workzone_lines (
  id TEXT PRIMARY KEY, first REAL NOT NULL, drive TEXT NOT NULL, number INTEGER NOT NULL,
  settled INTEGER NOT NULL, road TEXT, places BLOB NOT NULL);
CREATE TABLE workzone_profiles (
  line TEXT NOT NULL, time REAL NOT NULL, first REAL NOT NULL, drive TEXT NOT NULL,
  number INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX workzone_profiles_by_line ON workzone_profiles (line);
CREATE TABLE workzone_states (
  line TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (line, kind));
CREATE TABLE events (
  fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom LINESTRING, id TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL, confidence DOUBLE NOT NULL, heading DOUBLE, road TEXT,
  first_seen DATETIME NOT NULL, last_seen DATETIME NOT NULL, last_passed DATETIME NOT NULL,
  gone_since DATETIME, passes INTEGER NOT NULL, sightings INTEGER NOT NULL,
  length_m DOUBLE NOT NULL, error_m DOUBLE NOT NULL, images TEXT NOT NULL, classes TEXT NOT NULL,
  line TEXT NOT NULL);
CREATE INDEX events_by_line ON events (line);
CREATE TABLE changes (
  fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, event TEXT NOT NULL, time DATETIME NOT NULL,
  what TEXT NOT NULL, other TEXT);
CREATE INDEX changes_by_event ON changes (event);
"""
_COLUMNS = (
    "geom, id, state, confidence, heading, road, first_seen, last_seen, last_passed, gone_since, "
    "passes, sightings, length_m, error_m, images, classes"
)
_NAMES = [*_COLUMNS.split(", "), "line"]
_INSERT = f"INSERT INTO events ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608
# An upsert would take the conflict clauses of the R-tree's triggers away.
_UPDATE = f"UPDATE events SET {', '.join(f'{name} = ?' for name in _NAMES)} WHERE id = ?"  # noqa: S608
Kind = Literal["now", "base"]
"""Of a line's state: after all profiles, or after those that were dropped for their age."""


class Store:
    """One GeoPackage; see :func:`open_store`."""

    def __init__(self, connection: sqlite3.Connection, path: Path | str) -> None:
        self._run = connection.execute
        self._many = connection.executemany
        self._connection, self.path = connection, path
        self._touched: set[str] = set()
        self.config = MapConfig.from_json(self.meta("config") or MapConfig().to_json())

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within; nobody else writes meanwhile.

        Raises:
            StoreError: another process writes to it, the disk is full, or the file is damaged.
        """
        try:
            self._run("BEGIN IMMEDIATE")
            self._touched.clear()
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._run("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _refusal(self.path, error) from error

    def meta(self, name: str) -> str | None:
        """A value by its name."""
        row = self._run("SELECT value FROM workzone_meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value by its name."""
        self._run("INSERT OR REPLACE INTO workzone_meta VALUES (?, ?)", (name, value))

    def digests(self) -> dict[str, str]:
        """Of all drives, those too that were dropped for their age, by id."""
        return dict(self._run("SELECT id, digest FROM workzone_drives"))

    def dropped(self) -> set[str]:
        """Ids of the drives whose frames were dropped for their age."""
        return {row[0] for row in self._run("SELECT id FROM workzone_drives WHERE frames IS NULL")}

    def put_drives(self, drives: Iterable[tuple[Drive, str]]) -> None:
        """Add drives with their digests, or put them in the place of those with their ids."""
        self._many(
            "INSERT OR REPLACE INTO workzone_drives VALUES (?, ?, ?, ?, ?)",
            (
                (d.id, digest, float(d.time[0]), float(d.time[-1]), d.packed())
                for d, digest in drives
            ),
        )

    def drives(self) -> list[Drive]:
        """All that are kept."""
        rows = self._run("SELECT id, frames FROM workzone_drives WHERE frames NOT NULL ORDER BY id")
        return [Drive.unpacked(name, body) for name, body in rows]

    def latest(self) -> float | None:
        """The time of the last frame of all, seconds since 1970; None if there is none."""
        value = self._run("SELECT max(last) FROM workzone_drives").fetchone()[0]
        return None if value is None else float(value)

    def drop_drives(self, before: float) -> list[str]:
        """Drop the frames of drives that ended before a time; gives their ids."""
        old = "FROM workzone_drives WHERE frames NOT NULL AND last < ?"
        names = [row[0] for row in self._run(f"SELECT id {old}", (before,))]
        self._many("UPDATE workzone_drives SET frames = NULL WHERE id = ?", ((n,) for n in names))
        return names

    def lines(self) -> list[Line]:
        """All lines, in their order; the keys of settled ones are earlier than all passes."""
        rows = self._run(
            "SELECT id, first, drive, number, settled, road, places FROM workzone_lines"
            " ORDER BY settled DESC, first, drive, number, rowid"
        )
        found = []
        for name, first, drive, number, settled, road, body in rows:
            lon, lat = np.frombuffer(body, "<f8").reshape(2, -1)
            key = (-math.inf if settled else first, drive, number)
            found.append(Line(name, key, lon, lat, road))
        return found

    def add_lines(self, lines: Iterable[Line]) -> None:
        """Keep lines; those of a network are settled."""
        self._many(
            "INSERT INTO workzone_lines VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    one.id,
                    *one.key,
                    one.key == NETWORK,
                    one.road,
                    np.stack([one.longitude, one.latitude]).tobytes(),
                )
                for one in lines
            ),
        )

    def settle_lines(self, before: float) -> None:
        """Make lines that were drawn before a time earlier than all passes, in their order."""
        self._run("UPDATE workzone_lines SET settled = 1 WHERE first < ?", (before,))

    def add_profiles(self, profiles: Iterable[Profile], lines: Sequence[Line]) -> None:
        """Keep profiles, whose numbers are those of ``lines``."""
        self._many(
            "INSERT INTO workzone_profiles VALUES (?, ?, ?, ?, ?, ?)",
            ((lines[p.line].id, p.time, *p.key, p.packed()) for p in profiles),
        )

    def profiles(self, line: str, drives: Sequence[str] | None = None) -> list[Profile]:
        """Those on a line, in order, or those of some drives; their ``line`` is 0."""
        rows = self._run(
            "SELECT time, first, drive, number, body FROM workzone_profiles WHERE line = ?"
            " ORDER BY time, first, drive, number, rowid",
            (line,),
        )
        kept = None if drives is None else set(drives)
        return [
            Profile.unpacked(0, (first, drive, number), time, body)
            for time, first, drive, number, body in rows
            if kept is None or drive in kept
        ]

    def state(self, line: str, kind: Kind) -> bytes | None:
        """The state of a line."""
        query = "SELECT body FROM workzone_states WHERE line = ? AND kind = ?"
        row = self._run(query, (line, kind)).fetchone()
        return None if row is None else bytes(row[0])

    def put_state(self, line: str, kind: Kind, body: bytes) -> None:
        """Keep the state of a line."""
        self._run("INSERT OR REPLACE INTO workzone_states VALUES (?, ?, ?)", (line, kind, body))

    def clear(self) -> None:
        """Forget all that follows from the drives that are kept, and their events."""
        self._run("DELETE FROM workzone_profiles")
        self._run("DELETE FROM workzone_states WHERE kind = 'now'")
        self._run("DELETE FROM workzone_lines WHERE NOT settled")
        self._run(
            "DELETE FROM changes WHERE event IN"
            " (SELECT id FROM events WHERE line NOT IN (SELECT id FROM workzone_lines))"
        )
        self._run("DELETE FROM events WHERE line NOT IN (SELECT id FROM workzone_lines)")
        self._touched.update(row[0] for row in self._run("SELECT id FROM workzone_lines"))

    def put_events(self, line: str, events: Sequence[Event]) -> None:
        """Make these the events on a line."""
        old = {row[0] for row in self._run("SELECT id FROM events WHERE line = ?", (line,))}
        gone = [(name,) for name in old - {event.id for event in events}]
        self._many("DELETE FROM events WHERE id = ?", gone)
        self._many("DELETE FROM changes WHERE event = ?", [(name,) for name in old])
        for event in events:
            values = (*_row(event), line)
            if event.id in old:
                self._run(_UPDATE, (*values, event.id))
            else:
                self._run(_INSERT, values)
        self._many(
            "INSERT INTO changes (event, time, what, other) VALUES (?, ?, ?, ?)",
            [(e.id, _text(c.time), c.what, c.other) for e in events for c in e.history],
        )

    def touch(self, line: str) -> None:
        """Say that the events on a line are to be published."""
        self._touched.add(line)

    def lines_to_publish(self) -> list[Line]:
        """Lines that were touched in this transaction, and those with events that are not gone."""
        live = {row[0] for row in self._run("SELECT line FROM events WHERE state != 'gone'")}
        wanted = self._touched | live
        return [line for line in self.lines() if line.id in wanted]

    def events(self) -> list[Event]:
        """All events, in order of their first sighting."""
        history: dict[str, list[Change]] = {}
        for name, time, what, other in self._run(
            "SELECT event, time, what, other FROM changes ORDER BY fid"
        ):
            history.setdefault(name, []).append(Change(datetime.fromisoformat(time), what, other))
        rows = self._run(f"SELECT {_COLUMNS} FROM events ORDER BY first_seen, id")  # noqa: S608
        return [_event(row, tuple(history.get(row[1], ()))) for row in rows]

    def set_bounds(self) -> None:
        """Say in the GeoPackage's contents where events are, and of when that is."""
        self._run("UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
        self._run(
            "UPDATE gpkg_contents SET (min_x, max_x, min_y, max_y) = (SELECT min(ST_MinX(geom)),"
            " max(ST_MaxX(geom)), min(ST_MinY(geom)), max(ST_MaxY(geom)) FROM events)"
            " WHERE table_name = 'events'"
        )


@contextlib.contextmanager
def open_store(
    path: Path | str, *, config: MapConfig | None = None, create: bool = True
) -> Iterator[Store]:
    """Open a store, or make one.

    Args:
        path: of a GeoPackage; ``":memory:"`` for one that is not kept.
        config: of a new store; an old one keeps its own.
        create: whether a new one may be made.

    Raises:
        StoreError: a file that is no such store, or none (or an empty file) where none may be made.
    """
    if not create and not Path(path).is_file():
        raise StoreError(f"{path} does not exist; make it with `workzone map update`")
    try:
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None)
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    try:
        gpkg.add_functions(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if create:
            _make(connection, config or MapConfig())
        _check(connection, path)
        store = Store(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _refusal(path, error) from error
    except BaseException:
        connection.close()
        raise
    try:
        yield store
    except sqlite3.Error as error:
        raise _refusal(path, error) from error
    finally:
        store.close()


def _make(connection: sqlite3.Connection, config: MapConfig) -> None:
    """Make the tables of a new store, in one transaction."""
    if not _names(connection):
        connection.execute("BEGIN IMMEDIATE")
        if not _names(connection):  # nobody else made them meanwhile
            _add_tables(connection, config)
        connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path | str) -> None:
    """Make sure that it is a store, of this version."""
    names = _names(connection)
    if not names:
        raise StoreError(f"{path} is empty; make a map of drives with `workzone map update`")
    if "workzone_meta" not in names:
        raise StoreError(
            f"{path} is a database of something else; name a new file, or one that "
            "`workzone map update` made"
        )
    row = connection.execute("SELECT value FROM workzone_meta WHERE name = 'format'").fetchone()
    if row is None or row[0] != _FORMAT:
        raise StoreError(
            f"{path} was made by another version of workzone; make a new store of its drives"
        )


def _names(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def _add_tables(connection: sqlite3.Connection, config: MapConfig) -> None:
    gpkg.make(connection)
    gpkg.run_script(connection, _TABLES)
    gpkg.add_features(connection, "events", "Work zones: where they lie, since when, how sure")
    gpkg.add_attributes(connection, "changes", "What became of events")
    connection.executemany(
        "INSERT INTO workzone_meta VALUES (?, ?)",
        [("format", _FORMAT), ("config", config.to_json())],
    )


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


def _text(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _row(event: Event) -> tuple[Any, ...]:
    """An event as values of `_COLUMNS`."""
    gone = None if event.gone_since is None else _text(event.gone_since)
    return (
        gpkg.line(event.line),
        event.id,
        event.state,
        event.confidence,
        event.heading,
        event.road,
        _text(event.first_seen),
        _text(event.last_seen),
        _text(event.last_passed),
        gone,
        event.passes,
        event.sightings,
        event.length_m,
        event.error_m,
        json.dumps(event.images),
        json.dumps(event.classes),
    )


def _event(row: Sequence[Any], history: tuple[Change, ...]) -> Event:
    (body, name, state, confidence, heading, road, first, last, passed, gone, *numbers) = row
    passes, sightings, length, error, images, classes = numbers
    return Event(
        id=name,
        state=state,
        confidence=confidence,
        line=gpkg.places_of(body),
        heading=heading,
        road=road,
        first_seen=datetime.fromisoformat(first),
        last_seen=datetime.fromisoformat(last),
        last_passed=datetime.fromisoformat(passed),
        gone_since=None if gone is None else datetime.fromisoformat(gone),
        passes=passes,
        sightings=sightings,
        length_m=length,
        error_m=error,
        images=tuple(json.loads(images)),
        classes=tuple(json.loads(classes)),
        history=history,
    )
