"""Which images belong to one drive, where a data set counts clips within drives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from workzone.data.passed_over import counted
from workzone.data.sources.times import parse_time
from workzone.data.sources.values import FieldError, as_number, as_word

OWN = ("group", "sequence", "sequence_id")
"""Columns whose value is the group as it stands."""
DRIVES = (
    *("video_info.vid_id", "video_info_vid_id", "vid_id", "video_id", "video"),
    *("drive", "drive_id"),
)
"""Columns that name a drive."""
CLIPS = ("video_info.seq_id", "video_info_seq_id", "seq_id", "seq")
"""Columns that may only number the clips within a drive."""
CITIES = ("city_name", "city", "town", "municipality")
"""Columns that say where an image is, written as `columns.map_columns` compares them."""

PLACEHOLDERS = frozenset({"unknown", "unk", "undefined", "-", "--", "-1", "?", "none"})
"""Texts that stand for a drive, clip or city that is missing; a drive of 0 is one beside a clip."""

Certainty = Literal["drive", "number", "place", "clip"]
"""What a group rests on: a drive, its bare number, a clip with its city or day, a clip alone."""

_SMALL = 10**6  # numbers below count drives; longer ones are made to name one drive


@dataclass(frozen=True, slots=True)
class GroupColumns:
    """The columns that tell the group: its own, that of the drive, or clip, city and time."""

    own: tuple[str, ...]
    drive: str | None
    clip: str | None
    city: str | None
    time: str | None

    def apply(self, row: Mapping[str, Any]) -> tuple[str | None, str | None, Certainty]:
        """The group of a row, the column that fills it, and what it rests on.

        A group of its own stays what it is. A drive that is a bare number may occur in every city,
        which is put before it. A clip, such as 1 or ``clip_1``, may occur in every drive: city
        and day are put before it.
        """
        for column in self.own:
            group = as_group(row.get(column))
            if group is not None:
                return group, column, "drive"
        city = self._name(row, self.city)
        drive, clip = as_group(self._name(row, self.drive)), self._name(row, self.clip)
        number = None if drive is None else as_number(drive)
        if drive is not None and not (number == 0 and clip is not None):
            if number is None or number >= _SMALL:
                return drive, self.drive, "drive"
            return drive if city is None else f"{city} drive {number}", self.drive, "number"
        if clip is None:
            return None, None, "drive"
        number = as_number(clip)
        where = " ".join(part for part in (city, self._day(row)) if part is not None)
        if not where:
            return clip if number is None else str(number), self.clip, "clip"
        return f"{where} {clip if number is None else f'clip {number}'}", self.clip, "place"

    def source(self) -> str:
        """The columns, for the manifest's metadata."""
        beside = [column for column in (self.city, self.time, self.clip) if column is not None]
        clip = None if self.clip is None else " and ".join(beside)
        columns = (*self.own, self.drive, clip)
        return " or ".join(column for column in columns if column is not None)

    def fills(self, column: str) -> bool:
        """Whether a group may be read off this column alone."""
        return column in (*self.own, self.drive, self.clip)

    def _name(self, row: Mapping[str, Any], column: str | None) -> str | None:
        text = None if column is None else as_word(row.get(column))
        return None if text is None or text.lower() in PLACEHOLDERS else text

    def _day(self, row: Mapping[str, Any]) -> str | None:
        try:
            moment = None if self.time is None else parse_time(row.get(self.time))
        except FieldError:
            return None
        return None if moment is None else moment.date().isoformat()


def as_group(value: Any) -> str | None:
    """A group's name; numbers that tables turned into floats lose their ``.0``."""
    text = as_word(value)
    if text is None or not text.endswith(".0"):
        return text
    number = as_number(text)
    return text if number is None else str(number)


def group_warnings(counts: Mapping[Certainty, int]) -> list[str]:
    """What the user should know of groups that no drive tells."""
    warnings = []
    if counts.get("number"):
        warnings.append(
            f"{counted(counts['number'], 'row')} with a bare number for a drive, which each city "
            "may count anew: grouped by city, where one is named, and number; if the number alone "
            "names a drive, say so by group=COLUMN"
        )
    if counts.get("place"):
        warnings.append(
            f"{counted(counts['place'], 'row')} without a drive: grouped by city, day and clip, so "
            "that clips of one drive may part; name a column of drives by group=COLUMN"
        )
    if counts.get("clip"):
        warnings.append(
            f"{counted(counts['clip'], 'row')} with a clip, but no drive, city or day: grouped by "
            "that clip, which may join clips of different drives and part one drive; name a column "
            "of drives by group=COLUMN"
        )
    return warnings
