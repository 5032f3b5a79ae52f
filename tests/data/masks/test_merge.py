"""Several sources' word on one image, beside what the rule says of each pixel."""

from __future__ import annotations

import numpy as np
import pytest

from workzone.data.masks.load import load_masks, mask_size
from workzone.data.masks.merge import believed, merge_masks
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.store import write_masks
from workzone.errors import ManifestError
from workzone.types import OBJECT_CLASSES

H, W = 12, 16


def area(top, bottom, left, right):
    mask = np.zeros((H, W), bool)
    mask[top:bottom, left:right] = True
    return mask


def said(source, *areas, own=None, looked=("cone",), size=(H, W), teacher=""):
    objects = tuple(MaskObject.from_mask("cone", own or source, mask) for mask in areas)
    described = MaskSource(source, teacher or source)
    return described, ImageMasks("a", *size, dict.fromkeys(looked), objects)


OUTLINE, BOX, GUESS = area(1, 4, 1, 4), area(2, 10, 6, 12), area(4, 12, 8, 16)
NONE = np.zeros((H, W), bool)


@pytest.mark.parametrize(
    ("sources", "covered", "unknown"),
    [
        ([said("pseudo", GUESS)], GUESS, NONE),
        ([said("polygon", OUTLINE), said("pseudo", GUESS)], OUTLINE, NONE),
        ([said("polygon"), said("pseudo", GUESS)], NONE, NONE),  # people saw none
        ([said("drawn", OUTLINE), said("polygon", BOX)], OUTLINE, NONE),
        ([said("box", BOX)], NONE, BOX),
        ([said("box", BOX), said("pseudo", GUESS)], BOX & GUESS, NONE),
        ([said("box", BOX), said("pseudo", OUTLINE)], NONE, BOX),
        ([said("polygon", OUTLINE), said("box", BOX)], OUTLINE, NONE),
        ([said("polygon", OUTLINE), said("polygon", BOX, own="box", teacher="b")], OUTLINE, BOX),
        ([said("polygon", OUTLINE), said("polygon", GUESS, teacher="b")], OUTLINE | GUESS, NONE),
        ([said("box", BOX), said("box", OUTLINE, teacher="b")], NONE, BOX | OUTLINE),
        ([said("box", BOX), said("polygon", looked=("sign",))], NONE, BOX),
        ([said("polygon", looked=())], NONE, ~NONE),  # nobody looked
    ],
)
def test_who_is_believed(sources, covered, unknown):
    for order in (sources, sources[::-1]):
        masks = merge_masks(order, H, W)
        np.testing.assert_array_equal(masks.covered[0], covered)
        np.testing.assert_array_equal(masks.unknown[0], unknown)
        assert not masks.covered[3].any() and masks.unknown[3].all()  # workers: nobody looked


def test_believed_objects_keep_their_box_and_score():
    guess = MaskObject.from_mask("cone", "pseudo", GUESS, score=0.6)
    teacher = (MaskSource("pseudo", "t"), ImageMasks("a", H, W, {"cone": 0.9}, (guess,)))
    assert believed("cone", [teacher]).objects == (guess,)
    assert not believed("sign", [teacher]).looked


def test_frames_of_different_sizes_are_refused():
    with pytest.raises(ManifestError, match=r"masks of 'a' are of frames of 16 x 12 and 12 x 16"):
        merge_masks([said("box"), said("pseudo", size=(W, H))], H, W)


def test_smaller_sizes_are_covered_by_half_and_small_objects_stay():
    mask = area(0, 6, 0, 8) | area(6, 7, 8, 10)
    small = merge_masks([said("polygon", mask, area(11, 12, 13, 14))], 3, 4).covered[0]
    expected = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]], bool)
    np.testing.assert_array_equal(small, expected)
    large = merge_masks([said("polygon", mask)], 2 * H, 3 * W).covered[0]
    np.testing.assert_array_equal(large, mask.repeat(2, axis=0).repeat(3, axis=1))


def test_references_lead_into_a_store(tmp_path):
    source, masks = said("polygon", OUTLINE, looked=OBJECT_CLASSES)
    write_masks(tmp_path / "set" / "masks", source, [masks])
    found = load_masks("set/masks#a", tmp_path, H, W)
    np.testing.assert_array_equal(found.covered[0], OUTLINE)
    assert not found.unknown.any() and mask_size("set/masks#a", tmp_path) == (H, W)
    with pytest.raises(ManifestError, match=r"set/masks says nothing of 'b'; make its masks"):
        load_masks("set/masks#b", tmp_path, H, W)
