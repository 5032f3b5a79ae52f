"""Which kinds of file are read as images, and what to do with those that are not."""

from __future__ import annotations

import json
import re
from pathlib import PurePath
from typing import Final
from urllib.parse import unquote

from workzone.data.pointers import pointer_advice
from workzone.data.tiff_tags import first_directory

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif"}
    | {".tif", ".tiff", ".jp2", ".j2k", ".jpf", ".jpx", ".avif", ".heic", ".heif", ".hif", ".ppm"}
)
"""In lower case: files that are read. HEIC needs an extra; without it each is refused in words."""

HEIC: Final = (
    "a HEIC photograph: pip install 'workzone[heic]' to read it, or convert it to JPEG "
    "(for example with `heif-convert` or `magick`)"
)
AVIF: Final = (
    "an AVIF image that is damaged, or that this build of Pillow does not read: pip install -U "
    "pillow, or convert it to JPEG or PNG"
)
JPEG_2000: Final = (
    "a JPEG 2000 image that is damaged, or that this build of Pillow does not read: pip install "
    "-U pillow, or convert it to JPEG or PNG"
)
RAW: Final = "a camera's raw file: develop it to JPEG or PNG first (for example with darktable)"
_JPEG_XL = "a JPEG XL image: convert it to JPEG or PNG first (for example with `djxl`)"
_VIDEO = "a video: extract frames first, with `workzone data import VIDEO -o manifest.parquet`"
_PHOTOSHOP = "a Photoshop file: export it as JPEG or PNG first"
_DRAWING = "a drawing (SVG), not a photograph: export it as PNG first"
_PDF = "a PDF document: extract its images first, for example with `pdfimages -all`"

VIDEO_SUFFIXES: Final = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".avi", ".mkv", ".webm", ".ts", ".mts", ".m2ts"),
        *(".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".lrv", ".insv", ".360", ".h264", ".h265"),
        *(".hevc", ".mjpeg", ".mjpg", ".ogv"),
    }
)
"""In lower case: files that are videos."""


def is_video(path: PurePath) -> bool:
    """Whether a file is named as videos are."""
    return path.suffix.lower() in VIDEO_SUFFIXES


NOT_READ: Final = {
    **dict.fromkeys(VIDEO_SUFFIXES, _VIDEO),
    **dict.fromkeys(
        (
            *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".orf"),
            *(".rw2", ".raf", ".pef", ".srw", ".x3f", ".mrw", ".3fr", ".iiq", ".gpr", ".raw"),
        ),
        RAW,
    ),
    ".jxl": _JPEG_XL,
    **dict.fromkeys((".psd", ".psb"), _PHOTOSHOP),
    **dict.fromkeys((".svg", ".svgz"), _DRAWING),
    ".pdf": _PDF,
}
"""Suffix, in lower case, of known kinds that are not read, to what such a file is and the fix."""

_TIFF_SUBFILE, _SUB_IFDS, _DNG_VERSION = 0x00FE, 0x014A, 0xC612
_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_MAGIC = (  # offset, first bytes, what it is
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", JPEG_2000),
    (0, b"\xff\x4f\xff\x51", JPEG_2000),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JPEG_XL),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"8BPS", _PHOTOSHOP),
    (0, b"%PDF-", _PDF),
    (0, b"IIRO", RAW),  # Olympus
    (0, b"IIRS", RAW),
    (0, b"MMOR", RAW),
    (0, b"IIU\x00", RAW),  # Panasonic
    (0, b"FUJIFILMCCD-RAW", RAW),
    (0, b"\x00MRM", RAW),  # Minolta
    (0, b"FOVb", RAW),  # Sigma
    (6, b"HEAPCCDR", RAW),  # Canon, older
    (0, b"\x1aE\xdf\xa3", _VIDEO),  # Matroska, WebM
    (0, b"\x00\x00\x01\xba", _VIDEO),  # MPEG program stream
    (0, b"\x00\x00\x01\xb3", _VIDEO),
    (0, b"\x00\x00\x00\x01", _VIDEO),  # raw H.264 or H.265
    (0, b"FLV\x01", _VIDEO),
    (0, b"0&\xb2u\x8ef\xcf\x11", _VIDEO),  # Windows Media
    (0, b"OggS", _VIDEO),
    (0, b"PK\x03\x04", "a zip archive: unpack it, or import the archive as a data set"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (0, b"Rar!\x1a\x07", "a rar archive: unpack it first"),
    (0, b"PAR1", "a parquet file: import it as a data set"),
    (0, b"\x93NUMPY", "a NumPy array: save it as PNG, or give the array itself"),
    (0, b"\x00\x05\x16\x07", "notes that macOS keeps beside a file: leave it out"),
)
_QUICKTIME = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|script)\b", re.I | re.S)
_ADDRESS = re.compile(r"(?:^|/)(?P<scheme>https?|ftp|s3|gs|gcs|az|abfss?|wasbs?|hdfs|hf):/", re.I)

_FILE = re.compile(r"file:(?://(?:localhost)?)?(/(?!/).*)", re.I | re.S)
_HUB = re.compile(
    r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/datasets/|hf://datasets/)"
    r"([\w.-]+/[\w.-]+)/?(?:(?:tree|viewer)(?:/.*)?)?(?:[?#].*)?$",
    re.I,
)


def what_is(data: bytes) -> str | None:
    """What a file that is no readable image is, and what to do; None where that cannot be told.

    Args:
        data: all its bytes; the first few say it.
    """
    head = data[:4096]
    if pointer := pointer_advice(data):
        return pointer
    if data and data.count(0) == len(data):
        return "nothing but zero bytes: a copy or download broke off; fetch it again"
    if head.startswith(_TIFF_STARTS):
        return RAW if is_raw(data) else _tiff(data)
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset):
            return kind
    return _media_container(head) or _text(head)


def is_heic(data: bytes) -> bool:
    """Whether a file is a HEIC photograph, by its first bytes."""
    return data[4:8] == b"ftyp" and _media_container(data[:4096]) == HEIC


def is_raw(data: bytes) -> bool:
    """Whether a TIFF structure is a camera's raw file; readers of TIFF see its thumbnail alone."""
    tags = first_directory(data)
    reduced = tags.get(_TIFF_SUBFILE)
    thumbnail_first = reduced is not None and bool((reduced.value or 0) & 1)
    return _DNG_VERSION in tags or data[8:10] == b"CR" or (thumbnail_first and _SUB_IFDS in tags)


def is_address(path: str) -> bool:
    """Whether a path is a web address, or one with a folder before it."""
    return _ADDRESS.search(path) is not None


def local_path(name: str) -> str:
    """The path that a ``file:`` address names; other names as they are."""
    found = _FILE.fullmatch(name)
    return unquote(found[1]) if found else name


def address_advice(path: str) -> str:
    """What to do with a web address in place of a file or a data set."""
    if hub := _HUB.match(path):
        return f"{path} is a web address: give the id of the data set instead, {hub[1]}"
    return f"{path} is a web address: download it first and name the file"


def _media_container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        size = max(16, min(int.from_bytes(head[:4], "big"), len(head)))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, size, 4))}
        if brands & {b"avif", b"avis"}:
            return AVIF
        if b"crx " in brands:
            return RAW
        return HEIC if brands & _HEIC_BRANDS else _VIDEO
    if head[4:8] in _QUICKTIME or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return _VIDEO
    for start in (0, 4):  # MPEG transport streams, without and with time stamps
        packet = 188 + start
        if len(head) > 2 * packet + start and {head[start + n * packet] for n in range(3)} == {
            0x47
        }:
            return _VIDEO
    return None


def _tiff(data: bytes) -> str:
    tags = first_directory(data)
    samples, bits = (tags.get(tag) for tag in (0x0115, 0x0102))
    several = samples is not None and (samples.value or 1) > 1
    shape = f" of {samples.value} values a pixel" if samples and several else ""
    size = f" of {bits.value} bits" if bits and bits.value else ""
    return (
        f"a TIFF{shape or size} that is damaged or of a kind that is not read: save it as TIFF "
        "or PNG of 8-bit values"
    )


def _text(head: bytes) -> str | None:
    """Kinds of text; None for anything binary."""
    head = head.removeprefix(b"\xef\xbb\xbf")
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # more than a letter cut in two
            return None
        text = head[: error.start].decode()
    if any(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in text):
        return None
    if _HTML.match(head):
        return "not an image but a web page: the download went wrong; fetch the image itself"
    text = text.strip()
    if "<svg" in text.lower():
        return _DRAWING
    if text.startswith("<?xml") or re.match(r"<\w+>", text):
        return f"not an image but XML, perhaps a server's error message: {_begin(text)}"
    if _is_json(text):
        return f"not an image but JSON, perhaps a server's error message: {_begin(text)}"
    return f"not an image but text: {_begin(text)}"


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return len(text) > 1000  # cut off here
    return True


def _begin(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:60] + "…")
