"""Targets of the mask head against averages taken cell by cell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from workzone.data.augment import augment
from workzone.data.augmentation import Augmentation
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.store import write_masks
from workzone.errors import ManifestError, UsageError
from workzone.features.masks import (
    FULL,
    UNKNOWN,
    MaskTargets,
    cover_in_views,
    lost,
    mask_targets,
    masks_in_views,
)
from workzone.scenes import draw_scene
from workzone.types import OBJECT_CLASSES, ImageRef, Sample


def sample(name, *, masks=None, label=1):
    return Sample(name, ImageRef(f"{name}.jpg"), label=label, masks=masks)


def test_cells_hold_the_share_that_is_covered(tmp_path):
    rng = np.random.default_rng(0)
    fine = rng.random((6, 8, 12)) < 0.4  # four times finer than the cells
    write_bit_image(fine, tmp_path / "m.png")
    targets = mask_targets([sample("a", masks="m.png")], tmp_path, (2, 3))
    assert targets.covered.shape == (1, 1, 6, 2, 3)
    assert targets.covered.dtype == np.uint8
    for k in range(6):
        for row in range(2):
            for column in range(3):
                cell = fine[k, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                assert targets.covered[0, 0, k, row, column] == round(FULL * cell.sum() / 16)


def test_small_objects_are_not_lost_in_a_drawn_scene(tmp_path):
    scene = next(s for seed in range(20) if (s := draw_scene(seed, label=1)).masks[0].any())
    write_bit_image(scene.masks, tmp_path / "m.png")
    targets = mask_targets([sample("a", masks="m.png")], tmp_path, (56, 56))
    shares, _ = targets.batch(np.arange(1))
    occurs = scene.masks.any(axis=(1, 2))
    assert (shares[0].amax((1, 2)) > 0).tolist() == occurs.tolist()
    area = scene.masks.mean(axis=(1, 2))
    np.testing.assert_allclose(shares[0].mean((1, 2)).numpy(), area, rtol=0.15, atol=2e-4)


def test_polygons_of_annotations(tmp_path):
    coco = {
        "images": [{"id": 7, "width": 80, "height": 40}],
        "categories": [{"id": 1, "name": "Cone"}, {"id": 2, "name": "Worker"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "segmentation": [[0, 0, 40, 0, 40, 40, 0, 40]]},
            {"image_id": 7, "category_id": 2, "segmentation": [[40, 20, 80, 20, 80, 40, 40, 40]]},
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(coco))
    targets = mask_targets([sample("a", masks="a.json#7")], tmp_path, (10, 20))
    shares, rows = targets.batch(np.arange(1))
    assert rows.tolist() == [True]
    cone, worker = shares[0, 0], shares[0, OBJECT_CLASSES.index("worker")]
    assert cone[:, :9].min() == 1  # the left half, up to its border
    assert cone[:, 10:].max() == 0
    assert worker[6:, 11:].min() == 1  # the lower right quarter
    assert worker[:4].max() == 0
    assert worker[:, :9].max() == 0
    assert shares[0, [1, 2, 4, 5]].isnan().all()  # no category of theirs: not known


def test_what_is_annotated(tmp_path):
    write_bit_image(np.ones((6, 4, 4), bool), tmp_path / "m.png")
    samples = [
        sample("with", masks="m.png"),
        sample("without"),
        sample("negative", label=0),
        sample("negative with", masks="m.png", label=0),
        sample("unlabelled", label=None),
    ]
    targets = mask_targets(samples, tmp_path, (2, 2))
    assert targets.annotated[:, 0].tolist() == [True, False, False, True, False]
    held = targets.covered.reshape(5, -1)
    assert held.min(1).tolist() == held.max(1).tolist() == [FULL, 0, 0, FULL, 0]


def test_batches_are_rows_in_the_order_asked_for(tmp_path):
    for value in range(4):
        masks = np.zeros((6, 4, 4), bool)
        masks[value] = True
        write_bit_image(masks, tmp_path / f"{value}.png")
    samples = [sample(str(v), masks=f"{v}.png") for v in range(4)] + [sample("none")]
    targets = mask_targets(samples, tmp_path, (1, 1))
    shares, rows = targets.batch(np.array([3, 4, 1]))
    assert shares.dtype == torch.float32
    expected = torch.zeros(3, 6, 1, 1)
    expected[0, 3] = expected[2, 1] = 1
    assert torch.equal(shares, expected)
    assert rows.dtype == torch.bool
    assert rows.tolist() == [True, False, True]
    rows[:] = False  # a batch is the caller's own
    assert targets.annotated.any()


def apart_and_covered(
    tmp_path: Path,
    recipe: Augmentation,
    copies: int = 12,
    *,
    size: tuple[int, int] = (90, 160),
    identity: str = "a",
) -> list[tuple[float, float]]:
    """Of copies of a frame that is white where its mask is: how far apart the white and the mask
    are, where they are so most, and which share of the picture the mask covers."""
    height, width = size
    mask = np.zeros((6, *size), bool)
    mask[2, height * 4 // 9 : height * 7 // 9, width // 8 : width * 3 // 8] = True
    write_bit_image(mask, tmp_path / "m.png")
    frame = torch.from_numpy(mask[2].astype(np.uint8) * 255).expand(3, -1, -1)
    samples = [sample(identity, masks="m.png")]
    shape = (8, 8)
    targets = mask_targets(samples, tmp_path, shape, augmentation=recipe, copies=copies)
    assert targets.covered.shape == (1, copies + 1, 6, 8, 8)
    assert not targets.covered[:, :, [0, 1, 3, 4, 5]].any()
    found = []
    for copy in range(1, copies + 1):
        picture = augment(frame, recipe, identity=identity, copy=copy)[:1].float() / 255
        white = torch.nn.functional.adaptive_avg_pool2d(picture, shape)[0].numpy()
        covered = targets.covered[0, copy, 2] / FULL
        found.append((float(np.abs(white - covered).max()), float(covered.mean())))
    return found


def test_masks_of_mild_copies_are_cropped_and_flipped_with_them(tmp_path):
    found = apart_and_covered(tmp_path, Augmentation(light=0.0, blur=0.0, least_area=0.2))
    assert all(apart < 0.01 for apart, _ in found)
    shares = [share for _, share in found]
    assert max(shares) > 2 * min(shares)  # crops differ


def test_masks_of_challenge_copies_are_turned_and_cropped_with_them(tmp_path):
    """Distortions dim and blur the picture, so that it agrees with the mask less closely."""
    found = apart_and_covered(tmp_path, Augmentation(recipe="challenge"), copies=24)
    assert all(apart < 0.5 for apart, _ in found)
    assert np.median([apart for apart, _ in found]) < 0.3


def test_masks_of_large_frames_are_cut_as_the_frame_is(tmp_path):
    """Masks are cut at a smaller size; what is drawn for that size would be another crop here."""
    challenge = Augmentation(recipe="challenge")
    found = apart_and_covered(tmp_path, challenge, 1, size=(1080, 1920), identity="i195")
    assert found[0][0] < 0.3


def test_masks_of_varied_copies_are_those_of_both_recipes(tmp_path):
    varied = Augmentation(recipe="varied", seed=3)
    write_bit_image(np.random.default_rng(0).random((6, 60, 90)) < 0.2, tmp_path / "m.png")
    samples = [sample("a", masks="m.png")]

    def covered(augmentation):
        return mask_targets(samples, tmp_path, (4, 4), augmentation=augmentation, copies=4).covered

    both, mild = covered(varied)[0], covered(Augmentation(seed=3))[0]
    challenge = covered(Augmentation(recipe="challenge", seed=3))[0]
    np.testing.assert_array_equal(both[1::2], mild[1::2])
    np.testing.assert_array_equal(both[2::2], challenge[2::2])


@pytest.mark.parametrize("recipe", ["trivial", "rand"])
def test_nothing_is_known_of_copies_that_policies_draw(tmp_path, recipe):
    write_bit_image(np.ones((6, 4, 4), bool), tmp_path / "m.png")
    augmentation = Augmentation(recipe=recipe)
    targets = mask_targets(
        [sample("a", masks="m.png")], tmp_path, (2, 2), augmentation=augmentation, copies=2
    )
    assert targets.annotated.tolist() == [[True, False, False]]


def test_copies_that_are_not_held_are_not_annotated(tmp_path):
    """As those that are made anew in each epoch."""
    write_bit_image(np.ones((6, 4, 4), bool), tmp_path / "m.png")
    targets = mask_targets([sample("a", masks="m.png")], tmp_path, (2, 2))
    shares, annotated = targets.batch(np.array([0, 0]), np.array([0, 7]))
    assert annotated.tolist() == [True, False]
    assert shares.amax(dim=(1, 2, 3)).tolist() == [1, 0]


def test_what_is_cut_away(tmp_path):
    """One object in the corner: some copies by crops of a fifth show it, others do not."""
    masks = np.zeros((6, 90, 160), bool)
    masks[0, 70:90, 0:20] = True
    write_bit_image(masks, tmp_path / "corner.png")
    write_bit_image(np.zeros((6, 90, 160), bool), tmp_path / "nothing.png")
    names = ("corner", "nothing")
    samples = [sample(name, masks=f"{name}.png") for name in names] + [sample("unknown")]
    crops = Augmentation(least_area=0.2, flip=0.0)
    targets = mask_targets(samples, tmp_path, (8, 8), augmentation=crops, copies=20)
    copies = np.arange(21)
    away = []
    for row in range(3):
        (own, _), (left, known) = (targets.batch(np.full(21, row), c) for c in (0, copies))
        away.append(known & lost(own, left))
    shown = targets.covered[0].any(axis=(1, 2, 3))
    assert 0 < away[0].sum() < 20 and not away[0][0]
    np.testing.assert_array_equal(away[0].numpy(), ~shown)
    assert not away[1].any() and not away[2].any()  # nothing to cut away, and nothing known


def test_what_a_far_sign_leaves_is_measured_by_what_it_was():
    own = torch.zeros(3, 6, 100, 100)
    own[:, 2, 50, 50:54] = 0.5  # half of what a challenge has to show
    left = torch.zeros_like(own)
    left[1, 2, 50, 50] = 0.4
    left[2, 2, 50, 50] = 0.6
    assert lost(own, left).tolist() == [True, True, False]
    left *= 6  # 0, 2.4 and 3.6 of the 10,000 cells
    assert lost(own, left).tolist() == [True, False, False]
    assert lost(torch.ones_like(own), left).tolist() == [True, True, True]
    left[2, 2, 60, 50] = 0.5
    assert lost(torch.ones_like(own), left).tolist() == [True, True, False]


def test_the_rim_of_a_box_may_be_something():
    """A copy that shows it is not called empty; a class that nobody looked for tells nothing."""
    own = torch.zeros(2, 6, 20, 20)
    own[:, 0, 5:15, 5:15] = torch.nan
    own[:, 0, 7:13, 7:13] = 1
    own[:, 3] = torch.nan
    left = torch.zeros_like(own)
    left[:, 3] = torch.nan
    left[1, 0, 15:, 15:] = torch.nan
    assert lost(own, left).tolist() == [True, False]


def boxed(tmp_path, *boxes, size=(60, 90)):
    """A sample whose cones have boxes: top, bottom, left, right."""
    cones = []
    for top, bottom, left, right in boxes:
        mask = np.zeros(size, bool)
        mask[top:bottom, left:right] = True
        cones.append(MaskObject.from_mask("cone", "box", mask))
    image = ImageMasks("a", *size, {"cone": None}, tuple(cones))
    write_masks(tmp_path / "box.masks", MaskSource("box", "ann"), [image])
    return sample("a", masks="box.masks#a")


def test_boxes_teach_by_their_middle(tmp_path):
    """In the image and in its copies; around it nothing is known, beyond the box nothing is."""
    flips = Augmentation(least_area=1.0, flip=1.0)
    targets = mask_targets(
        [boxed(tmp_path, (15, 45, 0, 30))], tmp_path, (6, 9), augmentation=flips, copies=1
    )
    for cells in (targets.covered[0, 0], targets.covered[0, 1, :, :, ::-1]):
        assert 0.99 * FULL < cells[0, 2, 1] <= FULL
        assert (cells[0, [1, 2, 4], [0, 0, 2]] == UNKNOWN).all()  # the first and last: half of each
        assert not cells[0, [0, 5]].any() and not cells[0, :, 4:].any()
        assert (cells[1:] == UNKNOWN).all()  # nobody looked


def test_a_small_box_teaches_in_copies_as_in_the_image(tmp_path):
    """Two cells of a large frame, which copies are cut out of at another size."""
    small = boxed(tmp_path, (480, 600, 480, 600), size=(960, 1200))
    as_it_is = Augmentation(least_area=1.0, flip=0.0)
    targets = mask_targets([small], tmp_path, (16, 20), augmentation=as_it_is, copies=1)
    for cells in targets.covered[0, :, 0]:
        assert (cells[8:10, 8:10] > 0.7 * FULL).all() and (cells[8:10, 8:10] != UNKNOWN).all()
        around = np.delete(np.delete(cells, [8, 9], axis=0), [8, 9], axis=1)
        assert (around < 0.1 * FULL).all()


@pytest.mark.parametrize("side", [3, 6, 11, 24])
def test_no_cell_of_a_box_is_taught_as_empty(tmp_path, side):
    """Wherever it stands between cells of 4 x 4 pixels; some of it is told."""
    boxes = [
        (8 + top, 8 + top + side, 8 + 40 * number, 8 + 40 * number + side)
        for number, top in enumerate(range(4))
    ]
    shifted = [
        (top, bottom, left + n, right + n) for n, (top, bottom, left, right) in enumerate(boxes)
    ]
    cells = mask_targets([boxed(tmp_path, *shifted, size=(64, 192))], tmp_path, (16, 48)).covered[
        0, 0, 0
    ]
    for top, bottom, left, right in shifted:
        part = cells[-(-top // 4) : bottom // 4, -(-left // 4) : right // 4]
        assert (part > 0).all()
        told = cells[top // 4 : -(-bottom // 4), left // 4 : -(-right // 4)]
        shares = np.where(told == UNKNOWN, 0, told / FULL)
        assert shares.max() > (0.9 if side > 6 else 0.1)


def test_a_missing_mask_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"no mask file at .*gone\.png"):
        mask_targets([sample("a", masks="gone.png")], tmp_path, (2, 2))


def test_an_empty_shape_is_refused(tmp_path):
    with pytest.raises(UsageError, match="rows and columns are positive, got 0 x 3"):
        mask_targets([], tmp_path, (0, 3))


def test_masks_are_cut_as_views_are() -> None:
    """Against counting the pixels of a fine mask, for boxes that part cells and leave the frame."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 2, (1, 2, 8, 8)).astype(np.float32)
    fine = coarse.repeat(60, axis=2).repeat(60, axis=3)  # 480 x 480 pixels
    boxes = [
        (0.0, 0.0, 1.0, 1.0),
        (0.25, 0.5, 0.75, 1.0),
        (0.1, 0.0, 0.4, 0.9),
        (0.0, -0.5, 1.0, 1.5),
    ]
    found = masks_in_views(torch.from_numpy(coarse), torch.tensor([boxes]), (4, 2))
    assert found.shape == (1, 4, 2, 4, 2)
    padded = np.zeros((2, 960, 960), np.float32)
    padded[:, 240:720, 240:720] = fine[0]
    for view, box in enumerate(boxes):
        x0, y0, x1, y1 = (round(240 + 480 * edge) for edge in box)
        crop = padded[:, y0:y1, x0:x1]
        height, width = crop.shape[1:]
        cells = crop.reshape(2, 4, height // 4, 2, width // 2).mean(axis=(2, 4))
        np.testing.assert_allclose(found[0, view].numpy(), cells, atol=1e-5)


def test_what_is_not_known_stays_so_in_views() -> None:
    """A box without a mask: what is known of a cell counts, or nothing where more is unknown."""
    masks = torch.zeros(1, 1, 2, 8)
    masks[..., :3] = 1
    masks[..., 3:7] = torch.nan
    whole = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    found = masks_in_views(masks, whole, (1, 4))[0, 0, 0, 0]
    assert found[:2].tolist() == [1, 1]  # half of the second is known, all of that is covered
    assert found[2:].isnan().all()  # of the last half is known, and may be a box's edge
    assert masks_in_views(masks, whole, (1, 1)).isnan().all()
    covered, unknown = cover_in_views(masks, whole, (1, 1))
    assert (covered.item(), unknown.item()) == pytest.approx((3 / 8, 4 / 8))


def test_stored_cells_that_are_not_known_are_read_as_such() -> None:
    covered = np.zeros((2, 1, 6, 1, 2), np.uint8)
    covered[0, 0, 0] = [[UNKNOWN, FULL]]
    shares, annotated = MaskTargets(covered, np.array([[True], [False]])).batch(np.arange(2))
    assert shares[0, 0, 0].isnan().tolist() == [True, False]
    assert shares[0, 0, 0, 1] == 1
    assert annotated.tolist() == [True, False]
