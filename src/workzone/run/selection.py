"""Some of the images that were found: the first ones, any, or those since a day."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime

from workzone.data.passed_over import counted
from workzone.errors import UsageError
from workzone.run.sources import Found, Item


def select_images(
    found: Found,
    *,
    since: datetime | None = None,
    sample: int | None = None,
    limit: int | None = None,
) -> Found:
    """Those images that all of the following leave; the same ones each time.

    Args:
        found: images.
        since: taken at this time or later, as a manifest says; without a zone it is UTC.
        sample: so many, drawn by their ids alone, in the order in which they were found.
        limit: so many, the first ones.

    Raises:
        UsageError: no image has a time, or none is left.
    """
    images, remarks = list(found.images), list(found.remarks)
    if since is not None:
        images, unknown = _since(images, since)
        if unknown:
            remarks.append(f"{counted(unknown, 'image')} without a time left out by --since")
    if sample is not None and sample < len(images):
        drawn = set(sorted((name for name, _ in images), key=_draw)[:sample])
        images = [(name, item) for name, item in images if name in drawn]
    if limit is not None:
        images = images[:limit]
    if not images:
        raise UsageError(f"none of {counted(len(found.images), 'image')} is left: ask for more")
    return dataclasses.replace(found, images=images, remarks=tuple(remarks))


def _since(images: list[tuple[str, Item]], since: datetime) -> tuple[list[tuple[str, Item]], int]:
    """Those taken since then, and how many have no time."""
    moment = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
    timed = [(n, i) for n, i in images if i.sample is not None and i.sample.time is not None]
    if not timed:
        raise UsageError(
            "--since needs times, and no image has one: import the images with their times first "
            "(workzone data import), then name the manifest"
        )
    late = [(n, i) for n, i in timed if i.sample and i.sample.time and i.sample.time >= moment]
    return late, len(images) - len(timed)


def _draw(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
