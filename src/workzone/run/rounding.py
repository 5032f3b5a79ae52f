"""Positions rounded before anything is written of them."""

from __future__ import annotations

from dataclasses import replace

from workzone.data.places import round_places
from workzone.data.track.track import Track
from workzone.types import Sample


def rounded_sample(sample: Sample, metres: float) -> Sample:
    """A sample with its position on a grid, see `round_places`.

    Raises:
        UsageError: ``metres`` is not above 0.
    """
    if sample.latitude is None or sample.longitude is None:
        return sample
    latitude, longitude = round_places(sample.latitude, sample.longitude, metres)
    return replace(sample, latitude=float(latitude), longitude=float(longitude))


def rounded_track(track: Track, metres: float) -> Track:
    """A track with its positions on the same grid; altitudes are left out.

    Raises:
        UsageError: ``metres`` is not above 0.
    """
    latitude, longitude = round_places(track.latitude, track.longitude, metres)
    altitude = track.altitude * float("nan")
    return replace(track, latitude=latitude, longitude=longitude, altitude=altitude)
