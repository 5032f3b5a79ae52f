"""Places as data sets spell them, in decimal degrees."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

from workzone.data.sources.values import FieldError, as_text, quoted

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("′’‘‛´`ʹʼ＇", "'"),
        **dict.fromkeys("″”“‟ʺ＂", '"'),
        **dict.fromkeys("º˚∘", "°"),
        **dict.fromkeys("−–‒﹣－", "-"),
        **dict.fromkeys("\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\t\r\n", " "),
    }
)
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_ANGLE = re.compile(
    rf"(?P<before>[NSEW])? *(?P<sign>[-+])? *(?P<degrees>{_NUMBER})(?P<power>[eE][-+]\d+)?"
    rf"(?: *(?P<mark>°|:|deg\.?|d(?![a-z]))| +(?=\d)|(?= *[NSEW]?$))"
    rf"(?: *(?P<minutes>{_NUMBER}) *(?P<mark2>'|:|min\.?|m(?![a-z]))?"
    rf"(?: *(?P<seconds>{_NUMBER}) *(?:\"|sec\.?|s(?![a-z]))?)?)?"
    r" *(?P<after>[NSEW])?"
)
_KEYED = re.compile(
    r"[\"']?\b(lat(?:itude)?|lon(?:g(?:itude)?)?|lng)\b[\"']?\s*[:=]?\s*([^a-z]*?)[\s,;|]*"
    r"[\"']?\b(lat(?:itude)?|lon(?:g(?:itude)?)?|lng)\b[\"']?\s*[:=]?\s*([^a-z]*)",
    re.IGNORECASE,
)
_LETTERS_LAST = re.compile(r"([^NSEW]*[NSEW])[ ,;|/]*([^NSEW]*[NSEW])")
_LETTERS_FIRST = re.compile(r"([NSEW][^NSEW]*?)[ ,;|/]*([NSEW][^NSEW]*)")
_WORDS = re.compile(r"(north|south|east|west)\b|(?<![a-z])([nsew])(?![a-z+-])", re.IGNORECASE)
_SECONDS = re.compile(r"(m(?:in)?\.?|') *([\d.,]+) *s(?:ec)?\.?(?![a-z])")
_ISO_6709 = re.compile(
    r"([-+]\d\d(?:\.\d+)?)([-+]\d{3}(?:\.\d+)?)(?:[-+]\d+(?:\.\d+)?)?(?:CRS\w+)?/?"
)
_LETTER = re.compile(r"[NSW]|E(?![-+]?\d)|^E")
_COMMA = re.compile(r"(?<=\d),(?=\d)")
_LONGEST = 200  # characters; no place is written in more


def parse_place(values: Mapping[str, Any]) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, from ``latitude`` and ``longitude`` or from ``gps``.

    ``gps`` may read ``51.5,-0.12``, ``(51.5; -0.12)``, ``[51.5, -0.12]``,
    ``{"lat": 51.5, "lon": -0.12}`` or ``51.5N 0.12W``, latitude first unless it says otherwise.
    Both may be in degrees and minutes, and seconds: ``51°30'N``, ``51 30 0 N``, ``51:30:00``. A
    comma is a decimal point where nothing else can be meant.

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
        if _blank(latitude) and _blank(longitude):
            return None
    if _blank(latitude) or _blank(longitude):
        given = f"{quoted(latitude)}, {quoted(longitude)}"
        raise FieldError("coordinates-incomplete", f"only one of {given} given")
    pair = f"latitude {_shown(latitude)}, longitude {_shown(longitude)}"
    return _checked(_degrees(latitude, "NS", pair), _degrees(longitude, "EW", pair), pair)


def _shown(value: Any) -> str:
    return quoted(value).strip("'\"")


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _halves(value: Any) -> tuple[Any, Any]:
    """Latitude and longitude, cut out of one value."""
    value = _unpacked(value)
    halves = None
    if isinstance(value, Mapping):
        halves = _of_mapping(value)
    elif isinstance(value, (list, tuple)):
        halves = _ordered(*value) if len(value) == 2 else None
    elif len(str(value)) <= _LONGEST:
        halves = _of_text(_plain(str(value)).strip("()[]{} "))
    if halves is None:
        raise FieldError(
            "coordinates-unreadable",
            f"place {quoted(value)} cannot be read; write it as latitude,longitude in degrees",
        )
    return halves


def _unpacked(value: Any) -> Any:
    """A list or mapping that stands in text, as Python or JSON write it; else the value itself."""
    text = str(value).strip()
    if not isinstance(value, str) or len(text) > _LONGEST or not text.startswith(tuple("[({'\"")):
        return value
    try:
        return ast.literal_eval(re.sub(r"\bnull\b|\bNaN\b|\bnan\b", "None", text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _plain(text: str) -> str:
    """Letters of directions as capitals, one sign for each mark, and single spaces."""
    text = text.translate(_SIGNS).replace("''", '"').replace("&deg;", "°")
    text = _SECONDS.sub(r'\1\2"', text)
    text = _WORDS.sub(lambda found: (found[1] or found[2])[0].upper(), text)
    return re.sub(" +", " ", text).strip()


def _of_mapping(value: Mapping[Any, Any]) -> tuple[Any, Any] | None:
    by_name = {str(key).lower()[:3]: part for key, part in value.items()}
    longitude = by_name.get("lon", by_name.get("lng"))
    return (by_name["lat"], longitude) if by_name.keys() & {"lat"} and len(value) > 1 else None


def _of_text(text: str) -> tuple[Any, Any] | None:
    keyed = _KEYED.fullmatch(text)
    if keyed:
        return _of_mapping({keyed[1]: keyed[2].strip(" ,;|"), keyed[3]: keyed[4].strip(" ,;|")})
    phone = _ISO_6709.fullmatch(text)
    if phone:
        return phone[1], phone[2]
    for lettered in (_LETTERS_LAST.fullmatch(text), _LETTERS_FIRST.fullmatch(text)):
        if lettered:
            return _ordered(lettered[1].strip(" ,;|/"), lettered[2].strip(" ,;|/"))
    for separator in (r" *[;|] *", r", +", r" *, *", r" +"):
        parts = re.split(separator, text)
        if len(parts) == 2 and all(parts):
            lettered_halves = [bool(_LETTER.search(part)) for part in parts]
            bare = parts[lettered_halves.index(False)] if any(lettered_halves) else "+"
            return (parts[0], parts[1]) if bare[0] in "+-" else None  # "51.5N, 0.12": which side?
    return None


def _ordered(first: Any, second: Any) -> tuple[Any, Any]:
    """Latitude before longitude, as letters say."""
    letters = [_LETTER.search(_plain(part)) for part in (str(first), str(second))]
    east_first = letters[0] is not None and letters[0][0] in "EW"
    return (second, first) if east_first else (first, second)


def _degrees(value: Any, letters: str, pair: str) -> float:
    """One angle; ``letters`` are those of the two directions that it may have, minus second."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = _plain(str(value)) if len(str(value)) <= _LONGEST else ""
    if text.lower() in ("nan", "none", "null"):
        return math.nan
    found = _ANGLE.fullmatch(_COMMA.sub(".", text) if text.count(",") == 1 else text)
    if found is None or not _is_sound(found, letters):
        raise FieldError(
            "coordinates-unreadable",
            f"{pair}: {quoted(value)} cannot be read as degrees for sure; write it as decimal "
            "degrees, such as 51.5",
        )
    degrees = float(found["degrees"] + (found["power"] or ""))
    degrees += float(found["minutes"] or 0) / 60 + float(found["seconds"] or 0) / 3600
    letter = found["before"] or found["after"]
    return -degrees if found["sign"] == "-" or letter == letters[1] else degrees


def _is_sound(found: re.Match[str], letters: str) -> bool:
    """Whether the parts of an angle fit each other, so that it can mean one thing only."""
    letter = found["before"] or found["after"]
    parts = [found["degrees"], found["minutes"], found["seconds"]]
    given = [part for part in parts if part is not None]
    glued = len(found["degrees"].partition(".")[0]) > 3  # 5130.5 is 51°30.5' in NMEA's form
    return not (
        glued
        or (found["before"] and found["after"])
        or (letter and (letter not in letters or found["sign"] == "-"))
        or any("." in part for part in given[:-1])
        or any(float(part) >= 60 for part in given[1:])
        or (len(given) > 1 and (found["power"] or not (found["mark"] or letter)))
    )


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
