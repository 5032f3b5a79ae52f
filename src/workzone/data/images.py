"""From an image reference to an upright uint8 RGB frame, or to an :class:`ImageError`.

This is the only place that opens and decodes images.
"""

from __future__ import annotations

import hashlib
import io
import stat
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from workzone.data import kinds
from workzone.data.archives import ARCHIVE_ERRORS, read_member
from workzone.data.deep_pixels import (
    bits_of,
    check_deep_colours,
    check_signs,
    is_deep,
    is_thumbnail,
    to_eight_bits,
)
from workzone.data.exif import ORIENTATION_TAG, orientation_of, turn_upright
from workzone.data.heic import open_heic
from workzone.data.jpegs import JPEG_START, decode_jpeg
from workzone.data.png_chunks import PNG_START, bare_png
from workzone.data.remote import is_remote, read_remote
from workzone.data.tiff_tags import without_damaged_notes
from workzone.errors import ImageError
from workzone.types import ImageRef

if TYPE_CHECKING:  # an import of pictures needs none of it, and it takes hundreds of megabytes
    import torch

MIN_SIDE = 16
"""Pixels; below this there is nothing to see."""
MAX_PIXELS = 100_000_000
"""Pixels; above this an image is refused before it is decoded (a decompression bomb)."""
MAX_BYTES = 256 * 1024 * 1024
"""Bytes of one encoded image."""
IMAGE_SUFFIXES = kinds.IMAGE_SUFFIXES

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "PPM")
_TRANSPARENT_BACKGROUND = (127, 127, 127)


def read_bytes(ref: ImageRef, root: Path) -> bytes:
    """The encoded bytes of an image.

    Args:
        ref: where they are; a relative path starts at ``root``. An address is read by
            :mod:`workzone.data.remote`.
        root: the manifest's folder.

    Raises:
        ImageError: the file, member or row is missing, empty, or not readable.
        MissingExtraError: a package for such addresses is not installed.
    """
    if is_remote(ref.path):
        return read_remote(ref, most=MAX_BYTES) or _nothing(ref)
    path = root / ref.path
    try:
        _check_file(path, ref)
        if ref.row is not None:
            from workzone.data.parquet_cells import read_cell  # pyarrow, for parquet alone

            data = read_cell(path, ref)
        elif ref.member is not None:
            data = read_member(path, ref.member, most=MAX_BYTES)
        else:
            data = path.read_bytes()
    except FileNotFoundError as error:
        if kinds.is_address(ref.path):
            raise ImageError("missing", kinds.address_advice(str(ref))) from error
        raise ImageError("missing", f"{ref}: no such file") from error
    except (KeyError, IndexError) as error:
        raise ImageError("missing", f"{ref}: no such member or row") from error
    except PermissionError as error:
        raise ImageError("denied", f"{ref}: no permission to read it") from error
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error, *ARCHIVE_ERRORS) as error:
        raise ImageError("unreadable", f"{ref}: {error}") from error
    return data or _nothing(ref)


def _nothing(ref: ImageRef) -> bytes:
    raise ImageError("empty", f"{ref}: zero bytes")


def _check_file(path: Path, ref: ImageRef) -> None:
    """Before it is opened: reading a named pipe or a device may wait for ever."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a named pipe, socket or device"
        raise ImageError("unreadable", f"{ref}: {kind}, not a file")
    if ref.row is None and ref.member is None and state.st_size > MAX_BYTES:
        raise ImageError("too-large", f"{ref}: over {MAX_BYTES >> 20} MiB encoded")


def content_hash(data: bytes) -> str:
    """BLAKE2b-128 of an image's encoded bytes, as 32 hex digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def decode(data: bytes, *, enough_side: int | None = None, name: str = "image") -> torch.Tensor:
    """As `decode_pixels`, for torch.

    Returns:
        uint8 ``[3, H, W]`` in channels-last memory.

    Raises:
        ImageError: see `decode_pixels`.
    """
    import torch

    pixels = decode_pixels(data, enough_side=enough_side, name=name)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def decode_pixels(
    data: bytes, *, enough_side: int | None = None, name: str = "image"
) -> npt.NDArray[np.uint8]:
    """Decode to an upright RGB frame.

    Palette, grey, CMYK and 16-bit images become 8-bit RGB; transparency is laid over mid grey; of
    an animation or several pages the first is taken; the orientation is applied, whatever state
    other tags are in. Colour profiles are not applied.

    Args:
        data: the encoded bytes.
        enough_side: if given, a JPEG may be decoded at a fraction of its size (libjpeg's scaled
            inverse DCT) as long as its shorter side stays at least this many pixels.
        name: what to call the image in errors.

    Returns:
        uint8 ``[H, W, 3]``, row by row in memory.

    Raises:
        ImageError: not an image, truncated, damaged, smaller than `MIN_SIDE`, larger than
            `MAX_PIXELS`, or of values whose scale cannot be told.
    """
    try:
        with warnings.catch_warnings():  # odd tags, and sizes that are checked here
            warnings.simplefilter("ignore")
            return _decode(data, enough_side, name)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("too-large", f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        what = kinds.what_is(data) or "not an image in a known format, or its header is damaged"
        raise ImageError("unreadable", f"{name}: {what}") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        code = "truncated" if "truncated" in str(error).lower() else "unreadable"
        raise ImageError(code, f"{name}: damaged or cut off ({error}); fetch it again") from error


def _decode(data: bytes, enough_side: int | None, name: str) -> npt.NDArray[np.uint8]:
    if data.startswith(PNG_START):
        return _decode_png(data, name)
    if data.startswith(JPEG_START):  # by far the most: no other question first
        return _decode_jpeg(data, enough_side, name)
    if kinds.is_heic(data):
        heic = open_heic(data, name, lambda size: _check_size(size, name))
        return _to_array(_to_rgb(heic, name))
    if kinds.is_raw(data):  # what Pillow reads of it is a thumbnail
        raise ImageError("unreadable", f"{name}: {kinds.RAW}")
    image = _open(without_damaged_notes(data), name)
    if image.format == "TIFF":
        return _decode_tiff(image, name)
    return turn_upright(_to_array(_to_rgb(image, name)), orientation_of(image))


def _decode_jpeg(data: bytes, enough_side: int | None, name: str) -> npt.NDArray[np.uint8]:
    image = _open(data, name, ("JPEG",))
    cmyk = image.mode == "CMYK"
    pixels = decode_jpeg(data, "CMYK" if cmyk else "RGB", enough_side, name)
    if pixels is None:
        pixels = _to_array(_to_rgb(image, name))
    elif cmyk:  # stored inverted, as Adobe does
        pixels = _to_array(Image.fromarray(255 - pixels, mode="CMYK").convert("RGB"))
    return turn_upright(pixels, orientation_of(image))


def _open(data: bytes, name: str, formats: tuple[str, ...] = _FORMATS) -> Image.Image:
    image: Image.Image = Image.open(io.BytesIO(data), formats=formats)
    _check_size(image.size, name)
    return image


def exif_orientation(data: bytes) -> int:
    """The orientation by which `decode` turns an image upright, 1 to 8; 1: it does not."""
    if data.startswith(PNG_START):
        return bare_png(data)[1]
    if kinds.is_heic(data):  # its decoder turns it, as annotation tools see it too
        return 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(without_damaged_notes(data)), formats=_FORMATS)
    if image.format != "TIFF":
        return orientation_of(image)
    found = image.getexif().get(ORIENTATION_TAG, 1)
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


def _decode_png(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    data, orientation = bare_png(data)
    image = _open(data, name)
    image.load()
    check_deep_colours(image, name, bits=data[24])
    return turn_upright(_to_array(_to_rgb(image, name)), orientation)


def _decode_tiff(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """Its first page that is no thumbnail; Pillow turns it upright."""
    page = 0
    try:
        while is_thumbnail(image):
            page += 1
            image.seek(page)
    except EOFError:
        image.seek(0)
    _check_size(image.size, name)
    check_signs(image, name)
    bits = bits_of(image)
    image.load()
    check_deep_colours(image, name, bits=bits)
    return _to_array(_to_rgb(image, name))


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    transparency = image.info.get("transparency")
    if is_deep(image):
        grey = to_eight_bits(image, name)
        rgb = np.repeat(grey[..., None], 3, axis=2)
        if isinstance(transparency, int):  # of a PNG: the one value that is not to be seen
            rgb[np.asarray(image) == transparency] = _TRANSPARENT_BACKGROUND
        return Image.fromarray(rgb)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or transparency is not None:
        layered = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (*_TRANSPARENT_BACKGROUND, 255))
        return Image.alpha_composite(background, layered).convert("RGB")
    return image.convert("RGB")


def _to_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.array(image)
