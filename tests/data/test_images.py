"""Decoding: every kind of image gives the pixels that a viewer would show, or a clear error."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms

from bad_images import BLUE, HEIGHT, ORANGE, WIDTH, make_bad_images, ramp, two_halves
from workzone.data.images import MIN_SIDE, content_hash, decode, read_bytes
from workzone.errors import ImageError
from workzone.types import ImageRef

GREY = (127, 127, 127)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    return folder, make_bad_images(folder)


def frame(folder: Path, name: str) -> np.ndarray:
    """Decoded to ``[H, W, 3]``."""
    pixels = decode(read_bytes(ImageRef(name), folder), name=name)
    assert pixels.shape[0] == 3
    return pixels.permute(1, 2, 0).numpy()


def halves(left, right) -> np.ndarray:
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, : WIDTH // 2] = left
    pixels[:, WIDTH // 2 :] = right
    return pixels


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def see_through_ramp() -> np.ndarray:
    expected = grey(ramp())
    expected[:, : WIDTH // 2] = GREY
    return expected


EXACT = {
    "plain.png": halves(ORANGE, BLUE),
    "png-named.jpg": halves(ORANGE, BLUE),
    "palette.png": halves(ORANGE, BLUE),
    "animated.gif": halves(ORANGE, BLUE),
    "animated.webp": halves(ORANGE, BLUE),
    "palette-transparent.png": halves(GREY, BLUE),
    "alpha.png": halves(GREY, BLUE),
    "grey-alpha.png": see_through_ramp(),
    "sixteen-bit.png": grey(ramp()),
    "one-bit.png": grey(np.where(ramp() > 127, 255, 0).astype(np.uint8)),
}
LOSSY = {
    "plain.jpg": halves(ORANGE, BLUE),
    "cmyk.jpg": halves(ORANGE, BLUE),
    "progressive.jpg": halves(ORANGE, BLUE),
    "mpo.mpo": halves(ORANGE, BLUE),
    "rotated.jpg": np.rot90(halves(ORANGE, BLUE), -1),  # clockwise: orange on top
    "grey.jpg": grey(ramp()),
}


def test_every_readable_kind_has_an_expectation(zoo):
    assert {name for name, code in zoo[1].items() if code is None} == EXACT.keys() | LOSSY.keys()


@pytest.mark.parametrize("name", EXACT)
def test_lossless_kinds_are_exact(zoo, name):
    np.testing.assert_array_equal(frame(zoo[0], name), EXACT[name])


@pytest.mark.parametrize("name", LOSSY)
def test_jpeg_kinds_are_near(zoo, name):
    got, expected = frame(zoo[0], name), LOSSY[name]
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 4


def test_errors_carry_their_code_and_the_name(zoo):
    folder, expected = zoo
    for name, code in expected.items():
        if code is not None:
            with pytest.raises(ImageError, match=name.replace(".", r"\.")) as caught:
                frame(folder, name)
            assert caught.value.code == code, name


def test_a_smaller_decoding_keeps_enough_pixels():
    file = io.BytesIO()
    two_halves().resize((480, 320)).save(file, format="JPEG")
    pixels = decode(file.getvalue(), enough_side=80)
    assert tuple(pixels.shape) == (3, 80, 120)
    assert pixels[:, 40, 20].tolist() == pytest.approx(ORANGE, abs=6)
    assert pixels[:, 40, 100].tolist() == pytest.approx(BLUE, abs=6)


@pytest.mark.parametrize("side", [MIN_SIDE - 1, MIN_SIDE])
def test_smallest_side(side):
    file = io.BytesIO()
    Image.new("RGB", (40, side), ORANGE).save(file, format="PNG")
    if side < MIN_SIDE:
        with pytest.raises(ImageError, match="40x15 pixels; at least 16"):
            decode(file.getvalue())
    else:
        assert decode(file.getvalue())[:, 0, 0].tolist() == list(ORANGE)


def test_bytes_from_archives_are_those_of_the_file(zoo, tmp_path):
    data = (zoo[0] / "plain.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/x.png", data)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(zoo[0] / "plain.png", "in/x.png")
    for name in ("a.zip", "a.tar"):
        assert read_bytes(ImageRef(name, "in/x.png"), tmp_path) == data
        with pytest.raises(ImageError, match="no such member") as caught:
            read_bytes(ImageRef(name, "in/y.png"), tmp_path)
        assert caught.value.code == "missing"


def test_damaged_archive_members_are_image_errors(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.jpg", bytes(range(256)) * 40)
    data = bytearray(path.read_bytes())
    data[40:60] = b"\xff" * 20  # inside the compressed member
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"a.zip!x.jpg") as caught:
        read_bytes(ImageRef("a.zip", "x.jpg"), tmp_path)
    assert caught.value.code == "unreadable"


def test_encrypted_members_are_image_errors(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.jpg", b"abc")
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the local header's flag
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the directory's
    path.write_bytes(data)
    with pytest.raises(ImageError, match="encrypted"):
        read_bytes(ImageRef("a.zip", "x.jpg"), tmp_path)


def test_a_path_that_no_file_can_have(tmp_path):
    with pytest.raises(ImageError) as caught:
        read_bytes(ImageRef("a\0b.jpg"), tmp_path)
    assert caught.value.code == "unreadable"


def test_an_archive_whose_name_is_in_capitals(zoo, tmp_path):
    with tarfile.open(tmp_path / "A.TAR", "w") as archive:
        archive.add(zoo[0] / "plain.png", "x.png")
    expected = (zoo[0] / "plain.png").read_bytes()
    assert read_bytes(ImageRef("A.TAR", "x.png"), tmp_path) == expected


@pytest.mark.parametrize("member", [None, "x.jpg"])
def test_named_pipes_and_folders_are_never_opened(tmp_path, member):
    os.mkfifo(tmp_path / "live.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name, what in (("live.jpg", "a named pipe, socket or device"), ("folder.jpg", "a folder")):
        with pytest.raises(ImageError, match=f"{name}.*: {what}, not a file") as caught:
            read_bytes(ImageRef(name, member), tmp_path)
        assert caught.value.code == "unreadable"


@pytest.mark.parametrize(
    "address",
    ["https://example.org/a.jpg", "https:/example.org/a.jpg", "ftp://b/a.jpg", "hf://b/a.jpg"],
)
def test_a_web_address_is_to_be_downloaded(tmp_path, address):
    with pytest.raises(ImageError, match="is a web address: download it first"):
        read_bytes(ImageRef(address), tmp_path)


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "PPM"])
def test_other_kinds_that_pillow_reads(kind):
    file = io.BytesIO()
    two_halves().save(file, format=kind)
    pixels = decode(file.getvalue())
    assert pixels[:, 10, 8].tolist() == pytest.approx(ORANGE, abs=12)
    assert pixels[:, 10, 40].tolist() == pytest.approx(BLUE, abs=12)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_colour_spaces_of_tiffs(mode):
    picture = two_halves()
    if mode == "LAB":
        profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        picture = ImageCms.profileToProfile(picture, *profiles, outputMode="LAB")
    file = io.BytesIO()
    picture.convert(mode).save(file, format="TIFF")
    pixels = decode(file.getvalue())
    assert pixels[:, 10, 8].tolist() == pytest.approx(ORANGE, abs=6)
    assert pixels[:, 10, 40].tolist() == pytest.approx(BLUE, abs=6)


def test_a_transparent_value_of_a_deep_png():
    file = io.BytesIO()
    Image.fromarray(ramp().astype(np.uint16) * 257).save(file, format="PNG", transparency=0)
    assert decode(file.getvalue())[:, 0, 0].tolist() == list(GREY)
    assert decode(file.getvalue())[:, 0, -1].tolist() == [255] * 3


@pytest.mark.parametrize("as_struct", [True, False])
def test_bytes_from_parquet_across_row_groups(tmp_path, as_struct):
    cells = [f"image {number}".encode() for number in range(7)]
    column = [{"bytes": cell, "path": None} for cell in cells] if as_struct else cells
    pq.write_table(pa.table({"picture": column}), tmp_path / "a.parquet", row_group_size=3)
    for row in (0, 6, 3, 2, 5, 1, 4):
        assert read_bytes(ImageRef("a.parquet", "picture", row), tmp_path) == cells[row]
    with pytest.raises(ImageError, match=r"a.parquet\[picture\]\[7\]: no such member or row"):
        read_bytes(ImageRef("a.parquet", "picture", 7), tmp_path)


def test_a_rewritten_parquet_file_is_read_anew(tmp_path):
    path = tmp_path / "a.parquet"
    ref = ImageRef("a.parquet", "image", 0)
    pq.write_table(pa.table({"image": [b"old"]}), path)
    assert read_bytes(ref, tmp_path) == b"old"
    before = path.stat().st_mtime_ns
    pq.write_table(pa.table({"image": [b"new"]}), path)
    os.utime(path, ns=(before + 10**9, before + 10**9))
    assert read_bytes(ref, tmp_path) == b"new"


def test_a_null_image_is_empty(tmp_path):
    pq.write_table(pa.table({"image": [b"x", None]}), tmp_path / "a.parquet")
    with pytest.raises(ImageError, match="zero bytes"):
        read_bytes(ImageRef("a.parquet", "image", 1), tmp_path)


def test_content_hash_is_blake2b_of_16_bytes():
    assert content_hash(b"") == "cae66941d9efbd404e4d88758ea67670"  # published test value
    assert content_hash(b"a") != content_hash(b"b")
