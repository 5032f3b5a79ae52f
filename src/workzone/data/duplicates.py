"""The same image twice: byte for byte, or so alike that a model would know it again."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone import progress
from workzone.data.images import content_hash, decode, read_bytes
from workzone.data.manifest import Manifest
from workzone.errors import ImageError, UsageError
from workzone.parallel import map_ahead

HASH_BITS = 64
_ENOUGH_SIDE = 128  # pixels; the perceptual hash itself looks at 32 x 32
_BLANK_DEVIATION = 2.0  # grey levels; flatter frames all hash alike and say nothing
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height


@dataclass(frozen=True, slots=True)
class UnreadableImage:
    """An image that could not be read; ``code`` is that of `ImageError`."""

    id: str
    image: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImagePrint:
    """What tells an image from others.

    ``perceptual`` is the 64-bit pHash, or None where the frame is blank (one flat colour).
    """

    content_hash: str
    perceptual: int | None
    width: int  # pixels, upright
    height: int


@dataclass(frozen=True)
class Fingerprints:
    """The print of every sample in manifest order (None: unreadable), and what was unreadable."""

    prints: Sequence[ImagePrint | None]
    unreadable: Sequence[UnreadableImage]


def fingerprint(data: bytes, *, name: str = "image") -> ImagePrint:
    """Content hash, perceptual hash and size of one encoded image.

    The perceptual hash is the sign of the 8 x 8 lowest DCT coefficients against their median
    (pHash; Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions").

    Raises:
        ImageError: the image cannot be decoded.
    """
    frame = decode(data, enough_side=_ENOUGH_SIDE, name=name)
    grey = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy()).convert("L")
    blank = float(np.asarray(grey).std()) < _BLANK_DEVIATION
    perceptual = None if blank else int(str(imagehash.phash(grey)), 16)
    width, height = _size(data)
    return ImagePrint(content_hash(data), perceptual, width, height)


def fingerprints(manifest: Manifest) -> Fingerprints:
    """Read every image once, under a progress bar, decoding in a pool of threads."""
    prints: list[ImagePrint | None] = []
    unreadable: list[UnreadableImage] = []

    def read() -> Iterator[tuple[bytes | ImageError, str]]:
        # In this thread and in order: archives and parquet files are read sequentially.
        for sample in progress.track(manifest.samples, "reading images"):
            try:
                yield read_bytes(sample.image, manifest.root), str(sample.image)
            except ImageError as error:
                yield error, str(sample.image)

    def look(item: tuple[bytes | ImageError, str]) -> ImagePrint | ImageError:
        data, name = item
        try:
            return data if isinstance(data, ImageError) else fingerprint(data, name=name)
        except ImageError as error:
            return error

    workers = min(8, os.cpu_count() or 1)
    looked = map_ahead(look, read(), threads=workers, ahead=2 * workers)
    for sample, (_, result) in zip(manifest, looked, strict=True):
        if isinstance(result, ImageError):
            prints.append(None)
            unreadable.append(
                UnreadableImage(sample.id, str(sample.image), result.code, str(result))
            )
        else:
            prints.append(result)
    return Fingerprints(prints, unreadable)


def exact_duplicates(hashes: Iterable[str | None]) -> list[list[int]]:
    """Indices of equal content hashes: one list of two or more for each; None equals nothing."""
    same: dict[str, list[int]] = defaultdict(list)
    for index, value in enumerate(hashes):
        if value is not None:
            same[value].append(index)
    return [indices for indices in same.values() if len(indices) > 1]


def near_duplicates(hashes: npt.NDArray[np.uint64], distance: int) -> npt.NDArray[np.int64]:
    """All pairs of 64-bit hashes that differ in at most ``distance`` bits, found exactly.

    By the pigeonhole principle: of ``distance + 1`` bands of bits at least one is equal in such a
    pair, so only hashes that share a band are compared (Manku, Jain & Das Sarma, WWW 2007).

    Args:
        hashes: uint64 ``[n]``.
        distance: largest Hamming distance, 0..15.

    Returns:
        int64 ``[M, 3]``: two indices, the lesser first, and their distance; sorted.

    Raises:
        UsageError: a distance out of range.
    """
    if not 0 <= distance <= 15:
        raise UsageError(
            f"a near distance of {distance} bits is out of range; give 0 to 15 of {HASH_BITS} bits "
            "(4 finds re-encoded and resized copies)"
        )
    bands = _bands(distance + 1)
    found = [
        _pairs_in_bucket(bucket, hashes, distance, bands[:number])
        for number, mask in enumerate(bands)
        for bucket in _buckets(hashes & mask)
    ]
    pairs = np.concatenate([np.empty((0, 3), dtype=np.int64), *found])
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _bands(count: int) -> list[np.uint64]:
    """Masks of ``count`` bands that share out the 64 bits."""
    edges = [HASH_BITS * number // count for number in range(count + 1)]
    return [np.uint64(((1 << (high - low)) - 1) << low) for low, high in pairwise(edges)]


def _buckets(keys: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.int64]]:
    """Ascending indices of equal keys, two or more together."""
    order = np.argsort(keys, kind="stable")
    edges = np.flatnonzero(np.diff(keys[order])) + 1
    return (bucket for bucket in np.split(order, edges) if len(bucket) > 1)


def _pairs_in_bucket(
    bucket: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    distance: int,
    earlier: Sequence[np.uint64],
) -> npt.NDArray[np.int64]:
    """Near pairs of a bucket, less those that an earlier band has found already."""
    found = [np.empty((0, 3), dtype=np.int64)]
    values = hashes[bucket]
    for start in range(0, len(bucket), 1024):  # bounds the memory of a crowded bucket
        differing = values[start : start + 1024, None] ^ values[None, start:]
        bits = np.bitwise_count(differing)
        row, column = np.nonzero(bits <= distance)
        new = row < column
        for mask in earlier:
            new &= (differing[row, column] & mask) != 0
        row, column = row[new], column[new]
        pairs = (bucket[start + row], bucket[start + column], bits[row, column])
        found.append(np.stack(pairs, axis=1).astype(np.int64))
    return np.concatenate(found)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright frame, from the header (a decoded frame may be shrunk)."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        rotated = image.getexif().get(0x0112) in _ROTATED
    return (height, width) if rotated else (width, height)
