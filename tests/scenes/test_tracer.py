"""What Mitsuba renders, small and with few samples."""

import drjit
import mitsuba
import numpy as np
import pytest

from workzone.scenes.rendered.catalogue import KINDS
from workzone.scenes.rendered.faces import OutlinedFaces
from workzone.scenes.rendered.library import CutoutLibrary, CutoutSpec
from workzone.scenes.rendered.light import OVERCAST
from workzone.scenes.rendered.tracer import View, render

SMALL = View(distance=7.0, eye=1.4, scale=48.0, samples=8)


def rendered(kind="cone, two sleeves", condition="clear-side", seed=1):
    model = KINDS[kind].build(np.random.default_rng(5), 0.1, OutlinedFaces())
    return render(model, SMALL, condition, seed)


def test_a_cone_is_orange_and_casts_a_shadow_away_from_the_sun():
    cut = rendered()
    height = cut.alpha.shape[0]
    column, row = round(cut.column), round(cut.row)
    assert 0.4 < cut.scale * 0.75 / height < 1.0
    assert cut.alpha[row - 4, column] > 0.95 and cut.alpha[2].max() == 0
    red, green, blue = cut.colour[row - 10 : row - 4, column - 2 : column + 3].mean(axis=(0, 1))
    assert red > 2 * green > 2 * blue
    left, right = cut.shade[row - 3 : row + 1, :column], cut.shade[row - 3 : row + 1, column:]
    assert left.min() < 0.6  # the sun stands to the right
    assert right.min() > left.min() + 0.1
    assert cut.shade[0].min() > 0.9 and cut.shade[:, 0].min() > 0.7
    assert not cut.beam.any() and not cut.lamps.any()


def test_under_clouds_it_darkens_the_ground_softly_and_has_a_picture_by_headlights():
    cut = rendered(condition=OVERCAST)
    assert 0.3 < cut.shade.min() < 0.97
    row, column = round(cut.row), round(cut.column)
    sleeve = cut.beam[row - 20 : row - 12, column - 1 : column + 2].mean()
    foot = cut.beam[row - 2, column - 1 : column + 2].mean()
    assert sleeve > 4 * foot  # sheeting throws light back


def test_lamps_shine_in_a_layer_of_their_own():
    cut = rendered("arrow board", "clear-behind")
    lit = cut.lamps.max(axis=-1) > 1
    assert 5 < lit.sum() < 0.1 * lit.size
    assert cut.alpha[lit].min() > 0.3


def test_the_same_arguments_give_the_same_pixels_whatever_the_number_of_threads():
    first, other = rendered(), rendered(seed=2)
    before = drjit.thread_count()
    drjit.set_thread_count(1 if before > 1 else 2)
    try:
        second = rendered()
    finally:
        drjit.set_thread_count(before)
    for name in ("colour", "alpha", "shade"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.colour, other.colour)


def test_whoever_else_uses_mitsuba_keeps_their_variant():
    before = mitsuba.variant()
    mitsuba.set_variant("scalar_spectral")
    try:
        rendered()
        assert mitsuba.variant() == "scalar_spectral"
    finally:
        if before is not None:
            mitsuba.set_variant(before)


def test_a_flipped_cutout_is_the_mirror_image_of_a_model_with_its_light_from_the_left(tmp_path):
    library = CutoutLibrary(tmp_path, samples=8)
    for flipped in (False, True):
        spec = CutoutSpec("everyday sign", "clear-side", 6.0, 0.0, 0, flipped)
        cut = library.get(spec)
        shadow = cut.shade.min(axis=(0, 2))
        assert int(shadow.argmin()) < cut.column


@pytest.mark.parametrize("kind", ["mesh fence", "car", "worker", "heap", "planter"])
def test_kinds_of_all_materials_can_be_rendered(kind):
    cut = rendered(kind, OVERCAST)
    assert np.isfinite(cut.colour).all() and cut.alpha.max() > 0.9
    assert cut.colour.max() < 20
