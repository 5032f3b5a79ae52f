"""From an image reference to an upright uint8 RGB frame, or to an :class:`ImageError`.

This is the only place that opens and decodes images.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from workzone.errors import ImageError
from workzone.types import ImageRef

MIN_SIDE = 16
"""Pixels; below this there is nothing to see."""
MAX_PIXELS = 100_000_000
"""Pixels; above this an image is refused before it is decoded (a decompression bomb)."""
MAX_BYTES = 256 * 1024 * 1024
"""Bytes of one encoded image."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".mpo"}
)

_ARCHIVE_ERRORS = (zipfile.BadZipFile, tarfile.TarError)
_EXIF_ORIENTATION = 0x0112
_TRANSPARENT_BACKGROUND = (127, 127, 127)


def read_bytes(ref: ImageRef, root: Path) -> bytes:
    """The encoded bytes of an image.

    Args:
        ref: where they are; a relative path starts at ``root``.
        root: the manifest's folder.

    Raises:
        ImageError: the file, member or row is missing, empty, or not readable.
    """
    path = root / ref.path
    try:
        if ref.row is not None:
            data = _parquet_bytes(path, ref)
        elif ref.member is not None:
            data = _archive_bytes(path, ref.member)
        elif path.stat().st_size > MAX_BYTES:
            raise ImageError("too-large", f"{ref}: over {MAX_BYTES >> 20} MiB encoded")
        else:
            data = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError("missing", f"{ref}: no such file") from error
    except (KeyError, IndexError) as error:
        raise ImageError("missing", f"{ref}: no such member or row") from error
    except PermissionError as error:
        raise ImageError("denied", f"{ref}: no permission to read it") from error
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error, *_ARCHIVE_ERRORS) as error:
        raise ImageError("unreadable", f"{ref}: {error}") from error
    if not data:
        raise ImageError("empty", f"{ref}: zero bytes")
    return data


@dataclass
class _RowGroup:
    first: int  # row number of its first row
    values: pa.ChunkedArray


_parquet_lock = Lock()  # pyarrow's readers are not made for several threads at once


@lru_cache(maxsize=2)  # each holds a row group of images
def _parquet(path: str, _modified: int) -> tuple[pq.ParquetFile, dict[str, _RowGroup]]:
    return pq.ParquetFile(path), {}


def _parquet_bytes(path: Path, ref: ImageRef) -> bytes:
    """One cell of an image column: bytes, or a struct with ``bytes``."""
    if not path.is_file():
        raise FileNotFoundError(path)
    column = ref.member or "image"
    assert ref.row is not None
    with _parquet_lock:
        file, cache = _parquet(str(path), path.stat().st_mtime_ns)
        held = cache.get(column)
        if held is None or not held.first <= ref.row < held.first + len(held.values):
            held = _read_row_group(file, column, ref.row)
            cache[column] = held  # one row group per file: images are read in order
    value = held.values[ref.row - held.first].as_py()
    if isinstance(value, dict):
        value = value.get("bytes")
    return value or b""


def _read_row_group(file: pq.ParquetFile, column: str, row: int) -> _RowGroup:
    first = 0
    for number in range(file.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if first <= row < first + count:
            table = file.read_row_group(number, columns=[column])
            return _RowGroup(first, table.column(column))
        first += count
    raise IndexError(row)


@lru_cache(maxsize=8)
def _tar_members(path: str, _modified: int) -> dict[str, tuple[int, int]]:
    """Offset and size of each file of an uncompressed tar; sequential readers need no second."""
    with tarfile.open(path, "r:") as archive:
        return {m.name: (m.offset_data, m.size) for m in archive if m.isfile()}


@lru_cache(maxsize=8)
def _zip(path: str, _modified: int, _process: int) -> zipfile.ZipFile:
    """Kept open: reading a large archive's directory again for each member takes minutes.

    One per process: forked processes would share the position in the file.
    """
    return zipfile.ZipFile(path)


def _archive_bytes(path: Path, member: str) -> bytes:
    if path.suffix == ".tar":
        offset, size = _tar_members(str(path), path.stat().st_mtime_ns)[member]
        if size > MAX_BYTES:
            raise ImageError("too-large", f"{path}!{member}: over {MAX_BYTES >> 20} MiB encoded")
        with path.open("rb") as handle:
            handle.seek(offset)
            return handle.read(size)
    archive = _zip(str(path), path.stat().st_mtime_ns, os.getpid())
    if archive.getinfo(member).file_size > MAX_BYTES:
        raise ImageError("too-large", f"{path}!{member}: over {MAX_BYTES >> 20} MiB encoded")
    return archive.read(member)


def content_hash(data: bytes) -> str:
    """BLAKE2b-128 of an image's encoded bytes, as 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def decode(data: bytes, *, enough_side: int | None = None, name: str = "image") -> torch.Tensor:
    """Decode to an upright RGB frame.

    Palette, grey, CMYK and 16-bit images become 8-bit RGB; transparency is laid over mid grey; of
    an animation the first frame is taken; the EXIF orientation is applied.

    Args:
        data: the encoded bytes.
        enough_side: if given, a JPEG may be decoded at a fraction of its size (libjpeg's scaled
            inverse DCT) as long as its shorter side stays at least this many pixels.
        name: what to call the image in errors.

    Returns:
        uint8 ``[3, H, W]`` in channels-last memory.

    Raises:
        ImageError: not an image, truncated, smaller than `MIN_SIDE`, larger than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(data))
            _check_size(image.size, name)
            if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
                return _decode_jpeg(data, image, enough_side)
            return _to_tensor(_to_rgb(image))
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too-large", f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise ImageError("unreadable", f"{name}: not an image in a known format") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        code = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise ImageError(code, f"{name}: {error}") from error


def exif_orientation(data: bytes) -> int:
    """The EXIF orientation by which `decode` turns an image upright, 1 to 8; 1: not at all."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            found = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # as in `decode`: what it could not read, it did not turn
        return 1
    return found if found in range(1, 9) else 1


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise ImageError(
            "too-small", f"{name}: {width}x{height} pixels; at least {MIN_SIDE} a side are needed"
        )
    if width * height > MAX_PIXELS:
        raise ImageError(
            "too-large", f"{name}: {width}x{height} pixels; at most {MAX_PIXELS:,} are decoded"
        )


def _decode_jpeg(data: bytes, image: Image.Image, enough_side: int | None) -> torch.Tensor:
    """libjpeg-turbo without Pillow's detour: the same pixels, more than twice as fast.

    Pillow decides where it gives up: it reads files that only lack their end marker.
    """
    least = enough_side or 0
    try:  # 7/8 to 5/8 of the size would take longer than all of it: half is the first that pays
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=least, min_width=least, min_factor=2 if least else 1
        )
    except ValueError:
        return _to_tensor(_to_rgb(image))
    frame = torch.from_numpy(pixels).permute(2, 0, 1)
    return _turn_upright(frame, image.getexif().get(_EXIF_ORIENTATION, 1))


def _turn_upright(frame: torch.Tensor, orientation: int) -> torch.Tensor:
    """Undo the camera's turn (Exif 2.32, tag Orientation): rows and columns swapped, then flips."""
    if orientation in (5, 6, 7, 8):
        frame = frame.transpose(1, 2)
    flipped = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation)
    return frame.flip(flipped) if flipped else frame


def _to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        deep = image.mode.startswith("I;16") or values.max(initial=0) > 255
        return Image.fromarray(
            (values / (257 if deep else 1)).clip(0, 255).astype(np.uint8)
        ).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layered = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (*_TRANSPARENT_BACKGROUND, 255))
        return Image.alpha_composite(background, layered).convert("RGB")
    return image.convert("RGB")


def _to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)
