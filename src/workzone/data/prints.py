"""What tells a picture from others: its bytes, its size, and how it looks, whole and in parts."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from workzone import progress
from workzone.cores import core_count
from workzone.data.images import content_hash, decode, read_bytes
from workzone.data.manifest import Manifest
from workzone.errors import ImageError
from workzone.parallel import map_ahead

COARSE_BITS = 64
CROPS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)
"""Sides of the centred crops, as shares of the frame's; the last print is the centred square."""
PRINTS = 2 + len(CROPS) + 1
"""Whole, mirrored, crops, square."""

_ENOUGH_SIDE = 128  # pixels; the hashes themselves look at 32 x 32 and 64 x 64
_EVEN_DEVIATION = 2.0  # grey levels; see `_is_even`
_SMALL_SIDE = 64
_ROTATED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height

Hashes = npt.NDArray[np.uint64]


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

    ``looks``: uint64 ``[PRINTS, 5]``, perceptual hashes of the frame, its mirror image and its
    crops: 64 coarse bits, then 256 fine ones; zeros where a crop is too even to compare. None where
    the whole frame is (one flat colour, or a plain gradient: fog, night).
    """

    content_hash: str
    looks: Hashes | None
    width: int  # pixels, upright
    height: int


@dataclass(frozen=True)
class Fingerprints:
    """The print of every sample in manifest order (None: unreadable), and what was unreadable."""

    prints: Sequence[ImagePrint | None]
    unreadable: Sequence[UnreadableImage]


def fingerprint(data: bytes, *, name: str = "image") -> ImagePrint:
    """Content hash, perceptual hashes and size of one encoded image.

    Raises:
        ImageError: the image cannot be decoded.
    """
    frame = decode(data, enough_side=_ENOUGH_SIDE, name=name)
    grey = Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy()).convert("L")
    width, height = _size(data)
    looks = _looks(grey)
    return ImagePrint(content_hash(data), looks if looks[0].any() else None, width, height)


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

    workers = min(8, core_count())
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


def _looks(grey: Image.Image) -> Hashes:
    """Hashes of the frame, its mirror image, its centred crops and its centred square.

    Each is the sign of the lowest DCT coefficients against their median (pHash; Zauner 2010,
    "Implementation and Benchmarking of Perceptual Image Hash Functions"): 8 x 8 of them, which are
    quick to search, and 16 x 16, which tell more.
    """
    crops = [_centred(grey, grey.width * side, grey.height * side) for side in CROPS]
    square = _centred(grey, min(grey.size), min(grey.size))
    parts = [_small(part) for part in (grey, *crops, square)]
    parts.insert(1, ImageOps.mirror(parts[0]))
    return np.stack([_hashes(part) for part in parts])


def _hashes(small: Image.Image) -> Hashes:
    if _is_even(small):
        return np.zeros(5, dtype=np.uint64)
    bits = [imagehash.phash(small, hash_size=size).hash.ravel() for size in (8, 16)]
    return np.packbits(np.concatenate(bits)).view(np.uint64)


def _small(grey: Image.Image) -> Image.Image:
    """The size that the fine hashes look at."""
    return grey.resize((_SMALL_SIDE, _SMALL_SIDE), Image.Resampling.BILINEAR)


def _is_even(small: Image.Image) -> bool:
    """Whether a frame is one colour, or the same from left to right and top to bottom.

    Such frames all hash alike or by their noise, and say nothing. Squares of a frame, in whose
    means noise is lost, are freed of the means of their rows and columns; what remains is detail.
    """
    squares = np.asarray(small.reduce(2), dtype=np.float64)
    detail = squares - squares.mean(axis=0) - squares.mean(axis=1, keepdims=True) + squares.mean()
    return float(detail.std()) < _EVEN_DEVIATION


def _centred(image: Image.Image, width: float, height: float) -> Image.Image:
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return image.crop((round(left), round(top), round(left + width), round(top + height)))


def _size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright frame, from the header (a decoded frame may be shrunk)."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        rotated = image.getexif().get(0x0112) in _ROTATED
    return (height, width) if rotated else (width, height)
