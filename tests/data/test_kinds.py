"""What files that are no readable images are, and what to do with them."""

from __future__ import annotations

import io
import re
import struct

import pytest
from PIL import Image

from workzone.data.images import decode
from workzone.data.kinds import IMAGE_SUFFIXES, NOT_READ, is_address, what_is
from workzone.data.pointers import pointer_advice
from workzone.errors import ImageError

LFS = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f"
    b"32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def raw_tiff(tags: dict[int, int]) -> bytes:
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(tags)) + listed + bytes(100)


TOLD = {
    "heic": (
        box(b"ftyp", b"heic\x00\x00\x00\x00mif1heic") + bytes(40),
        "a HEIC photograph: .*JPEG",
    ),
    "heif": (
        box(b"ftyp", b"mif1\x00\x00\x00\x00mif1heic") + bytes(40),
        "a HEIC photograph: .*JPEG",
    ),
    "avif": (box(b"ftyp", b"mif1\x00\x00\x00\x00mif1avif") + bytes(40), "an AVIF image"),
    "mp4": (box(b"ftyp", b"isom\x00\x00\x02\x00isommp41") + bytes(40), "a video: extract frames"),
    "mov": (box(b"ftyp", b"qt  \x00\x00\x02\x00qt  ") + bytes(40), "a video: extract frames"),
    "old mov": (box(b"wide", b"") + box(b"mdat", bytes(40)), "a video"),
    "cr3": (box(b"ftyp", b"crx \x00\x00\x00\x01crx isom") + bytes(40), "raw file: develop it"),
    "avi": (b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(40), "a video"),
    "mkv": (b"\x1aE\xdf\xa3" + bytes(40), "a video"),
    "ts": ((b"G" + b"\xff" * 187) * 4, "a video"),
    "m2ts": ((b"\x01\x02\x03\x04G" + b"\xff" * 187) * 4, "a video"),
    "jxl": (b"\xff\x0a" + b"\xfa\x1f" * 20, "a JPEG XL image: convert it"),
    "jxl box": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL image: convert it"),
    "psd": (b"8BPS\x00\x01" + bytes(40), "a Photoshop file: export it"),
    "pdf": (b"%PDF-1.7\n" + bytes(40), "a PDF document: extract its images"),
    "dng": (raw_tiff({254: 1, 256: 160, 257: 120, 0xC612: 1}), "raw file: develop it"),
    "nef": (raw_tiff({254: 1, 256: 160, 257: 120, 330: 90}), "raw file: develop it"),
    "cr2": (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(40), "raw file: develop it"),
    "raf": (b"FUJIFILMCCD-RAW 0201" + bytes(40), "raw file: develop it"),
    "svg": (b'<?xml version="1.0"?>\n<svg width="20"/>', "a drawing"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "not an image but a web page"),
    "html comment": (b"<!-- saved --><HTML><head>", "not an image but a web page"),
    "xml": (
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "not an image but XML.*AccessDenied",
    ),
    "json": (b'{"error": "not found"}', "not an image but JSON.*not found"),
    "long json": (b'[{"a": "' + b"x" * 9000 + b'"}]', "not an image but JSON"),
    "text": (b"403 Forbidden", "not an image but text: '403 Forbidden'"),
    "utf-8": ("Zugriff verweigert für ".encode() * 300, "not an image but text: 'Zugriff"),
    "lfs": (LFS, "git-lfs pointer.*git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s123--abc.jpg\n", "git-annex pointer.*git annex get"),
    "zeros": (bytes(5000), "nothing but zero bytes"),
    "zip": (b"PK\x03\x04" + bytes(40), "a zip archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "compressed with gzip"),
    "numpy": (b"\x93NUMPY\x01\x00" + bytes(40), "a NumPy array"),
    "parquet": (b"PAR1" + bytes(40), "a parquet file"),
    "noise": (b"\x93\x01\x00\xfe" * 40, "not an image in a known format"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_each_kind_is_told_in_one_sentence(kind, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)  # not installed
    data, expected = TOLD[kind]
    with pytest.raises(ImageError, match=rf"^a\.jpg: .*{expected}") as caught:
        decode(data, name="a.jpg")
    assert caught.value.code == "unreadable"
    assert "\n" not in str(caught.value)


def test_a_tiff_that_is_no_raw_file_is_read():
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (9, 8, 7)).save(file, format="TIFF")
    assert what_is(file.getvalue()).startswith("a TIFF")
    assert tuple(decode(file.getvalue()).shape) == (3, 30, 40)


def test_no_suffix_is_both_read_and_not():
    assert not IMAGE_SUFFIXES & NOT_READ.keys()
    assert all(re.fullmatch(r"\.[a-z0-9]+", name) for name in IMAGE_SUFFIXES | NOT_READ.keys())
    assert {".jpg", ".heic", ".avif", ".jp2"} <= IMAGE_SUFFIXES
    assert {".mp4", ".dng", ".jxl"} <= NOT_READ.keys()


def test_pointers():
    assert "git lfs pull" in pointer_advice(b"\xef\xbb\xbf" + LFS.replace(b"\n", b"\r\n"))
    assert "git annex get" in pointer_advice(b"../../.git/annex/objects/xx/yy/SHA256E-s1--a/x.jpg")
    assert pointer_advice(b"version 2 of the story") is None
    assert pointer_advice(LFS + bytes(40_000)) is None


def test_addresses():
    for path in ("https://a.org/1.jpg", "http:/a.org/1.jpg", "/data/s3:/b/1.jpg", "gs://b/1.jpg"):
        assert is_address(path)
    for path in ("street.jpg", "/data/https/1.jpg", "a:b/1.jpg", "C:/photos/1.jpg", "xs3://1.jpg"):
        assert not is_address(path)
