from __future__ import annotations

import dataclasses
import io
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import chisquare, kstest
from torchvision.transforms import RandomResizedCrop

from workzone.data.challenge import (
    LEVELS,
    SIDE,
    Changes,
    _encoded,
    apply_changes,
    challenge_image,
    draw_changes,
    draw_level,
)
from workzone.errors import UsageError
from workzone.parallel import map_ahead

WHOLE = Changes(level=1, top=0, left=0, side=SIDE)
"""Of a frame of the size of a challenge: not turned, all of it kept."""
MANY = 3000


def noise_frame(height: int, width: int, seed: int = 3) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (3, height, width), dtype=np.uint8))


def street(height: int, width: int) -> torch.Tensor:
    """Smooth, with a bright corner that tells where up is."""
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    planes = [120 + 80 * np.sin(5 * rows), 90 + 100 * columns, 200 - 150 * rows * columns]
    frame = np.stack(planes).astype(np.uint8)
    frame[:, : height // 4, : width // 4] = 250
    return torch.from_numpy(frame)


def draws(level: int, *, width: int = 640, height: int = 360, flips: bool = False) -> list[Changes]:
    random = np.random.default_rng(level)
    return [
        draw_changes(random, level=level, width=width, height=height, flips=flips)
        for _ in range(MANY)
    ]


def shares(values: list[float]) -> dict[float, float]:
    return {value: count / len(values) for value, count in Counter(values).items()}


# What is drawn


@pytest.mark.parametrize("by", ["seed", "identity"])
def test_levels_are_equally_likely(by: str) -> None:
    levels = [
        draw_level(identity="a", seed=n) if by == "seed" else draw_level(identity=str(n))
        for n in range(MANY)
    ]
    assert chisquare([levels.count(level) for level in (0, 1, 2, 3)]).pvalue > 0.001
    assert set(levels) == {0, 1, 2, 3}


def test_a_challenge_is_of_the_level_drawn_for_it() -> None:
    frame = noise_frame(16, 16)
    levels = [challenge_image(frame, identity="a", seed=n).changes.level for n in range(12)]
    assert levels == [draw_level(identity="a", seed=n) for n in range(12)]
    assert len(set(levels)) > 2


@pytest.mark.parametrize("level", [1, 2, 3])
def test_angles_are_uniform_within_20_degrees(level: int) -> None:
    angles = [changes.angle for changes in draws(level)]
    assert kstest(angles, "uniform", args=(-20, 40)).pvalue > 0.001


@pytest.mark.parametrize("size", [(640, 360), (300, 300), (300, 1000)], ids=str)
def test_squares_are_those_of_torchvisions_random_resized_crop(size: tuple[int, int]) -> None:
    width, height = size
    mine = draws(1, width=width, height=height)
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = [RandomResizedCrop.get_params(image, [0.2, 1.0], [1.0, 1.0]) for _ in range(MANY)]
    assert all(h == w for _, _, h, w in theirs)
    for of_mine, of_theirs in (
        ([c.side for c in mine], [side for *_, side in theirs]),
        ([c.top for c in mine], [top for top, *_ in theirs]),
        ([c.left for c in mine], [left for _, left, *_ in theirs]),
    ):
        assert kstest(of_mine, of_theirs).pvalue > 0.001


def test_squares_cover_from_a_fifth_to_all_of_a_square_frame() -> None:
    areas = [changes.side**2 / 300**2 for changes in draws(1, width=300, height=300)]
    assert kstest(areas, "uniform", args=(0.2, 0.8)).pvalue > 0.001


@pytest.mark.parametrize(
    ("size", "lost"), [((640, 640), 0.08), ((640, 480), 0.17), ((640, 360), 0.31)], ids=str
)
def test_crops_lose_as_many_small_objects_as_the_page_says(
    size: tuple[int, int], lost: float
) -> None:
    """A square of 5 % of the frame's area, anywhere in it; it may be turned a little."""
    frame = np.array(size)
    side = np.sqrt(0.05 * frame.prod())
    random = np.random.default_rng(0)
    outside = []
    for changes in draws(1, width=size[0], height=size[1]):
        middle = random.uniform(side / 2, frame - side / 2) - frame / 2
        angle = np.radians(changes.angle)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        x, y = turn @ middle + frame / 2 - (changes.left, changes.top)
        outside.append(not all(-side / 2 < at < changes.side + side / 2 for at in (x, y)))
    assert np.mean(outside) == pytest.approx(lost, abs=0.03)


STRENGTHS = {
    "saturation": (1.0, 0.4, 0.3),
    "contrast": (1.0, 0.85, 0.725),
    "shrink": (1, 2, 3),
    "noise": (0.0, 0.001, 0.002),
    "blur": (0, 7, 9),
}


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("level", LEVELS)
def test_strengths_are_drawn_evenly_up_to_the_levels_strongest(level: int, name: str) -> None:
    strongest = {0: 0, 1: 0, 2: 1 if name in ("saturation", "contrast", "shrink") else 0, 3: 2}
    allowed = STRENGTHS[name][: strongest[level] + 1]
    seen = shares([getattr(changes, name) for changes in draws(level)])
    assert seen == pytest.approx(dict.fromkeys(allowed, 1 / len(allowed)), abs=0.035)


@pytest.mark.parametrize(("level", "combinations"), [(2, 2**3), (3, 3**5)])
def test_every_combination_of_strengths_is_equally_likely(level: int, combinations: int) -> None:
    seen = Counter(tuple(getattr(c, name) for name in STRENGTHS) for c in draws(level))
    assert len(seen) == combinations
    assert chisquare(list(seen.values())).pvalue > 0.001


def test_flips_never_happen_unless_asked_for() -> None:
    for level in LEVELS:
        assert not any(c.mirrored or c.overturned for c in draws(level))
        flipped = draws(level, flips=True)
        expected = 0.5 if level else 0
        for name in ("mirrored", "overturned"):
            share = np.mean([getattr(c, name) for c in flipped])
            assert share == pytest.approx(expected, abs=0.04)


def test_flips_turn_the_picture() -> None:
    frame = noise_frame(SIDE, SIDE)
    plain = apply_changes(frame, WHOLE)
    assert torch.equal(
        apply_changes(frame, dataclasses.replace(WHOLE, mirrored=True)), plain.flip(2)
    )
    over = dataclasses.replace(WHOLE, overturned=True)
    assert torch.equal(apply_changes(frame, over), plain.flip(1))


@pytest.mark.parametrize("level", [-1, 4])
def test_there_are_four_levels(level: int) -> None:
    with pytest.raises(UsageError, match=rf"level {level}: a challenge is of level 0, 1, 2 or 3"):
        challenge_image(noise_frame(30, 30), identity="a", level=level)


# What is done


@pytest.mark.parametrize("size", [(180, 320), (320, 181), (224, 224)], ids=str)
def test_level_0_is_pillows_centre_crop_and_resize(size: tuple[int, int]) -> None:
    frame = street(*size)
    height, width = size
    side = min(size)
    left, top = (width - side) / 2, (height - side) / 2
    image = Image.fromarray(frame.permute(1, 2, 0).numpy())
    image = image.crop((round(left), round(top), round(left) + side, round(top) + side))
    expected = np.array(image.resize((224, 224), Image.Resampling.BILINEAR))
    changes = challenge_image(frame, identity="a", level=0).changes
    np.testing.assert_array_equal(apply_changes(frame, changes).permute(1, 2, 0), expected)


@pytest.mark.parametrize("angle", [-17.0, 12.5])
def test_level_1_is_pillows_turn_crop_and_resize(angle: float) -> None:
    frame = street(360, 640)
    image = Image.fromarray(frame.permute(1, 2, 0).numpy())
    turned = image.rotate(angle, Image.Resampling.NEAREST).crop((150, 40, 450, 340))
    expected = np.array(turned.resize((224, 224), Image.Resampling.BILINEAR)).astype(float)
    changes = Changes(level=1, top=40, left=150, side=300, angle=angle)
    result = apply_changes(frame, changes).permute(1, 2, 0).numpy()
    assert np.abs(result - expected).mean() < 1.5  # fractions are cut off; edges a pixel apart


def test_a_turn_mixes_no_pixels() -> None:
    """The nearest is taken: of two colours there are two, and the black of the corners."""
    frame = torch.where(noise_frame(SIDE, SIDE)[:1] < 128, 60, 200).to(torch.uint8)
    result = apply_changes(frame.expand(3, -1, -1), dataclasses.replace(WHOLE, angle=11.0))
    assert set(torch.unique(result).tolist()) == {0, 60, 200}
    assert [int(result[0, y, x]) for y in (0, -1) for x in (0, -1)] == [0] * 4


@pytest.mark.parametrize("angle", [-20.0, 5.0, 20.0])
def test_a_turn_leaves_black_corners(angle: float) -> None:
    white = torch.full((3, 500, 500), 255, dtype=torch.uint8)
    changes = Changes(level=1, top=0, left=0, side=500, angle=angle)
    result = apply_changes(white, changes)
    radians = np.radians(abs(angle))
    seen = 2 / (1 + np.sin(radians) + np.cos(radians))  # of a square and itself, turned
    assert float((result > 127).float().mean()) == pytest.approx(seen, abs=0.01)
    assert [int(result[0, y, x]) for y in (0, -1) for x in (0, -1)] == [0] * 4


def test_white_stays_white_where_nothing_turns() -> None:
    white = torch.full((3, 90, 120), 255, dtype=torch.uint8)
    changes = Changes(level=1, top=5, left=20, side=70)
    assert int(apply_changes(white, changes).min()) >= 254  # a fraction is cut off


@pytest.mark.parametrize("factor", [0.4, 0.3])
def test_saturation_draws_colours_towards_their_luma(factor: float) -> None:
    frame = noise_frame(SIDE, SIDE)
    result = apply_changes(frame, dataclasses.replace(WHOLE, saturation=factor)).numpy()
    rgb = frame.numpy().astype(float)
    luma = np.tensordot([0.299, 0.587, 0.114], rgb, 1)
    expected = luma + factor * (rgb - luma)
    gap = expected - result  # OpenCV's coefficients have three digits; fractions are cut off
    assert -1.5 < gap.min() <= gap.max() < 2.5
    assert gap.mean() == pytest.approx(0.5, abs=0.5)


@pytest.mark.parametrize("factor", [0.85, 0.725])
def test_contrast_scales_pixel_values(factor: float) -> None:
    ramp = torch.arange(SIDE, dtype=torch.uint8).expand(3, SIDE, SIDE).contiguous()
    result = apply_changes(ramp, dataclasses.replace(WHOLE, contrast=factor))
    expected = np.floor(np.arange(SIDE) * factor)
    assert np.abs(result[0, 0].numpy() - expected).max() <= 1


def test_shrinking_by_two_averages_blocks_of_four() -> None:
    frame = noise_frame(SIDE, SIDE)
    plain = apply_changes(frame, WHOLE).numpy().astype(float)
    result = apply_changes(frame, dataclasses.replace(WHOLE, shrink=2)).numpy().astype(float)
    blocks = plain.reshape(3, 112, 2, 112, 2).mean((2, 4))
    # Half-pixel centres: a pixel lies a quarter of the way from its block to the next.
    near, after = blocks[:, 40, 40], blocks[:, 40, 41]
    below, across = blocks[:, 41, 40], blocks[:, 41, 41]
    expected = (9 * near + 3 * after + 3 * below + across) / 16
    np.testing.assert_allclose(result[:, 81, 81], expected, atol=1.5)


def test_shrinking_by_three_takes_lines_of_three_apart() -> None:
    stripes = torch.zeros((3, SIDE, SIDE), dtype=torch.uint8)
    stripes[:, :, ::3] = 240
    result = apply_changes(stripes, dataclasses.replace(WHOLE, shrink=3)).float()
    assert float(result.std()) < 0.9 * float(stripes.float().std())
    assert len(torch.unique(result[:, 100])) > 2


@pytest.mark.parametrize("variance", [0.001, 0.002])
def test_noise_has_its_variance_in_luma_and_chroma(variance: float) -> None:
    grey = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    changes = dataclasses.replace(WHOLE, noise=variance, noise_seed=5)
    red, green, blue = apply_changes(grey, changes).numpy().astype(float)
    luma = 255 * np.sqrt(variance) * 255 / 219
    chroma = 255 * np.sqrt(variance) * 255 / 224
    assert np.std(red) == pytest.approx(np.hypot(luma, 1.403 * chroma), rel=0.02)
    assert np.std(green) == pytest.approx(
        np.sqrt(luma**2 + (0.714**2 + 0.344**2) * chroma**2), rel=0.02
    )
    assert np.std(blue) == pytest.approx(np.hypot(luma, 1.773 * chroma), rel=0.02)
    assert np.mean(red) == pytest.approx(127.5, abs=0.5)
    neighbours = np.corrcoef(red[:, 1:].ravel(), red[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize("kernel", [7, 9])
def test_blur_is_a_gaussian_of_a_sixth_of_its_kernel(kernel: int) -> None:
    point = torch.zeros((3, SIDE, SIDE), dtype=torch.uint8)
    point[:, 100, 120] = 255
    result = apply_changes(point, dataclasses.replace(WHOLE, blur=kernel)).numpy()
    steps = np.arange(kernel) - kernel // 2
    line = np.exp(-(steps**2) / (2 * (kernel / 6) ** 2))
    line /= line.sum()
    half = kernel // 2
    seen = result[:, 100 - half : 101 + half, 120 - half : 121 + half]
    np.testing.assert_allclose(
        seen, np.broadcast_to(255 * np.outer(line, line), seen.shape), atol=1
    )
    assert int(result.sum()) == int(seen.sum())


def test_noise_comes_before_blur_and_after_contrast() -> None:
    grey = torch.full((3, SIDE, SIDE), 128, dtype=torch.uint8)
    noisy = dataclasses.replace(WHOLE, noise=0.002, noise_seed=5)
    alone = apply_changes(grey, noisy).float().std()
    line = np.exp(-((np.arange(9) - 4) ** 2) / (2 * 1.5**2))
    line /= line.sum()
    blurred = apply_changes(grey, dataclasses.replace(noisy, blur=9)).float().std()
    assert float(blurred / alone) == pytest.approx(float((line**2).sum()), rel=0.1)
    faded = apply_changes(grey, dataclasses.replace(noisy, contrast=0.725)).float().std()
    assert float(faded / alone) == pytest.approx(1, abs=0.03)


# What comes out


@pytest.mark.parametrize("level", LEVELS)
def test_it_is_sent_as_pillow_saves_jpegs_and_seen_as_decoded(level: int) -> None:
    made = challenge_image(street(300, 400), identity="a", level=level)
    sent = Image.open(io.BytesIO(made.jpeg))
    expected = io.BytesIO()
    Image.new("RGB", (8, 8)).save(expected, format="JPEG", quality=75, subsampling="4:2:0")
    reference = Image.open(expected)
    assert (sent.format, sent.size, sent.mode) == ("JPEG", (224, 224), "RGB")
    assert sent.quantization == reference.quantization
    assert sent.layer == reference.layer  # the sampling of the three components
    assert not sent.getexif()
    assert made.pixels.dtype == torch.uint8
    np.testing.assert_array_equal(made.pixels.permute(1, 2, 0), np.array(sent))
    assert made.jpeg == _encoded(apply_changes(street(300, 400), made.changes))


def test_neither_order_nor_threads_change_an_image() -> None:
    frame = street(60, 90)
    names = [(f"image-{n}", level) for n in range(6) for level in LEVELS]

    def jpeg(name: tuple[str, int]) -> bytes:
        return challenge_image(frame, identity=name[0], level=name[1]).jpeg

    first = {name: jpeg(name) for name in names}
    torch.manual_seed(9)
    assert dict(map_ahead(jpeg, names[::-1], threads=4)) == first
    assert len(set(first.values())) >= 6 * 3 + 1  # level 0 is of the frame alone


def test_a_drawn_level_gives_the_image_of_that_level() -> None:
    frame = street(60, 90)
    for number in range(8):
        drawn = challenge_image(frame, identity=str(number))
        given = challenge_image(frame, identity=str(number), level=drawn.changes.level)
        assert (drawn.jpeg, drawn.changes) == (given.jpeg, given.changes)


def test_seed_and_identity_each_change_the_image() -> None:
    def made(seed: int = 0, identity: str = "a") -> bytes:
        return challenge_image(street(60, 90), identity=identity, seed=seed, level=3).jpeg

    assert len({made(), made(seed=1), made(identity="b")}) == 3


def test_the_frame_is_not_touched() -> None:
    frame = street(60, 90)
    before = frame.clone()
    for level in LEVELS:
        challenge_image(frame, identity="a", level=level)
    assert torch.equal(frame, before)


@given(st.integers(16, 120), st.integers(16, 120), st.sampled_from(LEVELS), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_any_frame_gives_a_challenge(height: int, width: int, level: int, seed: int) -> None:
    made = challenge_image(noise_frame(height, width), identity="a", seed=seed, level=level)
    assert made.pixels.shape == (3, 224, 224)
    changes = made.changes
    assert 0 <= changes.top <= height - changes.side
    assert 0 <= changes.left <= width - changes.side
