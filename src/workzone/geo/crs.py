"""Places in other systems of coordinates as longitude and latitude, WGS 84."""

from __future__ import annotations

import functools
import re
from typing import Any

from workzone.errors import FeedError, UsageError, needing_geo
from workzone.geo.event import Place
from workzone.geo.validate.places import on_globe
from workzone.geo.works import Part

WGS84 = "EPSG:4326"
_CRS84 = "OGC:CRS84"  # the same, longitude first where the order is the system's own
_DEGREES = frozenset({WGS84, _CRS84, "EPSG:4258"})  # ETRS89 is WGS 84 within a metre
_MARGIN = 0.01  # degrees, to which the areas of systems are rounded
_BESIDE_ZONE = 1.0  # degrees: a state keeps to one zone of UTM, as Brandenburg does to zone 33
_ROUND = 360.0  # what is larger can be no degrees


def system_of(said: str) -> str:
    """``EPSG:27700`` of any way to write it, or ``OGC:CRS84``.

    Raises:
        UsageError: it is none.
    """
    if re.search(r"CRS:?84$", said.strip(), re.IGNORECASE):
        return _CRS84
    match = re.fullmatch(r"(?:.*EPSG\D.*?)?(\d{4,6})", said.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"{said!r} is no system of coordinates; write it as EPSG:27700")
    return f"EPSG:{match[1]}"


def system_among(named: str | None, asked: str | None, where: str) -> str:
    """The system that a file names, or that is asked for where it names none, or WGS 84.

    ``where``: what an error names.

    Raises:
        FeedError: both are there and differ.
        UsageError: one of them is no system.
    """
    if not named:
        return system_of(asked or WGS84)
    own = system_of(named)
    other = system_of(asked or own)
    if other != own and not {own, other} <= _DEGREES:
        raise FeedError(
            f"{where} names {own} as the system of its places, --crs {other}: leave --crs out, or "
            "mend what the file names"
        )
    return own


def to_degrees(part: Part, system: str, where: str) -> Part:
    """Places of a system, longitude or easting first, as longitude and latitude in degrees.

    ``system``: as of `system_of`; ``where``: what an error names.

    Raises:
        FeedError: a place is not on the globe, or not where the system is used; the message says
            what seems to be the cause.
        UsageError: there is no such system.
        MissingExtraError: the extra ``geo`` is not installed, and the system needs it.
    """
    if system in _DEGREES:
        for place in part:
            if not on_globe(place):
                raise FeedError(f"{where} has {_said(place)}, {_why_off(place)}")
        return part
    turner = _turner(system)
    found = []
    for place in part:
        if not turner.degrees and max(map(abs, place)) <= _ROUND:
            raise FeedError(
                f"{where} has {place[0]:g}, {place[1]:g} in {system} ({turner.name}), which is in "
                "metres, and these are degrees: leave --crs out, or mend what the file names"
            )
        turned = turner.turned(place)
        if not turner.fits(turned):
            swapped = turner.fits(turner.turned((place[1], place[0])))
            hint = "; its two numbers seem to be swapped: easting comes first" if swapped else ""
            raise FeedError(
                f"{where} has {place[0]:g}, {place[1]:g}, which is not within the area of "
                f"{system} ({turner.name}){hint or '; name the right system with --crs'}"
            )
        found.append(turned)
    return tuple(found)


def swapped_reading(place: Place, system: str) -> Place | None:
    """Where a place would be if its two numbers in a system of metres were the other way round.

    ``place``: longitude and latitude in degrees. None where that is outside the system's area.
    """
    turner = _turner(system)
    easting, northing = turner.back(place)
    turned = turner.turned((northing, easting))
    return turned if turner.fits(turned) else None


def northing_first(system: str) -> bool:
    """Whether a system's own order, which GML keeps, is latitude or northing first."""
    return system != _CRS84 and (system in _DEGREES or _turner(system).northing_first)


def is_degrees(system: str) -> bool:
    """Whether a system's numbers are degrees, not metres."""
    return system in _DEGREES or _turner(system).degrees


def _why_off(place: Place) -> str:
    if max(map(abs, place)) > _ROUND:
        return (
            "which are no degrees but seem to be metres: name their system with --crs, such as "
            "--crs EPSG:27700"
        )
    if on_globe((place[1], place[0])):
        return (
            "which is not on the globe; longitude and latitude seem to be swapped: longitude "
            "comes first"
        )
    return "which is not on the globe"


def _said(place: Place) -> str:
    return f"longitude {place[0]:g}, latitude {place[1]:g}"


class _Turner:
    """A system of coordinates, by PROJ."""

    def __init__(self, system: str) -> None:
        from pyproj import CRS, Transformer
        from pyproj.exceptions import CRSError

        try:
            crs: Any = CRS.from_user_input(system)
        except CRSError as error:
            raise UsageError(f"there is no system {system}; write it as EPSG:27700") from error
        self.name = str(crs.name)
        self.degrees = bool(crs.is_geographic)
        self.northing_first = crs.axis_info[0].direction.lower() == "north"
        self._area = crs.area_of_use
        self._beside = _BESIDE_ZONE if "UTM zone" in self.name else _MARGIN
        self._turn = Transformer.from_crs(crs, WGS84, always_xy=True).transform
        self._back = Transformer.from_crs(WGS84, crs, always_xy=True).transform

    def turned(self, place: Place) -> Place:
        """Longitude and latitude; infinite where there are none."""
        longitude, latitude = self._turn(*place)
        return float(longitude), float(latitude)

    def back(self, place: Place) -> Place:
        """Easting and northing of a longitude and latitude."""
        easting, northing = self._back(*place)
        return float(easting), float(northing)

    def fits(self, place: Place) -> bool:
        """Whether a place is on the globe, and about where the system is used."""
        area = self._area
        if area is None or area.west > area.east:  # across the date line
            return on_globe(place)
        across = area.west - self._beside <= place[0] <= area.east + self._beside
        return bool(across and area.south - _MARGIN <= place[1] <= area.north + _MARGIN)


@functools.cache
def _turner(system: str) -> _Turner:
    with needing_geo(f"turning places in {system}"):
        return _Turner(system)
