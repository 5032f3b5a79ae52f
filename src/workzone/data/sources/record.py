"""What every reader yields: rows as the source gives them, not yet checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workzone.types import ImageRef


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source.

    ``image`` holds an absolute path, or is None where the row names no image. ``values`` maps our
    field names (those of ``Sample``, and ``gps`` for a place in one value) to raw values.
    ``problem`` is a code and a reason where the row itself cannot be used; ``cleared`` are those of
    fields that the reader left empty because nothing tells them for sure.
    """

    default_id: str  # the id where the source gives none
    where: str  # the row, for messages: "labels.csv line 3"
    image: ImageRef | None
    values: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    cleared: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that was found: its name, its rows, and what the user should know of it."""

    name: str
    total: int  # rows
    records: Callable[[], Iterator[Record]]
    source_columns: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
