"""What is wrong with a picture: made ones, each with one fault."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from workzone.data.quality import IN_WORDS, blur_effect, fault
from workzone.scenes.scene import draw_scene


@pytest.fixture(scope="module")
def street() -> Image.Image:
    return Image.fromarray(draw_scene(3, label=1).image).resize((640, 384))


def found(image: Image.Image) -> str | None:
    return fault(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def test_nothing_is_wrong_with_a_street(street: Image.Image) -> None:
    assert found(street) is None
    assert found(street.resize((224, 224))) is None


def test_each_fault_is_named(street: Image.Image) -> None:
    pixels = np.asarray(street).astype(float)
    random = np.random.default_rng(0)
    black = Image.fromarray((pixels * 0.03 + random.uniform(0, 4, pixels.shape)).astype(np.uint8))
    burnt = Image.fromarray((pixels * 3 + 160).clip(0, 255).astype(np.uint8))
    blurred = street.filter(ImageFilter.GaussianBlur(14))
    covered = street.copy()
    covered.paste((30, 20, 15), (0, 120, 400, 384))
    smeared = street.copy()
    smeared.paste(blurred.crop((100, 100, 640, 384)), (100, 100))
    assert [found(image) for image in (black, burnt, blurred, covered, smeared)] == [
        "black",
        "over-exposed",
        "blurred",
        "covered",
        "dirty",
    ]
    assert found(Image.new("RGB", (640, 384), (90, 90, 90))) is not None
    assert set(IN_WORDS) == {"black", "over-exposed", "blurred", "covered", "dirty"}


def test_the_blur_effect_is_that_of_the_paper(street: Image.Image) -> None:
    """Of a picture and one that is blurred more; against a slow reading of the formula."""
    grey = np.asarray(street.convert("L")).astype(np.float32)[:90, :120]

    def along_rows(lines: np.ndarray) -> float:
        lost = steps = 0.0
        for row in lines:
            smooth = [row[i - 4 : i + 5].mean() for i in range(4, len(row) - 4)]
            for i in range(1, len(smooth)):
                step = abs(row[i + 4] - row[i + 3])
                lost += max(0.0, step - abs(smooth[i] - smooth[i - 1]))
                steps += step
        return 1 - lost / steps

    expected = max(along_rows(grey), along_rows(grey.T))
    assert blur_effect(grey) == pytest.approx(expected, abs=1e-3)
    soft = street.convert("L").filter(ImageFilter.GaussianBlur(5))
    assert blur_effect(np.asarray(soft).astype(np.float32)) > expected + 0.2


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 11, 400), (3, 1024, 64)])
def test_small_and_narrow_pictures_are_measured(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    assert fault(random.integers(0, 255, shape).astype(np.uint8)) is None
    assert fault(np.zeros(shape, np.uint8)) == "black"
