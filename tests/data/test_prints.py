from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from made_copies import encoded, picture
from workzone.data.manifest import Manifest
from workzone.data.prints import PRINTS, fingerprint, fingerprints
from workzone.errors import ImageError
from workzone.types import ImageRef, Sample


def coarse_distance(a: bytes, b: bytes) -> int:
    one, other = fingerprint(a).looks, fingerprint(b).looks
    assert one is not None and other is not None
    return int(np.bitwise_count(one[0, 0] ^ other[0, 0]))


def test_copies_are_near_and_other_scenes_far() -> None:
    original = encoded(picture(1, (1600, 1200)), quality=95)
    assert coarse_distance(original, encoded(picture(1, (400, 300)), quality=60)) <= 4
    assert coarse_distance(original, encoded(picture(1, (1600, 1200)), "PNG")) <= 4
    assert coarse_distance(original, encoded(picture(2, (1600, 1200)))) > 12


def test_print_has_the_upright_size_though_the_frame_is_decoded_small() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = fingerprint(encoded(picture(1, (1600, 1200)), exif=exif))
    assert (seen.width, seen.height) == (1200, 1600)


def night(random: np.random.Generator) -> np.ndarray:
    return np.abs(random.normal(0, 10, (240, 320, 3)))


def fog(random: np.random.Generator) -> np.ndarray:
    ramp = random.uniform(150, 200) + random.uniform(10, 60) * np.linspace(0, 1, 240)
    return ramp[:, None, None] + random.normal(0, 2, (240, 320, 3))


@pytest.mark.parametrize("draw", [night, fog, lambda _: np.full((64, 64, 3), 3)])
def test_frames_that_show_nothing_have_no_looks(draw) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(0)
    for _ in range(5):
        frame = Image.fromarray(draw(random).clip(0, 255).astype(np.uint8))
        assert fingerprint(encoded(frame, quality=60)).looks is None


def test_a_crop_that_shows_nothing_is_zeros_and_the_rest_is_not() -> None:
    pixels = np.array(picture(1))
    pixels[40:200, 50:270] = 90
    looks = fingerprint(encoded(Image.fromarray(pixels), "PNG")).looks
    assert looks is not None and looks.shape == (PRINTS, 5)
    assert not looks[-2].any()  # 0.6 of the side
    assert looks[[0, 1, 2, -1]].all()


def test_a_damaged_image_names_itself() -> None:
    with pytest.raises(ImageError, match=r"night\.jpg: not an image but text"):
        fingerprint(b"no image at all", name="night.jpg")


def test_fingerprints_report_what_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(encoded(picture(3)))
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    names = ["bad", "good", "gone", "good"]
    samples = [Sample(f"{i}", ImageRef(f"{name}.jpg"), label=0) for i, name in enumerate(names)]
    seen = fingerprints(Manifest(samples, tmp_path))
    assert [p is None for p in seen.prints] == [True, False, True, False]
    one, other = seen.prints[1], seen.prints[3]
    assert one is not None and other is not None and one.content_hash == other.content_hash
    assert [(u.id, u.code) for u in seen.unreadable] == [("0", "unreadable"), ("2", "missing")]
