from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workzone.data.manifest import Manifest
from workzone.data.preview import contact_sheet, draw_samples
from workzone.data.sheet import THUMBNAIL
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef, Sample


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    Image.new("RGB", (400, 100), (0, 200, 0)).save(tmp_path / "wide.png")
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    samples = [
        Sample("a" * 90, ImageRef("wide.png"), label=1, group="clip"),
        Sample("b", ImageRef("bad.jpg"), label=0),
        Sample("c", ImageRef("wide.png")),
    ]
    return Manifest(samples, tmp_path)


def test_sheet_shows_pictures_labels_and_what_cannot_be_read(
    manifest: Manifest, tmp_path: Path
) -> None:
    output = contact_sheet(manifest, tmp_path / "sheets" / "sheet.png", columns=2, rows=2)
    sheet = np.asarray(Image.open(output))
    width, height = THUMBNAIL
    assert sheet.shape == (2 * (height + 50) + 8, 2 * (width + 8) + 8, 3)

    first = sheet[8 : 8 + height, 8 : 8 + width]
    assert (first[height // 2] == (0, 200, 0)).all()  # full width: nothing is cropped
    assert (first[20] == (217, 217, 217)).all()  # the mat above and below
    second = sheet[8 : 8 + height, 16 + width : 16 + 2 * width]
    assert not (second == (0, 200, 0)).all(axis=-1).any()
    assert (second < 100).all(axis=-1).sum() > 100  # the words "cannot be read"

    bands = [sheet[8 + height + 2, left] for left in (10, 18 + width)]
    assert [tuple(band) for band in bands] == [(0xB3, 0x43, 0x0B), (0x1D, 0x4F, 0x91)]
    caption = sheet[8 + height : 8 + height + 21, 8 : 8 + width]
    assert (caption.min(axis=-1) > 150).sum() > 100  # in words, not by colour alone
    last = sheet[-(height + 50) :, 16 + width :]
    assert (last == 255).all()  # three samples, four cells


def test_labels_and_then_groups_take_turns() -> None:
    samples = [Sample(f"n{i:03d}", ImageRef("x"), label=0, group=f"g{i % 3}") for i in range(90)]
    samples += [Sample(f"p{i}", ImageRef("x"), label=1, group="g0") for i in range(4)]
    drawn = draw_samples(Manifest(samples, Path()), 14, seed=5)
    assert [s.label for s in drawn] == [1, 0] * 4 + [0] * 6
    negatives = [s.group for s in drawn if s.label == 0]
    assert [sorted(negatives[i : i + 3]) for i in (0, 3, 6)] == [["g0", "g1", "g2"]] * 3  # type: ignore[type-var]


def test_the_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    samples = [Sample(f"{i}", ImageRef("x"), label=i % 2) for i in range(100)]
    shuffled = random.Random(1).sample(samples, 100)
    first = draw_samples(Manifest(samples, Path()), 10)
    assert first == draw_samples(Manifest(shuffled, Path()), 10)
    assert first != draw_samples(Manifest(samples, Path()), 10, seed=1)


def test_wrong_requests_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a \.png file, got '.*sheet\.jpg'"):
        contact_sheet(manifest, tmp_path / "sheet.jpg")
    with pytest.raises(UsageError, match="0 x 6 thumbnails cannot be drawn; give at least 1 x 1"):
        contact_sheet(manifest, tmp_path / "sheet.png", columns=0)
    with pytest.raises(ManifestError, match="no rows to show"):
        contact_sheet(Manifest([], tmp_path), tmp_path / "sheet.png")
