"""Images given as Pillow images: the same picture as their file's, whatever their tags say."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from workzone.data.images import decode
from workzone.run.images import encoded


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8))


def opened(kind: str, orientation: int, **options: object) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture().save(file, format=kind, exif=exif, **options)
    return Image.open(file)


def shown(image: Image.Image) -> np.ndarray:
    return decode(encoded(image, "0").data).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_each_orientation_is_applied_once(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = np.asarray(ImageOps.exif_transpose(opened("PNG", orientation)))
    for prepare in (lambda i: i, lambda i: i.convert("RGB"), lambda i: i.load() and i):
        image = prepare(opened(kind, orientation, **options))
        np.testing.assert_array_equal(shown(image), expected)


def test_one_that_its_user_turned_is_not_turned_again():
    image = opened("PNG", 6)
    expected = shown(image)
    np.testing.assert_array_equal(shown(ImageOps.exif_transpose(image)), expected)
    by_hand = image.transpose(Image.Transpose.ROTATE_270)
    del by_hand.getexif()[0x0112]
    np.testing.assert_array_equal(shown(by_hand), expected)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00garbage!",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x02\x00"
        b"\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00"
        b"\x1a\x01\x02\x00\x04\x00\x00\x00abc\x00\x00\x00\x00\x00",  # XResolution as text
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L", "I;16", "F"])
def test_damaged_tags_do_no_harm(exif, mode):
    image = Image.fromarray(np.full((24, 40), 200, np.uint16)) if mode == "I;16" else picture()
    image = image if mode == "I;16" else image.convert(mode)
    image.info["exif"] = exif
    turned = b"\x12\x01" in exif
    assert shown(image).shape == ((40, 24, 3) if turned else (24, 40, 3))


def test_a_large_profile_does_no_harm():
    image = picture()
    image.info["icc_profile"] = bytes(3_000_000)
    np.testing.assert_array_equal(shown(image), np.asarray(picture()))


def test_transparency_of_a_palette_is_kept():
    image = picture().quantize(4)
    image.info["transparency"] = bytes([0, 255, 255, 255])
    assert (shown(image)[np.asarray(image) == 0] == 127).all()
