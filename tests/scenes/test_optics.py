"""What windscreen and lens add to a drawn scene, and to a composite after dark."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from workzone.scenes import draw_scene, exposure, optics
from workzone.scenes.composite import compose, find_horizon
from workzone.scenes.place import choose_place

EFFECTS = ("_SUN", "_HEADLAMP", "_REFLECTION", "_DROPS")


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Of the effects, those that are named always come, the others never."""
    for name in EFFECTS:
        monkeypatch.setattr(optics, name, 1.0 if name in names else 0.0)


def seed_of(daytime: str, weather: str) -> int:
    places = ((seed, choose_place(seed)) for seed in range(500))
    return next(s for s, p in places if (p.daytime, p.weather) == (daytime, weather))


def changes(
    monkeypatch: pytest.MonkeyPatch, seed: int, *names: str, label: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The scene without any effect, and what one adds to it, both float."""
    only(monkeypatch)
    plain = draw_scene(seed, label=label)
    only(monkeypatch, *names)
    seen = draw_scene(seed, label=label)
    np.testing.assert_array_equal(seen.masks, plain.masks)
    assert seen.boxes == plain.boxes
    before = plain.image.astype(np.float64)
    return before, seen.image.astype(np.float64) - before


def test_a_low_sun_veils_the_picture_and_throws_ghosts(monkeypatch) -> None:
    found = 0
    for seed in range(30):
        place = choose_place(seed)
        if (place.daytime, place.weather) != ("dusk", "clear"):
            continue
        _, added = changes(monkeypatch, seed, "_SUN")
        found += added.max() > 60  # not where a building hides the sun
        assert added.mean() >= -0.5
    assert found


def test_at_night_an_oncoming_headlamp_dazzles(monkeypatch) -> None:
    lit = 0
    for seed in range(60):
        if choose_place(seed).daytime == "night":
            _, added = changes(monkeypatch, seed, "_HEADLAMP", label=0)
            lit += added.max() > 40
    assert lit


def test_the_sun_does_not_dazzle_in_rain(monkeypatch) -> None:
    _, added = changes(monkeypatch, seed_of("day", "rain"), "_SUN")
    assert not added.any()


def test_the_dashboard_is_reflected_faintly_and_below(monkeypatch) -> None:
    _, added = changes(monkeypatch, seed_of("day", "overcast"), "_REFLECTION")
    half = len(added) // 2
    assert added[half:].mean() > 1 > abs(added[: half // 2]).mean()
    assert 0 < added.max() < 110


def test_drops_show_the_street_upside_down() -> None:
    frame = np.zeros((360, 640, 3), np.float32)
    frame[:180] = 200  # bright above, dark below
    views = np.stack([optics._drops(frame, np.random.default_rng(seed)) for seed in range(6)])
    assert 0.0005 < (np.abs(views - frame).max(axis=-1) > 60).mean() < 0.3
    assert views[:, :178].min() < 60 and views[:, 182:].max() > 60  # road above, sky below
    assert np.isfinite(views).all()


def test_drops_come_with_rain_alone(monkeypatch) -> None:
    _, dry = changes(monkeypatch, seed_of("day", "clear"), "_DROPS")
    _, wet = changes(monkeypatch, seed_of("day", "rain"), "_DROPS")
    assert not dry.any() and wet.any()


def street(horizon: float, *, sky: tuple[int, int, int] = (190, 205, 225)) -> np.ndarray:
    """Sky down to the horizon in the middle, houses beside, a road below."""
    frame = np.full((240, 320, 3), (96, 94, 92), np.uint8)
    frame[: round(240 * horizon)] = sky
    frame[60 : round(240 * horizon), :100] = (120, 70, 60)
    frame[40 : round(240 * horizon), 220:] = (70, 60, 60)
    return frame


@pytest.mark.parametrize("horizon", [0.35, 0.45, 0.6])
def test_the_horizon_is_where_sky_reaches_lowest(horizon: float) -> None:
    found = find_horizon(street(horizon))
    assert found is not None and abs(found - horizon) < 0.03


@pytest.mark.parametrize(
    "photo",
    [
        np.full((240, 320, 3), (150, 150, 152), np.uint8),  # nothing but road
        street(0.45, sky=(20, 22, 30)),  # by night
        street(0.45, sky=(200, 120, 60)),  # a wall
        street(0.1),  # looking down
    ],
    ids=["road", "night", "wall", "down"],
)
def test_without_sky_no_horizon_is_told(photo: np.ndarray) -> None:
    assert find_horizon(photo) is None


def test_objects_stand_below_the_photographs_horizon() -> None:
    tops = {}
    for horizon in (0.35, 0.6):
        made = [compose(street(horizon), (seed,), label=1) for seed in range(8)]
        rows = [np.flatnonzero(one.masks.any(axis=(0, 2))).max() / 240 for one in made]
        tops[horizon] = np.mean(rows)  # where the lowest object ends
        assert min(rows) > horizon - 0.03
    assert tops[0.6] > tops[0.35]


def test_some_streets_become_dark_with_all_that_is_in_them(monkeypatch) -> None:
    photo = street(0.45)
    monkeypatch.setattr(exposure, "_NIGHTS", 0.0)
    by_day = compose(photo, (5,), label=1)
    monkeypatch.setattr(exposure, "_NIGHTS", 1.0)
    dark = compose(photo, (5,), label=1)
    assert by_day.darkened is None and dark.darkened in ("dusk", "night")
    np.testing.assert_array_equal(by_day.masks, dark.masks)
    pixels = [np.asarray(Image.open(io.BytesIO(made.jpeg)), float) for made in (by_day, dark)]
    assert pixels[1].mean() < 0.7 * pixels[0].mean()
    assert pixels[1][:60].mean() < 0.4 * pixels[0][:60].mean()  # above all the sky
    already = compose(photo // 4, (5,), label=1)
    assert already.darkened is None  # it is night there
