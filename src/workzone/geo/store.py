"""The map on disk: drives, what they saw, and the events that follow, in a database.

That is a GeoPackage, or PostgreSQL with PostGIS. QGIS and other programs open both and show the
table ``events``; ``changes`` holds their history. One process writes at a time, in transactions: a
process that is killed leaves the store as it was before.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from workzone.errors import StoreError
from workzone.geo import geopackage, postgis
from workzone.geo.config import MapConfig
from workzone.geo.database import Database
from workzone.geo.detections import Drive
from workzone.geo.event import Change, Event
from workzone.geo.event_row import COLUMNS, event_of, moment, values_of
from workzone.geo.profiles import Profile
from workzone.geo.query import EventQuery, stamp
from workzone.geo.roads import NETWORK, Line

_FORMAT = "3"
_TABLES = """
CREATE TABLE workzone_meta (name {text} PRIMARY KEY, value {text} NOT NULL);
CREATE TABLE workzone_drives (
  id {text} PRIMARY KEY, digest {text} NOT NULL, first {number} NOT NULL, last {number} NOT NULL,
  frames {bytes});
CREATE TABLE workzone_lines (
  ordinal {key}, id {text} NOT NULL UNIQUE, first {number} NOT NULL, drive {text} NOT NULL,
  number INTEGER NOT NULL, settled INTEGER NOT NULL, road {text}, places {bytes} NOT NULL);
CREATE TABLE workzone_profiles (
  ordinal {key}, line {text} NOT NULL, time {number} NOT NULL, first {number} NOT NULL,
  drive {text} NOT NULL, number INTEGER NOT NULL, body {bytes} NOT NULL);
CREATE INDEX workzone_profiles_by_line ON workzone_profiles (line);
CREATE TABLE workzone_states (
  line {text} NOT NULL, kind {text} NOT NULL, body {bytes} NOT NULL, PRIMARY KEY (line, kind));
CREATE TABLE events (
  fid {key}, geom {line}, id {text} NOT NULL UNIQUE, state {text} NOT NULL,
  confidence {number} NOT NULL, heading {number}, road {text}, first_seen {time} NOT NULL,
  last_seen {time} NOT NULL, last_passed {time} NOT NULL, gone_since {time},
  passes INTEGER NOT NULL, sightings INTEGER NOT NULL, length_m {number} NOT NULL,
  error_m {number} NOT NULL, images {text} NOT NULL, classes {text} NOT NULL, line {text} NOT NULL);
CREATE INDEX events_by_line ON events (line);
CREATE TABLE changes (
  fid {key}, event {text} NOT NULL, time {time} NOT NULL, what {text} NOT NULL, other {text});
CREATE INDEX changes_by_event ON changes (event);
"""
_NAMES = [*COLUMNS.split(", "), "line"]
_INSERT = f"INSERT INTO events ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608
# An upsert would take the conflict clauses of the R-tree's triggers away.
_UPDATE = f"UPDATE events SET {', '.join(f'{name} = ?' for name in _NAMES)} WHERE id = ?"  # noqa: S608
Kind = Literal["now", "base"]
"""Of a line's state: after all profiles, or after those that were dropped for their age."""


class Store:
    """One map; see :func:`open_store`."""

    def __init__(self, database: Database) -> None:
        self._database, self._run, self._many = database, database.run, database.many
        self.name = database.name  # of the file, or the server's address
        self._touched: set[str] = set()
        self.config = MapConfig.from_json(self.meta("config") or MapConfig().to_json())

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is written within; nobody else writes meanwhile.

        Raises:
            StoreError: another process writes to it, the disk is full, or the file is damaged.
        """
        with self._database.transaction():
            self._touched.clear()
            yield

    def meta(self, name: str) -> str | None:
        """A value by its name."""
        row = self._run("SELECT value FROM workzone_meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, name: str, value: str) -> None:
        """Keep a value by its name."""
        self._run(
            "INSERT INTO workzone_meta VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def digests(self) -> dict[str, str]:
        """Of all drives, those too that were dropped for their age, by id."""
        return dict(self._run("SELECT id, digest FROM workzone_drives"))

    def dropped(self) -> set[str]:
        """Ids of the drives whose frames were dropped for their age."""
        return {row[0] for row in self._run("SELECT id FROM workzone_drives WHERE frames IS NULL")}

    def put_drives(self, drives: Iterable[tuple[Drive, str]]) -> None:
        """Add drives with their digests, or put them in the place of those with their ids."""
        self._many(
            "INSERT INTO workzone_drives VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, first = excluded.first,"
            " last = excluded.last, frames = excluded.frames",
            (
                (d.id, digest, float(d.time[0]), float(d.time[-1]), d.packed())
                for d, digest in drives
            ),
        )

    def drives(self) -> list[Drive]:
        """All that are kept."""
        rows = self._run(
            "SELECT id, frames FROM workzone_drives WHERE frames IS NOT NULL ORDER BY id"
        )
        return [Drive.unpacked(name, body) for name, body in rows]

    def latest(self) -> float | None:
        """The time of the last frame of all, seconds since 1970; None if there is none."""
        value = self._run("SELECT max(last) FROM workzone_drives").fetchone()[0]
        return None if value is None else float(value)

    def drop_drives(self, before: float) -> list[str]:
        """Drop the frames of drives that ended before a time; gives their ids."""
        old = "FROM workzone_drives WHERE frames IS NOT NULL AND last < ?"
        names = [row[0] for row in self._run(f"SELECT id {old}", (before,))]
        self._many("UPDATE workzone_drives SET frames = NULL WHERE id = ?", ((n,) for n in names))
        return names

    def lines(self) -> list[Line]:
        """All lines, in their order; the keys of settled ones are earlier than all passes."""
        rows = self._run(
            "SELECT id, first, drive, number, settled, road, places FROM workzone_lines"
            " ORDER BY settled DESC, first, drive, number, ordinal"
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
            "INSERT INTO workzone_lines (id, first, drive, number, settled, road, places)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    one.id,
                    *one.key,
                    int(one.key == NETWORK),
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
            "INSERT INTO workzone_profiles (line, time, first, drive, number, body)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            ((lines[p.line].id, p.time, *p.key, p.packed()) for p in profiles),
        )

    def profiles(self, line: str, drives: Sequence[str] | None = None) -> list[Profile]:
        """Those on a line, in order, or those of some drives; their ``line`` is 0."""
        rows = self._run(
            "SELECT time, first, drive, number, body FROM workzone_profiles WHERE line = ?"
            " ORDER BY time, first, drive, number, ordinal",
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
        self._run(
            "INSERT INTO workzone_states VALUES (?, ?, ?)"
            " ON CONFLICT (line, kind) DO UPDATE SET body = excluded.body",
            (line, kind, body),
        )

    def clear(self) -> None:
        """Forget all that follows from the drives that are kept, and their events."""
        self._run("DELETE FROM workzone_profiles")
        self._run("DELETE FROM workzone_states WHERE kind = 'now'")
        self._run("DELETE FROM workzone_lines WHERE settled = 0")
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
            values = (self._database.line(event.line), *values_of(event), line)
            if event.id in old:
                self._run(_UPDATE, (*values, event.id))
            else:
                self._run(_INSERT, values)
        self._many(
            "INSERT INTO changes (event, time, what, other) VALUES (?, ?, ?, ?)",
            [(e.id, stamp(c.time), c.what, c.other) for e in events for c in e.history],
        )

    def touch(self, line: str) -> None:
        """Say that the events on a line are to be published."""
        self._touched.add(line)

    def lines_to_publish(self) -> list[Line]:
        """Lines that were touched in this transaction, and those with events that are not gone."""
        live = {row[0] for row in self._run("SELECT line FROM events WHERE state != 'gone'")}
        wanted = self._touched | live
        return [line for line in self.lines() if line.id in wanted]

    def events(self, query: EventQuery | None = None) -> list[Event]:
        """Events as they are at one moment.

        All of them, in order of their first sighting; or those of a query, in order of ids.
        """
        order, table, values = "first_seen, id", "events", list[Any]()
        if query is not None:
            order, (table, values) = "id", query.table(self._database, COLUMNS)
        sql = (
            f"SELECT {COLUMNS}, time, what, other FROM {table}"  # noqa: S608
            f" LEFT JOIN changes ON event = id ORDER BY {order}, changes.fid"
        )
        rows = list(self._run(sql, values))  # at once: meanwhile nobody else can write
        found = []
        for _, several in itertools.groupby(rows, key=lambda row: row[1]):
            changes = list(several)
            history = [Change(moment(t), what, other) for *_, t, what, other in changes if what]
            body, *row = changes[0][:-3]
            found.append(event_of(self._database.places(body), row, tuple(history)))
        return found

    def count(self, query: EventQuery) -> int:
        """How many events a query finds, without reading them."""
        table, values = query.table(self._database, "id")
        row = self._run(f"SELECT count(*) FROM {table}", values).fetchone()  # noqa: S608
        return int(row[0])

    def publish(self) -> None:
        """Say that all events are there, now."""
        self.set_meta("published", stamp(datetime.now(UTC)))
        self._database.changed()

    def newest(self) -> datetime | None:
        """When the newest frame was taken: events are as of then. None: there are no drives."""
        latest = self.latest()
        return None if latest is None else datetime.fromtimestamp(latest, UTC)

    def published(self) -> datetime | None:
        """When events were last written: another time, other events.

        The time of the newest frame, where that was not kept yet; None where there is none.
        """
        if (value := self.meta("published")) is not None:
            return datetime.fromisoformat(value)
        return self.newest()


@contextlib.contextmanager
def open_store(
    path: Path | str, *, config: MapConfig | None = None, create: bool = True
) -> Iterator[Store]:
    """Open a store, or make one.

    Args:
        path: of a GeoPackage; ``":memory:"`` for one that is not kept; or the address of a
            PostgreSQL database with PostGIS, ``postgresql://USER@HOST/DATABASE``.
        config: of a new store; an old one keeps its own.
        create: whether a new one may be made.

    Raises:
        StoreError: no such store, or none (an empty file, too) where none may be made.
    """
    with _connected(path, create) as database:
        if create and not database.tables():
            _make(database, config or MapConfig())
        _check(database)
        yield Store(database)


def _connected(path: Path | str, create: bool) -> contextlib.AbstractContextManager[Database]:
    if str(path).startswith(postgis.ADDRESSES):
        return postgis.connect(str(path))
    return geopackage.connect(path, create=create)


def _make(database: Database, config: MapConfig) -> None:
    """Make the tables of a new store, in one transaction."""
    with database.transaction():
        if database.tables():
            return  # somebody else made them meanwhile
        database.make(_TABLES.format(**database.types))
        database.many(
            "INSERT INTO workzone_meta VALUES (?, ?)",
            [("format", _FORMAT), ("config", config.to_json())],
        )


def _check(database: Database) -> None:
    """Make sure that it is a store, of this version."""
    names = database.tables()
    if not names:
        raise StoreError(
            f"{database.name} is empty; make a map of drives with `workzone map update`"
        )
    if "workzone_meta" not in names:
        raise StoreError(
            f"{database.name} is a database of something else; name a new file, or one that "
            "`workzone map update` made"
        )
    row = database.run("SELECT value FROM workzone_meta WHERE name = 'format'").fetchone()
    if row is None or row[0] != _FORMAT:
        raise StoreError(
            f"{database.name} was made by another version of workzone; make a new store of its "
            "drives"
        )
