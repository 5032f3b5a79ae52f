"""Photographs: place and time from their EXIF (CIPA DC-008), of one or of all in a folder.

The time is GPS's, which is UTC; else the camera's with the offset that it states, else its clock
by the zone that is stated. Photographs without place are counted as such.
"""

from __future__ import annotations

import struct
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from workzone.data.find_files import find_files, is_image_name
from workzone.data.track.fixes import DAMAGED, NO_FIX, NO_TIME, Clock, Fix, Log

NAME = "EXIF"
_DAMAGE = (
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, SyntaxError),
    *(struct.error, Image.DecompressionBombError),
)
"""What Pillow raises for damaged files, and what their values make of a sum."""
_GPS, _CAMERA = ExifTags.GPS, ExifTags.Base


def read(path: Path, head: bytes, clock: Clock) -> Log | None:
    """The places of photographs; see `workzone.data.track.fixes.Reader`."""
    if path.is_dir():
        names = [path / name for name in find_files(path).images]
    elif is_image_name(path.name):
        names = [path]
    else:
        return None
    if not names:
        return None
    log = Log(NAME)
    for file in names:
        try:
            _add(log, file, clock)
        except _DAMAGE:
            log.dropped[DAMAGED] += 1
    return log


def _add(log: Log, file: Path, clock: Clock) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file) as image:
            exif = image.getexif()
            gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
            camera = exif.get_ifd(ExifTags.IFD.Exif)
    if _GPS.GPSLatitude not in gps or _GPS.GPSLongitude not in gps:
        log.dropped[NO_FIX] += 1
        return
    if _text(gps.get(_GPS.GPSStatus)) == "V":
        log.dropped[NO_FIX] += 1
        return
    place = (
        _angle(gps[_GPS.GPSLatitude], gps[_GPS.GPSLatitudeRef], "NS"),
        _angle(gps[_GPS.GPSLongitude], gps[_GPS.GPSLongitudeRef], "EW"),
    )
    utc = _gps_time(gps)
    if utc is None:
        utc = _camera_time(camera, clock)
    if utc is None:
        log.dropped[NO_TIME] += 1
        log.note("times without an offset count only with the zone stated, such as --zone UTC")
        return
    altitude = None
    if _GPS.GPSAltitude in gps:
        below = gps.get(_GPS.GPSAltitudeRef) in (1, b"\x01")
        altitude = float(gps[_GPS.GPSAltitude]) * (-1 if below else 1)
    log.fixes.append(Fix(*place, utc, altitude=altitude, image=file.name))


def _angle(parts: Any, letter: Any, letters: str) -> float:
    """Decimal degrees from degrees, minutes and seconds."""
    direction = _text(letter).upper()
    if direction not in tuple(letters):
        raise ValueError(f"{direction!r} is none of {letters}")
    whole, minutes, seconds = (float(part) for part in parts)
    if not (0 <= minutes <= 60 and 0 <= seconds <= 60 and whole >= 0):
        raise ValueError(f"{parts} is no angle")
    angle = whole + minutes / 60 + seconds / 3600
    return -angle if direction == letters[1] else angle


def _gps_time(gps: Any) -> float | None:
    if _GPS.GPSDateStamp not in gps or _GPS.GPSTimeStamp not in gps:
        return None
    date = datetime.strptime(_text(gps[_GPS.GPSDateStamp]).replace("-", ":"), "%Y:%m:%d")
    hours, minutes, seconds = (float(part) for part in gps[_GPS.GPSTimeStamp])
    if not (hours < 24 and minutes < 60 and seconds < 61):
        raise ValueError("no time of day")
    moment = date.replace(tzinfo=UTC)
    return (moment + timedelta(hours=hours, minutes=minutes, seconds=seconds)).timestamp()


def _camera_time(camera: Any, clock: Clock) -> float | None:
    text = _text(camera.get(_CAMERA.DateTimeOriginal))
    if not text:
        return None
    fraction = _text(camera.get(_CAMERA.SubsecTimeOriginal)) or "0"
    offset = _text(camera.get(_CAMERA.OffsetTimeOriginal))
    return clock.read(f"{text}.{fraction[:6]}{offset}")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    return str(value or "").strip("\0 ")
