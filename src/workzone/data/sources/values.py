"""From raw values, as data sets spell them, to labels, times, places and text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from workzone.errors import nearest

LABEL_WORDS: Mapping[str, int] = {
    **dict.fromkeys(
        (
            "roadwork",
            "roadworks",
            "workzone",
            "construction",
            "positive",
            "pos",
            "yes",
            "true",
            "1",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            *("none", "noroadwork", "noroadworks", "notroadwork", "noworkzone", "noconstruction"),
            *("negative", "neg", "no", "false", "0"),
        ),
        0,
    ),
}
"""Spellings of a label, also as names of class folders; case, spaces, ``_`` and ``-`` are free."""

_MISSING = frozenset({"", "nan", "null", "nat", "na", "n/a", "<na>"})
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([NSEWnsew])?")
_PLACE_PART = re.compile(r"(?:(lat|latitude|lon|lng|long|longitude)\s*[:=]\s*)?(.*)", re.IGNORECASE)
_EPOCH = re.compile(r"\d{9,14}(?:\.\d+)?")
_YEARS = range(1970, 2101)


class FieldError(ValueError):
    """A value that cannot be used; ``code`` is the word for the quarantine table."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def as_text(value: Any) -> str | None:
    """A value as text; None where it is missing (null, NaN, empty, ``n/a``).

    Whole floats lose their ``.0`` (tables turn half-empty integer columns into floats), lists are
    joined by commas.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (list, tuple)):
        parts = [as_text(part) for part in value]
        value = ", ".join(part for part in parts if part is not None)
    elif isinstance(value, dict):
        value = json.dumps(value, default=str)
    elif isinstance(value, (datetime, date)):
        value = value.isoformat()
    text = str(value).strip()
    return None if text.lower() in _MISSING else text


def normalise_word(text: str) -> str:
    """Lower case without the spaces, underscores and hyphens between words (``-1`` keeps its)."""
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", "", text.strip().lower())


def parse_label(value: Any) -> int | None:
    """1 road work, 0 none, None where the value is missing.

    Raises:
        FieldError: ``label-unknown``.
    """
    text = as_text(value)
    if text is None:
        return None
    word = normalise_word(text.removesuffix(".0"))
    if word not in LABEL_WORDS:
        raise FieldError(
            "label-unknown", f"label {text!r} is unknown; {nearest(word, LABEL_WORDS)}"
        )
    return LABEL_WORDS[word]


def parse_split(text: str | None) -> str | None:
    """The usual names of splits in one spelling (``validation`` becomes ``val``)."""
    return None if text is None else _SPLITS.get(text.lower(), text)


def split_of_path(parts: tuple[str, ...]) -> str | None:
    """The split that a path names, such as ``data/train-00000-of-00002.parquet``."""
    for part in reversed(parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return None


def parse_time(value: Any) -> datetime | None:
    """A moment in UTC; a time without a zone is taken as UTC. None where it is missing.

    Read are ISO 8601, the EXIF form ``2024:05:01 10:00:00``, and seconds or milliseconds since
    1970. Days before months or months before days are not guessed.

    Raises:
        FieldError: ``time-unreadable``.
    """
    text = as_text(value)
    if text is None or text in ("0", "None"):
        return None
    try:
        if _EPOCH.fullmatch(text):
            seconds = float(text)
            moment = datetime.fromtimestamp(seconds / (1000 if seconds > 1e11 else 1), UTC)
        else:
            moment = datetime.fromisoformat(
                re.sub(r"^(\d{4})[:/](\d{2})[:/](\d{2})", r"\1-\2-\3", text)
            )
        moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise FieldError(
            "time-unreadable",
            f"time {text!r} cannot be read; write it as ISO 8601, such as 2024-05-01T10:00:00Z",
        ) from error
    if moment.year not in _YEARS:
        raise FieldError("time-unreadable", f"time {text!r} lies outside the years 1970 to 2100")
    return moment


def parse_place(values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, from ``latitude`` and ``longitude`` or from ``gps``.

    ``gps`` may read ``51.5,-0.12``, ``(51.5; -0.12)``, ``[51.5, -0.12]``,
    ``{"lat": 51.5, "lon": -0.12}`` or ``51.5N 0.12W``, latitude first unless it says otherwise.

    Returns:
        None where nothing is given.

    Raises:
        FieldError: ``coordinates-`` and ``unreadable``, ``incomplete``, ``nan``, ``null-island``,
            ``swapped`` or ``range``.
    """
    latitude, longitude = values.get("latitude"), values.get("longitude")
    if _blank(latitude) and _blank(longitude):
        if _blank(values.get("gps")) or as_text(values["gps"]) in (None, "None"):
            return None
        latitude, longitude = _halves(values["gps"])
    elif _blank(latitude) or _blank(longitude):
        raise FieldError("coordinates-incomplete", f"only one of {latitude!r}, {longitude!r} given")
    pair = f"latitude {latitude}, longitude {longitude}"
    return _checked(_degrees(latitude, pair), _degrees(longitude, pair), pair)


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _halves(value: Any) -> tuple[str, str]:
    """Latitude and longitude as text, cut out of one value."""
    if isinstance(value, Mapping):
        value = ", ".join(f"{key}: {part}" for key, part in value.items())
    elif isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    text = re.sub(r"[()\[\]{}'\"°]", "", str(value)).strip()
    parts = re.split(r"\s*[,;|]\s*", text)
    if len(parts) == 1:
        parts = text.split()
    matches = [_PLACE_PART.fullmatch(part.strip()) for part in parts]
    if len(matches) != 2 or matches[0] is None or matches[1] is None:
        raise FieldError(
            "coordinates-unreadable",
            f"place {value!r} cannot be read; write it as latitude,longitude in degrees",
        )
    first, second = matches[0], matches[1]
    key, letter = (first[1] or "").lower(), first[2][-1:].upper()
    longitude_first = key.startswith(("lo", "ln")) or letter in ("E", "W")
    return (second[2], first[2]) if longitude_first else (first[2], second[2])


def _degrees(value: Any, pair: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if text.lower() in ("nan", "none", "null"):
        return math.nan
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise FieldError(
            "coordinates-unreadable", f"{pair}: {text!r} cannot be read as decimal degrees"
        )
    return float(match[1]) * (-1 if (match[2] or "").upper() in ("S", "W") else 1)


def _checked(latitude: float, longitude: float, pair: str) -> tuple[float, float]:
    if math.isnan(latitude) or math.isnan(longitude):
        raise FieldError("coordinates-nan", f"{pair}: not a number")
    if latitude == 0 and longitude == 0:
        raise FieldError(
            "coordinates-null-island", f"{pair}: 0, 0 is what devices write without a fix"
        )
    if abs(latitude) <= 90 and abs(longitude) <= 180:
        return latitude, longitude
    if abs(longitude) <= 90 and abs(latitude) <= 180:
        raise FieldError(
            "coordinates-swapped", f"{pair}: out of range, but in range when exchanged"
        )
    raise FieldError("coordinates-range", f"{pair}: outside -90..90 and -180..180 degrees")
