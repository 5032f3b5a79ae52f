"""A map in PostgreSQL with PostGIS, for several writers: each waits for the one before it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import re
import struct
import threading
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from workzone.errors import MissingExtraError, StoreError
from workzone.geo.database import Box
from workzone.geo.event import Place
from workzone.geo.postgres_address import connection_arguments, without_password

if TYPE_CHECKING:
    import asyncpg

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


class Rows(list[Any]):
    """What a query gives, as `workzone.geo.database.Rows` describes it."""

    def fetchone(self) -> Any:
        """The first row, or None."""
        return self[0] if self else None


class PostGIS:
    """A database as `workzone.geo.database.Database` describes it."""

    def __init__(self, connection: asyncpg.Connection, session: _Session) -> None:
        self.types, self._connection, self._wait = _TYPES, connection, session.wait
        self.name = session.name

    def run(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """See `Database.run`."""
        return Rows(self._wait(self._connection.fetch(numbered(sql), *values)))

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """See `Database.many`."""
        self._wait(self._connection.executemany(numbered(sql), rows))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Database.transaction`."""
        try:
            self._script(f"BEGIN; SET LOCAL lock_timeout = '{_WAIT:g}s'")
            self._script(f"SELECT pg_advisory_xact_lock({_LOCK})")
            yield
            self._script("COMMIT")
        except BaseException:
            with contextlib.suppress(StoreError):  # a lost connection has ended it, too
                self._script("ROLLBACK")
            raise

    def _script(self, sql: str) -> None:
        """Statements without values."""
        self._wait(self._connection.execute(sql))

    def tables(self) -> set[str]:
        """See `Database.tables`."""
        found = self.run(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            " AND starts_with(tablename, 'workzone_')"
        )
        return {row[0] for row in found}

    def make(self, tables: str) -> None:
        """See `Database.make`."""
        self._script("CREATE EXTENSION IF NOT EXISTS postgis")
        self._script(tables)
        self._script("CREATE INDEX events_by_place ON events USING GIST (geom)")

    def line(self, places: Sequence[Place]) -> str:
        """Extended well-known binary in hexadecimal digits, as asyncpg passes ``geometry``."""
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
        MissingExtraError: asyncpg is not installed.
    """
    try:
        import asyncpg
    except ImportError as error:
        raise MissingExtraError("asyncpg", "postgis", "a map in PostgreSQL") from error
    with _session(without_password(address)) as session:
        try:
            connection = session.wait(asyncpg.connect(**connection_arguments(address)))
        except (ValueError, LookupError):  # which tell parts of it, and maybe of its password
            raise StoreError(
                f"{session.name} cannot be read; write postgresql://USER@HOST:PORT/DATABASE, with "
                "other signs than letters and digits in percent, as %40"
            ) from None
        try:
            times = connection.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=str, decoder=datetime.fromisoformat
            )
            session.wait(times)
            yield PostGIS(connection, session)
        finally:
            with contextlib.suppress(StoreError):
                session.wait(connection.close(timeout=10))


_Result = TypeVar("_Result")


class _Session:
    """Waits for what runs on an event loop, which another thread turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop, self.name = loop, name

    def wait(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """What it gives.

        Raises:
            StoreError: the server refuses, or cannot be reached.
        """
        import asyncpg

        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except (
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            OSError,
        ) as error:
            raise _refusal(self.name, error) from error
        except BaseException:  # as Ctrl-C does
            future.cancel()
            raise


@contextlib.contextmanager
def _session(name: str) -> Iterator[_Session]:
    """A thread of its own, for callers (notebooks) whose thread turns a loop already."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="workzone-postgis", daemon=True)
    thread.start()
    try:
        yield _Session(loop, name)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@functools.cache
def numbered(sql: str) -> str:
    """A statement with ``$1``, ``$2`` for each ``?`` outside of quotes."""
    numbers = itertools.count(1)

    def sign(match: re.Match[str]) -> str:
        return f"${next(numbers)}" if match[0] == "?" else match[0]

    return re.sub(r"""'[^']*'|"[^"]*"|\?""", sign, sql)


def _refusal(name: str, error: Exception) -> StoreError:
    server = "see that the server runs, and the address is right"
    postgis = "install PostGIS on the server (Debian: postgresql-NN-postgis-3)"
    reasons = {  # by asyncpg's names of https://www.postgresql.org/docs/current/errcodes-appendix.html
        "LockNotAvailableError": "other processes write to it; try again when they have ended",
        "FeatureNotSupportedError": postgis,
        "UndefinedFileError": postgis,
        "InsufficientPrivilegeError": "let an owner of the database run CREATE EXTENSION postgis, "
        "and grant CREATE on its schema",
        "DuplicateTableError": "the schema has tables of these names; name another by "
        "?options=-csearch_path%3DSCHEMA,public",
        "UndefinedObjectError": "leave settings out of the address that neither asyncpg nor the "
        "server knows, and name the schema of PostGIS in its search path",
        "DiskFullError": "free some space on the server",
        "PostgresConnectionError": server,
        "InsufficientResourcesError": server,
        "OperatorInterventionError": server,
        "InvalidAuthorizationSpecificationError": server,
        "InvalidCatalogNameError": server,
        "InterfaceError": server,
        "InternalClientError": server,
        "OSError": server,
    }
    kinds = (kind.__name__ for kind in type(error).__mro__)
    fix = next((reasons[kind] for kind in kinds if kind in reasons), "see the reason")
    reason = " ".join(str(error).split()) or type(error).__name__
    return StoreError(f"{name}: {reason}; {fix}")
