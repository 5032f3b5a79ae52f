"""Which events of a store are wanted, and how a database is asked for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workzone.geo.database import Box, Database
from workzone.geo.event import State


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """Events that meet all of this."""

    limit: int  # so many at most, those with the first ids
    after: str = ""  # ids that come after this one
    boxes: tuple[Box, ...] = ()  # whose own box meets one of these, to a metre; (): anywhere
    states: tuple[State, ...] = ()  # in one of these; (): in any
    begin: datetime | None = None  # not gone before this time
    end: datetime | None = None  # first seen by this time

    def table(self, database: Database, columns: str) -> tuple[str, list[Any]]:
        """Some columns of these events as a table in SQL, and the values in it."""
        parts = ["id > ?"]
        values: list[Any] = [self.after]
        if self.boxes:
            within = [database.within(box) for box in self.boxes]
            parts.append(f"({' OR '.join(sql for sql, _ in within)})")
            values += [value for _, several in within for value in several]
        if self.states:
            parts.append(f"state IN ({', '.join('?' * len(self.states))})")
            values += self.states
        if self.begin is not None:
            parts.append("(state != 'gone' OR coalesce(gone_since, last_passed) >= ?)")
            values.append(stamp(self.begin))
        if self.end is not None:
            parts.append("first_seen <= ?")
            values.append(stamp(self.end))
        sql = f"SELECT {columns} FROM events WHERE {' AND '.join(parts)} ORDER BY id LIMIT ?"  # noqa: S608
        return f"({sql}) AS wanted", [*values, self.limit]


def stamp(time: datetime) -> str:
    """A time in UTC as databases take it; such texts have the order of their times."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")
