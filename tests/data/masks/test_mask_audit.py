"""Odd masks are told, each by its code; sheets show masks in the colours of their classes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from data.masks.made_masks import area, build, cone, pictures
from workzone.data.mask_sheet import draw_masks
from workzone.data.masks.audit import KINDS, audit_masks
from workzone.data.masks.colours import CLASS_COLOURS
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.store import write_masks
from workzone.data.sheet import WITH_MASKS
from workzone.errors import UsageError
from workzone.types import OBJECT_CLASSES

GOOD = cone(area(3, 9, 4, 8))


def codes(manifest):
    return [(finding.id, finding.code) for finding in audit_masks(manifest).findings]


def test_good_masks_have_no_findings(tmp_path):
    manifest = build(tmp_path, {"a": [GOOD, GOOD], "b": []}, labels=[1, 0])
    found = audit_masks(manifest)
    assert found.findings == () and set(found.counts) == set(KINDS)
    assert (found.samples, found.objects["cone"], found.knowledge) == (2, 2, {"pseudo": 2})


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([GOOD, cone(np.zeros((12, 20), bool))], ["empty"]),
        ([cone(area(0, 12, 0, 13))], ["giant"]),
        ([cone(area(0, 12, 0, 13), crowd=True)], []),
        ([cone(area(3, 9, 4, 8), box=(-3, 3, 8, 9))], ["outside"]),
        ([cone(area(3, 9, 4, 8), box=(4, 3, 8, 13))], []),  # a pixel beyond
        ([cone(area(3, 9, 4, 12), box=(4, 3, 8, 9))], ["outside"]),
    ],
)
def test_odd_objects(tmp_path, objects, expected):
    manifest = build(tmp_path, {"a": objects})
    assert codes(manifest) == [("a", code) for code in expected]


def test_masks_against_the_label(tmp_path):
    said = {"a": [GOOD], "b": [], "c": [cone(area(3, 9, 4, 8), score=0.4)], "d": []}
    manifest = build(tmp_path, said, labels=[0, 1, 0, 0])
    assert codes(manifest) == [("a", "label"), ("b", "label")]
    (first, second) = (finding.reason for finding in audit_masks(manifest).findings)
    assert first == "label 0, and 1 cone" and second == "label 1, and nothing was found"


def test_nothing_found_is_no_finding_where_not_all_was_looked_for(tmp_path):
    assert codes(build(tmp_path, {"a": []}, labels=[1], looked={"cone": 0.1})) == []


def test_low_presence_is_told(tmp_path):
    manifest = build(tmp_path, {"a": [GOOD]}, looked={"cone": 0.3, "sign": 0.1})
    assert codes(manifest) == [("a", "presence")]


def test_masks_that_cannot_be_read_are_findings(tmp_path):
    manifest = build(tmp_path, {"a": [GOOD]})
    lost = [dataclasses.replace(manifest.samples[0], id="x", masks="s#x"), *manifest.samples]
    assert codes(manifest.with_samples(lost)) == [("x", "unreadable")]
    with pytest.raises(UsageError, match="no sample of the manifest has masks"):
        audit_masks(pictures(tmp_path / "bare", "a"))


def test_sheets_show_masks_and_boxes_in_the_colours_of_their_classes(tmp_path):
    size = {"width": 100, "height": 60}
    boxed = MaskObject.from_mask("sign", "box", area(0, 30, 50, 100, **size))
    solid = cone(area(15, 45, 20, 40, **size))
    every = dict.fromkeys(OBJECT_CLASSES)
    manifest = pictures(tmp_path, "a", **size)
    said = [ImageMasks("a", 60, 100, every, (solid, boxed))]
    write_masks(tmp_path / "s", MaskSource("polygon", "people"), said)
    samples = [dataclasses.replace(s, masks=f"s#{s.id}") for s in manifest]
    manifest = manifest.with_samples(samples)
    assert draw_masks(manifest, tmp_path / "sheet.png", columns=1, rows=1) == 1
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))[8 : 8 + WITH_MASKS[1], 8:]
    across, scale = WITH_MASKS[0], WITH_MASKS[0] / 20  # pixels of a twentieth
    top = (WITH_MASKS[1] - 12 * scale) / 2
    edge = picture[round(top + 6 * scale), round(4 * scale)]  # of the cone, at the left
    assert tuple(edge) == CLASS_COLOURS["cone"]
    inside = picture[round(top + 6 * scale), round(6 * scale)].astype(int)
    assert inside[0] > inside[2] + 30  # tinted orange
    box = picture[round(top) + 2 : round(top + 5 * scale), across // 2 + 2 : across - 2]
    hatched = (box == CLASS_COLOURS["sign"]).all(axis=2).mean()
    assert 0.15 < hatched < 0.35
    plain = picture[round(top + 10 * scale), round(15 * scale)].astype(int)
    assert abs(plain - 90).max() < 6


def test_sheets_that_cannot_be_drawn(tmp_path):
    with pytest.raises(UsageError, match="no sample of the manifest has masks"):
        draw_masks(pictures(tmp_path, "a"), tmp_path / "sheet.png")
    manifest = build(tmp_path, {"a": [GOOD]})
    with pytest.raises(UsageError, match=r"a contact sheet is a \.png file"):
        draw_masks(manifest, tmp_path / "sheet.jpg")
    with pytest.raises(UsageError, match="a sheet of 0 thumbnails cannot be drawn"):
        draw_masks(manifest, tmp_path / "sheet.png", columns=0)
    lost = [dataclasses.replace(manifest.samples[0], masks="s#x")]
    draw_masks(manifest.with_samples(lost), tmp_path / "sheet.png")  # says so in the picture
    assert (tmp_path / "sheet.png").stat().st_size > 0
