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

Certainty = Literal["drive", "place", "clip"]
"""What a group rests on: a drive, a city or day beside the clip's number, or that number alone."""


@dataclass(frozen=True, slots=True)
class GroupColumns:
    """The columns that tell the group of a row: of its drive, else of its clip, city and time."""

    drive: str | None
    clip: str | None
    city: str | None
    time: str | None

    def apply(self, row: Mapping[str, Any]) -> tuple[str | None, str | None, Certainty]:
        """The group of a row, the column that fills it, and what it rests on.

        A clip's number alone, such as 1 or ``000001``, occurs in every drive: the city and the day
        are put before it. Another text names a clip by itself.
        """
        drive = None if self.drive is None else as_group(row.get(self.drive))
        clip = None if self.clip is None else as_word(row.get(self.clip))
        if drive is not None or clip is None:
            return drive, self.drive, "drive"
        number = as_number(clip)
        if number is None:
            return clip, self.clip, "drive"
        city = None if self.city is None else as_word(row.get(self.city))
        where = " ".join(part for part in (city, self._day(row)) if part is not None)
        if not where:
            return str(number), self.clip, "clip"
        return f"{where} clip {number}", self.clip, "place"

    def source(self) -> str:
        """The columns, for the manifest's metadata."""
        beside = [column for column in (self.city, self.time, self.clip) if column is not None]
        clip = None if self.clip is None else " and ".join(beside)
        return " or ".join(column for column in (self.drive, clip) if column is not None)

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
    if counts.get("place"):
        warnings.append(
            f"{counted(counts['place'], 'row')} without a drive: grouped by city, day and number "
            "of the clip, so that clips of one drive may part; name a column of drives by "
            "group=COLUMN"
        )
    if counts.get("clip"):
        warnings.append(
            f"{counted(counts['clip'], 'row')} with the number of a clip, but no drive, city or "
            "day: grouped by that number, which may join clips of different drives and part one "
            "drive; name a column of drives by group=COLUMN"
        )
    return warnings
