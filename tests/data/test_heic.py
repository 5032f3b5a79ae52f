"""HEIC photographs: read through an optional package, or refused with the fix."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from PIL import Image

from workzone.data.images import decode
from workzone.errors import ImageError

HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(40)


def test_without_the_package_the_fix_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"pip install 'workzone\[heic\]' .* convert it to JPEG"):
        decode(HEIC)


def opens(size: tuple[int, int]) -> SimpleNamespace:
    """In the place of the package, whose interface is this much of Pillow's."""
    image = Image.new("RGB", size, (230, 110, 20))
    file = SimpleNamespace(size=size, to_pillow=lambda: image)
    return SimpleNamespace(open_heif=lambda handle: file)


def test_with_the_package_it_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", opens((64, 48)))
    pixels = decode(HEIC)
    assert tuple(pixels.shape) == (3, 48, 64)
    assert pixels[:, 0, 0].tolist() == [230, 110, 20]


def test_its_size_is_checked_before_it_is_decoded(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", opens((8, 48)))
    with pytest.raises(ImageError, match="8x48 pixels"):
        decode(HEIC)


def test_a_damaged_one_is_an_image_error(monkeypatch):
    def fail(handle: object) -> None:
        raise ValueError("no meta box")

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(open_heif=fail))
    with pytest.raises(ImageError, match=r"damaged HEIC photograph \(no meta box\).* convert"):
        decode(HEIC)


def test_importing_workzone_does_not_import_it():
    code = "import sys, workzone.data.images; sys.exit('pillow_heif' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
