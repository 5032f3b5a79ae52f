"""Scores of frames along their drives: each frame in the light of the others, and segments."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from workzone.data.manifest import Manifest
from workzone.decide.drive import Chain, find_segments, smooth
from workzone.decide.drive_fit import LabelledDrive, fit_chain
from workzone.decide.share import BALANCED
from workzone.decide.threshold import decision_of
from workzone.errors import ManifestError, UsageError
from workzone.types import DecisionName, Sample

Place = tuple[float, float]
"""Longitude and latitude, degrees."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a drive; ``decision`` and ``segment`` follow from ``smoothed``."""

    id: str
    group: str  # the drive
    time: datetime  # UTC
    probability: float | None  # its own; None where it was not read, or left open
    smoothed: float  # from all frames of the drive
    decision: DecisionName
    segment: int | None  # its number, see `DriveSegment`
    longitude: float | None  # degrees
    latitude: float | None


@dataclass(frozen=True, slots=True)
class DriveSegment:
    """A part of a drive with road work in view."""

    group: str
    segment: int  # 1, 2, ... over all drives
    start: datetime  # of its first and last frame, UTC
    end: datetime
    seconds: float
    frames: int
    mean: float  # of the smoothed probabilities
    peak: float
    evidence: str  # id of the frame whose own probability is highest
    places: tuple[Place, ...]  # of its frames, as far as they are known, in order


@dataclass(frozen=True, slots=True)
class Drives:
    """All drives of a manifest."""

    frames: Sequence[Frame]
    segments: Sequence[DriveSegment]
    drives: int
    silent: int  # frames without a probability


def along_drives(
    manifest: Manifest,
    probabilities: Mapping[str, float],
    chain: Chain,
    *,
    share: float = BALANCED,
) -> Drives:
    """Smooth the probabilities of each drive, and find its segments.

    Args:
        manifest: its groups are the drives.
        probabilities: of road work, calibrated, by id; NaN, or none at all, where a frame says
            nothing.
        chain: see :class:`workzone.decide.drive.Chain`.
        share: of road work, for which the probabilities hold.

    Raises:
        ManifestError: rows without a group or a time.
        UsageError: probabilities of other images, or none of these.
    """
    frames: list[Frame] = []
    segments: list[DriveSegment] = []
    drives = _by_drive(manifest, probabilities)
    for group, samples in drives.items():
        seconds, values = _times(samples), _values(samples, probabilities)
        smoothed = smooth(seconds, values, chain, share=share)
        number_of: dict[int, int] = {}
        for found in find_segments(seconds, values, smoothed, chain):
            rows = samples[found.first : found.last + 1]
            number_of |= dict.fromkeys(range(found.first, found.last + 1), len(segments) + 1)
            segments.append(
                DriveSegment(
                    group=group,
                    segment=len(segments) + 1,
                    start=_time(rows[0]),
                    end=_time(rows[-1]),
                    seconds=found.seconds,
                    frames=len(rows),
                    mean=found.mean,
                    peak=found.peak,
                    evidence=samples[found.evidence].id,
                    places=tuple(filter(None, map(_place, rows))),
                )
            )
        frames += [
            Frame(
                id=sample.id,
                group=group,
                time=_time(sample),
                probability=None if math.isnan(value) else value,
                smoothed=likely,
                decision=decision_of(likely),
                segment=number_of.get(row),
                longitude=sample.longitude,
                latitude=sample.latitude,
            )
            for row, (sample, value, likely) in enumerate(
                zip(samples, values.tolist(), smoothed.tolist(), strict=True)
            )
        ]
    silent = sum(frame.probability is None for frame in frames)
    return Drives(frames, segments, drives=len(drives), silent=silent)


def fit_on_drives(
    manifest: Manifest, probabilities: Mapping[str, float], *, share: float = BALANCED
) -> Chain:
    """The chain that fits the labelled rows of a manifest; arguments as of :func:`along_drives`.

    Raises:
        ManifestError: rows without a group or a time.
        UsageError: probabilities of other images or none of these, or labels that do not show both
            classes.
    """
    drives = [
        LabelledDrive(
            seconds=_times(samples),
            probabilities=_values(samples, probabilities),
            labels=np.array([math.nan if s.label is None else float(s.label) for s in samples]),
        )
        for samples in _by_drive(manifest, probabilities).values()
    ]
    return fit_chain(drives, share=share)


def _by_drive(manifest: Manifest, probabilities: Mapping[str, float]) -> dict[str, list[Sample]]:
    """Samples of each drive in order of time."""
    lacking = [sample.id for sample in manifest if sample.group is None]
    if lacking:
        raise ManifestError(
            f"{len(lacking)} rows have no group, such as {lacking[0]!r}, so it is not known which "
            "drive they are of; import the images again with a group for each drive"
        )
    lacking = [sample.id for sample in manifest if sample.time is None]
    if lacking:
        raise ManifestError(
            f"{len(lacking)} rows have no time, such as {lacking[0]!r}, so their order is not "
            "known; import the images again with the time of each"
        )
    unknown = probabilities.keys() - {sample.id for sample in manifest}
    if unknown:
        raise UsageError(
            f"{len(unknown)} scores are of images that the manifest does not have, such as "
            f"{min(unknown)!r}: score the manifest itself (workzone predict MANIFEST -o SCORES)"
        )
    if not probabilities:
        raise UsageError("no frame of these drives has a score; see workzone predict MANIFEST -o")
    drives: dict[str, list[Sample]] = defaultdict(list)
    for sample in manifest:
        drives[str(sample.group)].append(sample)
    return {group: sorted(samples, key=_time) for group, samples in drives.items()}


def _time(sample: Sample) -> datetime:
    assert sample.time is not None  # made sure of by _by_drive
    return sample.time


def _place(sample: Sample) -> Place | None:
    if sample.longitude is None or sample.latitude is None:
        return None
    return sample.longitude, sample.latitude


def _times(samples: Sequence[Sample]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds since the first frame."""
    start = _time(samples[0])
    return np.array([(_time(sample) - start).total_seconds() for sample in samples])


def _values(
    samples: Sequence[Sample], probabilities: Mapping[str, float]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([probabilities.get(sample.id, math.nan) for sample in samples])
