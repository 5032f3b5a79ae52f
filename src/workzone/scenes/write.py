"""A data set of drawn scenes: images, masks and the manifest, in drives as dashcams make them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from workzone.data.images import content_hash
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.errors import UsageError
from workzone.files import writing
from workzone.progress import track
from workzone.scenes.place import Place, choose_place
from workzone.scenes.scene import METRES_PER_FRAME, draw_frame
from workzone.types import ImageRef, Sample

SHORTEST_DRIVE, LONGEST_DRIVE = 4, 8
"""Scenes of one drive."""
BLOCK = 600.0
"""Metres between the starts of drives; the longest drive covers 63."""

CITY = (45.5, -5.5)
"""Latitude and longitude of a made-up city: there is open sea."""
METRES_PER_DEGREE = 111_195.0
"""Of latitude."""

_QUALITIES = (70, 96)
_HOURS = {"day": (9, 16), "dusk": (18, 20), "night": (21, 24)}


@dataclass(frozen=True, slots=True)
class _Shot:
    """One scene before it is drawn."""

    drive: int
    frame: int  # within the drive
    label: int
    place: Place
    seed: int
    latitude: float
    longitude: float
    time: datetime


def write_scenes(folder: Path, *, count: int, seed: int = 0, positive_share: float = 0.5) -> Path:
    """Draw scenes and write them as a data set; the same arguments give the same bytes.

    The folder gets ``images/*.jpg``, ``masks/*.png`` (see ``workzone.data.masks``) and
    ``manifest.parquet``. The scenes of one drive share their street, daytime and weather, and
    stand for the manifest's ``group``; both labels occur in a drive wherever the share allows it.
    Drives start at least 600 m apart.

    Args:
        folder: made if needed; files of the same names are replaced.
        count: scenes.
        seed: of everything; not negative.
        positive_share: part of the scenes with road work, 0..1.

    Returns:
        The path of the manifest.

    Raises:
        UsageError: fewer than one scene, a negative seed, or a share outside 0..1.
        WorkzoneError: the folder cannot be written.
    """
    if count < 1:
        raise UsageError(f"count is {count}; ask for at least 1 scene")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be 0 or more")
    if not 0 <= positive_share <= 1:
        raise UsageError(f"positive_share is {positive_share}; it must lie between 0 and 1")
    shots = _plan(count, seed, positive_share)
    samples = [
        _write_scene(folder, f"drawn-{seed}-{index:05d}", shot, seed)
        for index, shot in enumerate(track(shots, "drawing scenes"))
    ]
    path = folder / "manifest.parquet"
    write_manifest(Manifest(samples, folder), path)
    return path


def _write_scene(folder: Path, name: str, shot: _Shot, seed: int) -> Sample:
    scene = draw_frame(shot.place, shot.seed, label=shot.label, frame=shot.frame)
    quality = int(np.random.default_rng([shot.seed, 20]).integers(*_QUALITIES))
    buffer = io.BytesIO()
    Image.fromarray(scene.image).save(buffer, format="JPEG", quality=quality)
    image, masks = f"images/{name}.jpg", f"masks/{name}.png"
    with writing(folder / image) as aside:
        aside.write_bytes(buffer.getvalue())
    write_bit_image(scene.masks, folder / masks, knowledge="drawn")
    return Sample(
        id=name,
        image=ImageRef(image),
        label=scene.label,
        group=f"drive-{seed}-{shot.drive:04d}",
        latitude=shot.latitude,
        longitude=shot.longitude,
        time=shot.time,
        weather=scene.weather,
        daytime=scene.daytime,
        scene=scene.scene,
        masks=masks,
        source="drawn",
        content_hash=content_hash(buffer.getvalue()),
    )


def _plan(count: int, seed: int, positive_share: float) -> list[_Shot]:
    """All scenes in order, the exact share of them positive and spread over the drives."""
    rng = np.random.default_rng([seed, 30])
    lengths = list(_drive_lengths(count, rng))
    blocks = math.isqrt(2 * len(lengths)) + 1
    corners = rng.permutation(blocks * blocks)[: len(lengths)].tolist()
    shots: list[_Shot] = []
    for drive, (length, corner) in enumerate(zip(lengths, corners, strict=True)):
        place = choose_place(int(rng.integers(1 << 40)))
        first = len(shots)
        positives = math.floor((first + length) * positive_share + 0.5) - math.floor(
            first * positive_share + 0.5
        )
        labels = rng.permutation([1] * positives + [0] * (length - positives)).tolist()
        start = start_time(place, rng)
        row, column = divmod(corner, blocks)
        for frame, label in enumerate(labels):
            north = row * BLOCK + frame * METRES_PER_FRAME
            latitude = CITY[0] + north / METRES_PER_DEGREE
            parallel = METRES_PER_DEGREE * math.cos(math.radians(CITY[0]))
            shots.append(
                _Shot(
                    drive=drive,
                    frame=frame,
                    label=label,
                    place=place,
                    seed=int(rng.integers(1 << 40)),
                    latitude=latitude,
                    longitude=CITY[1] + column * BLOCK / parallel,
                    time=start + timedelta(seconds=frame),
                )
            )
    return shots


def _drive_lengths(count: int, rng: np.random.Generator) -> Iterator[int]:
    """Lengths that add up to ``count``; a short rest joins the last drive."""
    left = count
    while left > 0:
        length = int(rng.integers(SHORTEST_DRIVE, LONGEST_DRIVE + 1))
        if left - length < SHORTEST_DRIVE:
            length = left if left <= LONGEST_DRIVE else left // 2
        yield length
        left -= length


def start_time(place: Place, rng: np.random.Generator) -> datetime:
    """A moment of 2025 at the daytime of a place, by lot."""
    first, last = _HOURS[place.daytime]
    day, second = int(rng.integers(365)), int(rng.integers(first * 3600, last * 3600 - 60))
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)
