from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workzone.data.duplicates import (
    exact_duplicates,
    fingerprint,
    fingerprints,
    near_duplicates,
)
from workzone.data.manifest import Manifest
from workzone.errors import ImageError, UsageError
from workzone.types import ImageRef, Sample


def picture(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A random scene of soft blobs, at any size the same."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def distance(a: bytes, b: bytes) -> int:
    one, other = fingerprint(a).perceptual, fingerprint(b).perceptual
    assert one is not None and other is not None
    return (one ^ other).bit_count()


def test_copies_are_near_and_other_scenes_far() -> None:
    original = encoded(picture(1, (1600, 1200)), quality=95)
    assert distance(original, encoded(picture(1, (400, 300)), quality=60)) <= 4
    assert distance(original, encoded(picture(1, (1600, 1200)), "PNG")) <= 4
    assert distance(original, encoded(picture(2, (1600, 1200)))) > 12


def test_print_has_the_upright_size_though_the_frame_is_decoded_small() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = fingerprint(encoded(picture(1, (1600, 1200)), exif=exif))
    assert (seen.width, seen.height) == (1200, 1600)


def test_blank_frames_have_no_perceptual_hash() -> None:
    assert fingerprint(encoded(Image.new("RGB", (64, 64), (3, 3, 3)))).perceptual is None


def test_a_damaged_image_names_itself() -> None:
    with pytest.raises(ImageError, match=r"night\.jpg: not an image"):
        fingerprint(b"no image at all", name="night.jpg")


def test_fingerprints_report_what_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(encoded(picture(3)))
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    names = ["bad", "good", "gone", "good"]
    samples = [Sample(f"{i}", ImageRef(f"{name}.jpg"), label=0) for i, name in enumerate(names)]
    seen = fingerprints(Manifest(samples, tmp_path))
    assert [p is None for p in seen.prints] == [True, False, True, False]
    assert seen.prints[1] == seen.prints[3]
    assert [(u.id, u.code) for u in seen.unreadable] == [("0", "unreadable"), ("2", "missing")]


def test_exact_duplicates_ignore_rows_without_a_hash() -> None:
    assert exact_duplicates(["a", None, "b", "a", None, "c", "b", "a"]) == [[0, 3, 7], [2, 6]]


@pytest.mark.parametrize("bits", [0, 1, 4, 7])
def test_near_duplicates_equal_all_against_all(bits: int) -> None:
    random = np.random.default_rng(bits)
    hashes = random.integers(0, 2**63, 150, dtype=np.uint64) * np.uint64(2)
    for copy in range(150, 400):  # chains of copies with a few flipped bits
        value = hashes[random.integers(0, copy)]
        for bit in random.integers(0, 64, random.integers(0, 9)):
            value ^= np.uint64(1) << np.uint64(bit)
        hashes = np.append(hashes, value)
    slow = [
        (i, j, apart)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (apart := (int(hashes[i]) ^ int(hashes[j])).bit_count()) <= bits
    ]
    assert len(slow) > 5
    assert [tuple(row) for row in near_duplicates(hashes, bits).tolist()] == slow


def test_a_crowded_bucket_is_searched_in_blocks() -> None:
    pairs = near_duplicates(np.full(2100, 7, dtype=np.uint64), 0)
    assert len(pairs) == 2100 * 2099 // 2
    assert near_duplicates(np.empty(0, dtype=np.uint64), 4).shape == (0, 3)


def test_a_distance_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="distance of 40 bits is out of range; give 0 to 15"):
        near_duplicates(np.zeros(2, dtype=np.uint64), 40)
