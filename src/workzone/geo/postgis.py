"""A map in PostgreSQL with PostGIS, for several writers: each waits for the one before it."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workzone.errors import MissingExtraError, StoreError
from workzone.geo.database import Box
from workzone.geo.event import Place

if TYPE_CHECKING:
    import psycopg

ADDRESSES = ("postgresql://", "postgres://")
_LOCK = int.from_bytes(b"workzone")  # of `pg_advisory_xact_lock`, in this database
_WAIT = 60.0  # seconds for other processes to end their transactions


_TYPES: Mapping[str, str] = {
    "key": "BIGSERIAL PRIMARY KEY",
    "text": 'TEXT COLLATE "C"',  # in the order of code points, as Python has it
    "number": "DOUBLE PRECISION",
    "time": "TIMESTAMPTZ",
    "bytes": "BYTEA",
    "line": "geometry(LineString, 4326)",
}


class PostGIS:
    """A database as `workzone.geo.database.Database` describes it."""

    def __init__(self, connection: psycopg.Connection[Any], name: str) -> None:
        self.types, self._connection = _TYPES, connection
        self.name = name

    def run(self, sql: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        """See `Database.run`."""
        return self._connection.execute(_query(sql), values or None)  # None: several statements

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """See `Database.many`."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_query(sql), rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database.transaction`."""
        import psycopg

        try:
            with self._connection.transaction():
                self.run(f"SET LOCAL lock_timeout = '{_WAIT:g}s'")
                self.run(f"SELECT pg_advisory_xact_lock({_LOCK})")
                yield
        except psycopg.Error as error:
            raise _refusal(self.name, error) from error

    def tables(self) -> set[str]:
        """See `Database.tables`."""
        found = self.run(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            " AND starts_with(tablename, 'workzone_')"
        )
        return {row[0] for row in found}

    def make(self, tables: str) -> None:
        """See `Database.make`."""
        self.run("CREATE EXTENSION IF NOT EXISTS postgis")
        self.run(tables)
        self.run("CREATE INDEX events_by_place ON events USING GIST (geom)")

    def line(self, places: Sequence[Place]) -> str:
        """Extended well-known binary, in hexadecimal digits."""
        flat = [value for place in places for value in place]
        head = struct.pack("<BIII", 1, _LINE | _WITH_SRID, 4326, len(places))
        return (head + struct.pack(f"<{len(flat)}d", *flat)).hex()

    def places(self, value: str) -> tuple[Place, ...]:
        """Of what PostGIS gives, which is what `line` gives."""
        flat = struct.unpack_from(f"<{(len(value) // 2 - 13) // 8}d", bytes.fromhex(value), 13)
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def within(self, box: Box) -> tuple[str, tuple[float, ...]]:
        """See `Database.within`."""
        return "geom && ST_MakeEnvelope(?, ?, ?, ?, 4326)", box

    def changed(self) -> None:
        """Nothing: PostGIS knows by itself."""


_LINE, _WITH_SRID = 2, 0x20000000


@contextlib.contextmanager
def connect(address: str) -> Iterator[PostGIS]:
    """Open a database of a server.

    Args:
        address: ``postgresql://USER@HOST/DATABASE``, as libpq reads it; a password is better in
            ``~/.pgpass`` or ``PGPASSWORD``. Tables are in the first schema of its search path.

    Raises:
        StoreError: the server cannot be reached, refuses, or has no PostGIS.
        MissingExtraError: psycopg is not installed.
    """
    try:
        import psycopg
    except ImportError as error:
        raise MissingExtraError("psycopg", "postgis", "a map in PostgreSQL") from error
    name = without_password(address)
    try:
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            connection.execute("SET timezone = 'UTC'")
            yield PostGIS(connection, name)
    except psycopg.Error as error:
        raise _refusal(name, error) from error


def without_password(address: str) -> str:
    """An address as it may be shown."""
    shown = re.sub(r"(?<=[?&]password=)[^&]*", "***", address)
    return re.sub(r"(?<=://)([^/?@:]*):[^/?@]*@", r"\1:***@", shown)


def _query(sql: str) -> bytes:
    """With psycopg's signs for values."""
    return sql.replace("?", "%s").encode()


def _refusal(name: str, error: psycopg.Error) -> StoreError:
    reasons = {
        "LockNotAvailable": "other processes write to it; try again when they have ended",
        "FeatureNotSupported": "install PostGIS on the server (Debian: postgresql-NN-postgis-3)",
        "UndefinedFile": "install PostGIS on the server (Debian: postgresql-NN-postgis-3)",
        "InsufficientPrivilege": "let an owner of the database run CREATE EXTENSION postgis, "
        "and grant CREATE on its schema",
        "DuplicateTable": "the schema has tables of these names; name another by "
        "?options=-csearch_path%3DSCHEMA,public",
        "DiskFull": "free some space on the server",
        "OperationalError": "see that the server runs, and the address is right",
    }
    kinds = (kind.__name__ for kind in type(error).__mro__)
    fix = next((reasons[kind] for kind in kinds if kind in reasons), "see the reason")
    return StoreError(f"{name}: {' '.join(str(error).split())}; {fix}")
