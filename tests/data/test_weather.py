from __future__ import annotations

import sys

import pytest
import torch

from workzone.data.weather import WeatherConfig, weather, weather_seed
from workzone.errors import MissingExtraError, UsageError

ALL = WeatherConfig(fog=0.5, rain=0.5, motion_blur=0.5, noise=0.5)
CHANGES = ("fog", "rain", "motion_blur", "noise")


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(6, 3, 48, 64, generator=torch.Generator().manual_seed(1))


def seeds(count: int, epoch: int = 0) -> list[int]:
    return [weather_seed(0, epoch, str(number)) for number in range(count)]


def only(change: str) -> WeatherConfig:
    return WeatherConfig(**{change: 1.0})


def test_without_weather_frames_stay_as_they_are(frames):
    assert torch.equal(weather(frames, WeatherConfig(), seeds(6)), frames)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_change_alters_every_frame_and_stays_in_range(frames, change, dtype):
    frames = frames.to(dtype)
    before = frames.clone()
    result = weather(frames, only(change), seeds(6))
    assert (result.shape, result.dtype) == (frames.shape, dtype)
    assert float(result.min()) >= 0 and float(result.max()) <= 1
    assert all(not torch.equal(new, old) for new, old in zip(result, frames, strict=True))
    assert torch.equal(frames, before)


def test_an_image_depends_on_its_own_seed_alone(frames):
    whole = weather(frames, ALL, seeds(6))
    torch.manual_seed(8)
    order = [4, 2, 0, 5]
    part = weather(frames[order], ALL, [seeds(6)[row] for row in order])
    assert torch.allclose(part, whole[order], atol=1e-6)
    other = weather(frames, ALL, seeds(6, epoch=1))
    assert not torch.allclose(other, whole, atol=0.05)


def test_one_change_is_the_same_whether_or_not_others_happen(frames):
    fogged = weather(frames, only("fog"), seeds(6))
    noisy = weather(frames, WeatherConfig(fog=1.0, noise=1.0), seeds(6))
    inside = (noisy > 0) & (noisy < 1)
    assert float((noisy - fogged)[inside].std()) < 0.07
    assert abs(float((noisy - fogged)[inside].mean())) < 0.005


def test_torchs_generator_is_left_alone(frames):
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    weather(frames, WeatherConfig(1.0, 1.0, 1.0, 1.0), seeds(6))
    assert torch.equal(torch.rand(3), expected)


def test_changes_are_as_frequent_as_asked():
    frames = torch.rand(400, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    result = weather(frames, WeatherConfig(fog=0.3), seeds(400))
    changed = sum(not torch.equal(a, b) for a, b in zip(result, frames, strict=True))
    assert 85 <= changed <= 155  # 120 +- 4 deviations


def test_fog_takes_contrast_and_lightens(frames):
    dark = frames * 0.4
    result = weather(dark, only("fog"), seeds(6))
    contrast = result.std(dim=(1, 2, 3)) / dark.std(dim=(1, 2, 3))
    assert bool(((contrast >= 0.4 - 1e-5) & (contrast <= 0.8 + 1e-5)).all())
    assert bool((result.mean(dim=(1, 2, 3)) > dark.mean(dim=(1, 2, 3))).all())


def test_rain_draws_drops_and_leaves_the_rest(frames):
    result = weather(frames, only("rain"), seeds(6))
    wet = (result != frames).any(dim=1)
    assert torch.allclose(result.movedim(1, -1)[wet], torch.tensor(200 / 255))
    assert bool((wet.float().mean(dim=(1, 2)) < 0.02).all())
    assert bool(wet.any(dim=2).any(dim=1).all())


def test_motion_blur_smears_along_one_direction():
    point = torch.zeros(4, 3, 101, 101)
    point[:, :, 50, 50] = 1
    result = weather(point, only("motion_blur"), seeds(4))
    assert torch.allclose(result.sum(dim=(2, 3)), torch.ones(4, 3), atol=1e-3)
    for image in result[:, 0]:
        y, x = torch.nonzero(image > 0.05).float().T
        spread = torch.linalg.eigvalsh(torch.cov(torch.stack([y, x])))
        assert float(spread[1]) > 3 * float(spread[0])


def test_noise_is_normal_with_the_deviation_of_its_range():
    grey = torch.full((8, 3, 64, 64), 0.5)
    difference = weather(grey, only("noise"), seeds(8)) - grey
    deviations = difference.std(dim=(1, 2, 3))
    assert bool(((deviations > 0.0098) & (deviations < 0.0612)).all())
    assert float(deviations.std()) > 0.002
    assert abs(float(difference.mean())) < 0.001


def test_seeds_of_images_epochs_and_trainings_differ():
    names = [(s, e, i) for s in range(3) for e in range(3) for i in ("a", "b", "1/a")]
    values = {weather_seed(*name) for name in names}
    assert len(values) == len(names)
    assert all(0 <= value < 2**63 for value in values)


def test_wrong_calls_are_refused(frames):
    with pytest.raises(UsageError, match=r"not torch\.uint8 \[6, 3, 48, 64\]"):
        weather((frames * 255).to(torch.uint8), ALL, seeds(6))
    with pytest.raises(UsageError, match=r"not torch\.float32 \[3, 48, 64\]"):
        weather(frames[0], ALL, seeds(3))
    with pytest.raises(UsageError, match="6 frames and 5 seeds: give one seed per frame"):
        weather(frames, ALL, seeds(5))
    with pytest.raises(UsageError, match=r"16 pixels a side or more, not \[8, 64\]"):
        weather(frames[:, :, :8], ALL, seeds(6))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_probabilities_out_of_range_are_refused(value):
    with pytest.raises(UsageError, match=rf"a probability is from 0 to 1, not rain={value}"):
        WeatherConfig(rain=value)


@pytest.mark.parametrize("change", ["rain", "motion_blur"])
def test_without_kornia_the_extra_is_named(frames, monkeypatch, change):
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    monkeypatch.setitem(sys.modules, "kornia.filters", None)
    with pytest.raises(MissingExtraError, match=r"workzone\[kornia\]"):
        weather(frames, only(change), seeds(6))


def test_an_empty_batch_stays_empty():
    assert weather(torch.zeros(0, 3, 16, 16), ALL, []).shape == (0, 3, 16, 16)
