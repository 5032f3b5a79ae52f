"""The quarantine: what did not get through, why, and what was done about it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from workzone.files import writing

_LONGEST = {"id": 200, "image": 200, "reason": 400}  # characters


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """One row of the quarantine table."""

    id: str
    image: str  # the reference, as text
    action: Literal["row left out", "field cleared"]
    code: str  # a short stable word, such as "truncated" or "coordinates-swapped"
    reason: str  # the whole sentence

    def __post_init__(self) -> None:
        """Cut what a row says endlessly: the table is to be read, and no larger than its source."""
        for name, longest in _LONGEST.items():
            text = getattr(self, name)
            if len(text) > longest:
                object.__setattr__(self, name, text[: longest - 3] + "...")


def write_quarantine(entries: Iterable[QuarantineEntry], path: Path) -> None:
    """Write the table as CSV (a header row alone where nothing was wrong)."""
    with writing(path) as aside, aside.open("w", newline="", encoding="utf-8") as handle:
        table = csv.writer(handle)
        table.writerow([column.name for column in fields(QuarantineEntry)])
        table.writerows(astuple(entry) for entry in entries)


def count_by_code(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """How many entries there are of each code, most frequent first."""
    return dict(Counter(entry.code for entry in entries).most_common())
