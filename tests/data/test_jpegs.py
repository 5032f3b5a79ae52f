"""JPEGs that lack pixels are refused, those that lack none are read."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from workzone.data.images import decode
from workzone.errors import ImageError

END = b"\xff\xd9"


def picture() -> Image.Image:
    y, x = np.mgrid[0:96, 0:160]
    noise = np.random.default_rng(0).integers(0, 60, (96, 160))
    return Image.fromarray(np.stack([x + noise, y + noise, x + y], -1).clip(0, 255).astype("uint8"))


def encoded(mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    picture().convert(mode).save(file, format="JPEG", quality=85, **options)
    return file.getvalue()


def as_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def shown(data: bytes) -> np.ndarray:
    return decode(data).permute(1, 2, 0).numpy()


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data)
    return caught.value.code


KINDS = {
    "plain": encoded(),
    "progressive": encoded(progressive=True),
    "restarts": encoded(restart_marker_blocks=4),
    "grey": encoded("L"),
    "cmyk": encoded("CMYK"),
    "411": simplejpeg.encode_jpeg(np.asarray(picture()), colorsubsampling="411"),
    "440": simplejpeg.encode_jpeg(np.asarray(picture()), colorsubsampling="440"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [END, b"", b"\xff", END + b"trailing bytes", END + KINDS["grey"]])
def test_whole_ones_are_read_whatever_comes_after_the_pixels(kind, tail):
    data = KINDS[kind]
    np.testing.assert_array_equal(shown(data.removesuffix(END) + tail), as_pillow(data))


@pytest.mark.parametrize("kind", KINDS)
def test_fill_before_the_end_is_passed_over(kind):
    data = KINDS[kind]
    for fill in (b"\x00" * 4, b"\x00" * 700, b"\xff" * 50):
        np.testing.assert_array_equal(
            shown(data.removesuffix(END) + fill + END), as_pillow(data), err_msg=repr(fill[:2])
        )
    for count in (700, 5000, 70_000):
        np.testing.assert_array_equal(
            shown(data.removesuffix(END) + bytes(count)), as_pillow(data), err_msg=str(count)
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("tail", [END, b"", b"\x00" * 40 + END])
def test_ones_cut_short_are_refused(kind, share, tail):
    data = KINDS[kind]
    scan = data.index(b"\xff\xda")
    cut = scan + 12 + int(share * (len(data) - scan - 12))
    assert code_of(data[:cut] + tail) in ("truncated", "damaged", "unreadable")


def test_a_hole_in_the_middle_is_refused():
    data = KINDS["plain"]
    middle = len(data) // 2
    assert code_of(data[:middle] + data[middle + 500 :]) == "truncated"


def test_a_message_says_what_is_wrong_and_what_to_do():
    with pytest.raises(ImageError, match=r"a\.jpg: pixels are missing .* fetch it again"):
        decode(KINDS["plain"][:2000] + END, name="a.jpg")


def test_a_restart_marker_out_of_turn_is_damage():
    assert code_of(KINDS["restarts"].replace(b"\xff\xd3", b"\xff\xd6")) == "damaged"


def test_progressive_ones_that_end_between_two_scans_are_refused():
    data = KINDS["progressive"]
    scans = [found.start() for found in re.finditer(b"\xff\xda", data)]
    assert len(scans) > 5
    for scan in scans[1:]:
        tables = data.rfind(b"\xff\xc4", 0, scan)  # those of this scan
        assert code_of(data[:tables] + END) == "truncated"


def test_odd_sampling_is_left_to_pillow():
    data = bytearray(encoded(subsampling=0))
    frame = data.index(b"\xff\xc0")
    data[frame + 11], data[frame + 14], data[frame + 17] = 0x22, 0x21, 0x11
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg(bytes(data))
    assert shown(bytes(data)).shape == (96, 160, 3)


def test_cmyk_has_its_colours():
    assert np.abs(shown(KINDS["cmyk"]).astype(int) - np.asarray(picture())).mean() < 8
