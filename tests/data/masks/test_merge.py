"""Several sources' word on one image, beside what the rule says of each pixel."""

from __future__ import annotations

import dataclasses

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
        ([said("pseudo", OUTLINE), said("pseudo", GUESS, teacher="b")], OUTLINE | GUESS, NONE),
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


def test_boxes_of_those_who_outlined_others_are_objects_of_their_own():
    source, outlined = said("polygon", OUTLINE)
    _, boxed = said("polygon", BOX, own="box")
    both = dataclasses.replace(outlined, objects=outlined.objects + boxed.objects)
    masks = merge_masks([(source, both)], H, W)
    np.testing.assert_array_equal(masks.covered[0], OUTLINE)
    np.testing.assert_array_equal(masks.unknown[0], BOX)


@pytest.mark.parametrize("size", [(16 * H, 16 * W), (4 * H, 12 * W), (H, 3 * W)])
def test_the_middle_of_a_box_teaches_where_its_object_is(size):
    """An ellipse of 0.6 of its sides, not below eight pixels or the box; of each box its own."""
    high, wide = size[0] / H, size[1] / W
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    expected = np.zeros(size, bool)
    for top, bottom, left, right in ((2, 10, 6, 12), (0, 2, 0, 3)):
        sides = (bottom - top) * high, (right - left) * wide
        reach = [max(0.6 * side, min(side, 8)) / 2 for side in sides]
        across = (x - (left + right) / 2 * wide) / reach[1]
        expected |= ((y - (top + bottom) / 2 * high) / reach[0]) ** 2 + across**2 <= 1
    boxes = BOX | area(0, 2, 0, 3)
    masks = merge_masks([said("box", BOX, area(0, 2, 0, 3))], *size, least_middle=(8, 8))
    np.testing.assert_array_equal(masks.covered[0], expected)
    inside = boxes.repeat(int(high), axis=0).repeat(int(wide), axis=1)
    np.testing.assert_array_equal(masks.unknown[0], inside & ~expected)


def test_middles_are_for_boxes_without_a_mask_alone():
    refined = merge_masks([said("box", BOX), said("pseudo", GUESS)], H, W, least_middle=(8, 8))
    np.testing.assert_array_equal(refined.covered[0], BOX & GUESS)
    assert not refined.unknown[0].any()
    outlined = merge_masks([said("polygon", OUTLINE)], H, W, least_middle=(8, 8))
    np.testing.assert_array_equal(outlined.covered[0], OUTLINE)
    source, both = said("polygon", OUTLINE)
    boxed = said("polygon", BOX, own="box")[1].objects
    both = dataclasses.replace(both, objects=both.objects + boxed)
    masks = merge_masks([(source, both)], H, W, least_middle=(8, 8))
    alone = merge_masks([said("box", BOX)], H, W, least_middle=(8, 8))
    np.testing.assert_array_equal(masks.covered[0], OUTLINE | alone.covered[0])
    np.testing.assert_array_equal(masks.unknown[0], alone.unknown[0])


def test_the_smallest_box_has_a_middle_and_a_crowds_has_none():
    small, beside = area(5, 6, 7, 8), area(3, 5, 3, 9)
    for size in ((H, W), (H // 4, W // 4)):
        for others in ((), (beside,)):
            masks = merge_masks([said("box", small, *others)], *size, least_middle=(8, 8))
            y, x = int(5.5 * size[0] / H), int(7.5 * size[1] / W)
            assert masks.covered[0, y, x] and not masks.unknown[0, y, x]
    source, image = said("box", BOX)
    crowd = dataclasses.replace(image, objects=(dataclasses.replace(image.objects[0], crowd=True),))
    masks = merge_masks([(source, crowd)], H, W, least_middle=(8, 8))
    assert not masks.covered[0].any()
    np.testing.assert_array_equal(masks.unknown[0], BOX)


def test_a_box_without_a_pixel_of_the_frame_is_nothing():
    empty = area(0, 0, 0, 0)
    for least in (None, (8, 8)):
        masks = merge_masks([said("box", BOX, empty)], H, W, least_middle=least)
        assert masks.covered[0].any() == (least is not None)
        np.testing.assert_array_equal(masks.covered[0] | masks.unknown[0], BOX)


def test_an_outline_that_counts_as_a_box_teaches_nothing_beyond_itself():
    strip = np.zeros((90, 120), bool)
    for row in range(80):
        strip[row, row : row + 6] = True
    masks = merge_masks([said("box", strip, size=(90, 120))], 90, 120, least_middle=(8, 8))
    assert masks.covered[0].any() and not (masks.covered[0] & ~strip).any()


def test_a_neighbour_that_grazes_a_box_is_not_what_it_is_around():
    grazing = area(2, 10, 11, 16)  # a sixth of the box
    masks = merge_masks([said("box", BOX), said("pseudo", grazing)], H, W)
    assert not masks.covered[0].any()
    np.testing.assert_array_equal(masks.unknown[0], BOX)


@pytest.mark.parametrize("knowledge", ["drawn", "polygon", "box"])
def test_two_people_of_one_class_are_refused_with_both_names(knowledge):
    sources = [said(knowledge, OUTLINE, teacher="ann"), said(knowledge, GUESS, teacher="bob")]
    told = r"masks of 'a': cone: by 'ann' and by 'bob', both .*'s --name, delete"
    with pytest.raises(ManifestError, match=told):
        merge_masks(sources, H, W)
    apart = [sources[0], said(knowledge, looked=("sign",), teacher="bob")]  # of other classes
    np.testing.assert_array_equal(merge_masks(apart, H, W).covered[2], NONE)
    assert not merge_masks(apart, H, W).unknown[2].any()


def test_two_who_say_the_same_are_one():
    sources = [said("polygon", OUTLINE, GUESS), said("polygon", GUESS, OUTLINE, teacher="b")]
    found = believed("cone", sources)
    assert found.objects == sources[0][1].objects  # counted once


def test_whoever_is_believed_more_leaves_no_rivals():
    rivals = [said("box", BOX, teacher="ann"), said("box", OUTLINE, teacher="bob")]
    masks = merge_masks([*rivals, said("polygon", GUESS)], H, W)
    np.testing.assert_array_equal(masks.covered[0], GUESS)


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
