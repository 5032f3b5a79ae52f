"""Found stretches of road beside true work zones: which belong together, how far off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from workzone.data.places import offsets
from workzone.geo.event import Place
from workzone.geo.ground import Floats, from_begin, heading, turn

_SPACING = 10.0  # metres between places that are compared
_NEAR = 20.0  # metres
_SAME_WAY = 60.0  # degrees


@dataclass(frozen=True, slots=True)
class Stretch:
    """Places along a stretch of road, in the direction of travel, ``[n]``."""

    longitude: Floats
    latitude: Floats
    heading: Floats

    @staticmethod
    def of(places: Sequence[Place]) -> Stretch:
        """A line of two places or more, each ten metres."""
        lon, lat = np.array(places, np.float64).T
        east, north = offsets(lon, lat, lon[0], lat[0])
        along = from_begin(np.hypot(np.diff(east), np.diff(north)))
        wanted = np.append(np.arange(0.0, along[-1], _SPACING), along[-1])
        east, north = np.interp(wanted, along, east), np.interp(wanted, along, north)
        ahead = heading(np.gradient(east), np.gradient(north))
        return Stretch(np.interp(wanted, along, lon), np.interp(wanted, along, lat), ahead)


def shared(found: Stretch, true: Stretch) -> float:
    """Metres of a true stretch that a found one shows, in its direction."""
    east, north = offsets(
        found.longitude, found.latitude, true.longitude[:, None], true.latitude[:, None]
    )
    same = np.abs(turn(true.heading[:, None], found.heading)) <= _SAME_WAY
    return float(((np.hypot(east, north) <= _NEAR) & same).any(axis=1).sum() * _SPACING)


def pairs(found: Sequence[Stretch], true: Sequence[Stretch]) -> list[tuple[int, int]]:
    """Numbers of found and true stretches that belong together, one to one, the longest first."""
    ranked = sorted(
        ((shared(f, t), -i, -j) for i, f in enumerate(found) for j, t in enumerate(true)),
        reverse=True,
    )
    kept: dict[int, int] = {}
    for metres, i, j in ranked:
        if metres > 0 and -i not in kept and -j not in kept.values():
            kept[-i] = -j
    return sorted(kept.items())


def ends_off(found: Stretch, true: Stretch) -> tuple[float, float]:
    """Metres between the begins, and between the ends."""
    return _apart(found, true, 0), _apart(found, true, -1)


def _apart(found: Stretch, true: Stretch, row: int) -> float:
    east, north = offsets(
        found.longitude[row], found.latitude[row], true.longitude[row], true.latitude[row]
    )
    return float(np.hypot(east, north))


@dataclass(slots=True)
class Tally:
    """What was found at the end of each day, and what was there."""

    found: int = 0
    true: int = 0
    matched: int = 0
    ends: list[float] = field(default_factory=list)  # metres

    def add(self, found: Sequence[Stretch], true: Sequence[Stretch]) -> None:
        """Count a day."""
        together = pairs(found, true)
        self.found += len(found)
        self.true += len(true)
        self.matched += len(together)
        for i, j in together:
            self.ends += ends_off(found[i], true[j])

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.found + other.found,
            self.true + other.true,
            self.matched + other.matched,
            self.ends + other.ends,
        )

    def figures(self) -> dict[str, float | None]:
        """Precision, recall, and the median error of an end; None where nothing was found."""
        return {
            "precision": self.matched / self.found if self.found else None,
            "recall": self.matched / self.true if self.true else None,
            "end_error_m": float(np.median(self.ends)) if self.ends else None,
        }
