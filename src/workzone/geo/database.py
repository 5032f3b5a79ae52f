"""What a store asks of a database; `workzone.geo.geopackage` and `workzone.geo.postgis` are two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from workzone.geo.event import Place

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees; west is not above east."""


class Rows(Protocol):
    """What a query gives."""

    def __iter__(self) -> Iterator[Any]:
        """Row by row."""

    def fetchone(self) -> Any:
        """The first row, or None."""


class Database(Protocol):
    """An open database."""

    name: str  # as errors and commands say it
    types: Mapping[str, str]  # what it calls key, text, number, time, bytes and line

    def run(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """A statement, with ``?`` where values stand."""

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """A statement for each row of values."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; nobody else writes to the map meanwhile.

        Raises:
            StoreError: another process writes to it.
        """

    def tables(self) -> set[str]:
        """Names of tables that are there; on a server, of the map's alone."""

    def make(self, tables: str) -> None:
        """Make tables, and all that other programs need to read ``events`` and ``changes``."""

    def line(self, places: Sequence[Place]) -> Any:
        """A line as a value of its type."""

    def places(self, value: Any) -> tuple[Place, ...]:
        """The places of such a value."""

    def within(self, box: Box) -> tuple[str, tuple[float, ...]]:
        """The condition that an event's own box meets one, by the index of places, and its values.

        An event up to a metre away may meet it, too.
        """

    def changed(self) -> None:
        """Events have changed, in this transaction."""
