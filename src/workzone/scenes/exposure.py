"""How bright a photograph is, and one by day made a street at dusk or at night."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]

_DAYLIGHT = 105.0
"""Mean brightness of the lower half of a photograph in which drawn daylight looks right."""
_BY_DAY, _NIGHTS = 0.7, 0.2
"""Of photographs at least so bright (`brightness_of`), this share becomes one of dusk or night."""
_AMBIENT, _DUSK = (0.16, 0.5), 0.33
"""What is left of the light from above; with less than `_DUSK` it is night."""


def brightness_of(photo: npt.NDArray[np.uint8]) -> float:
    """Of the lower half of a photograph ``[H, W, 3]``: 1 in daylight, 0 in the dark."""
    return float(photo[photo.shape[0] // 2 :].astype(np.float32).mean()) / _DAYLIGHT


def after_dark(
    picture: Pixels, share: Pixels, horizon: float, brightness: float, rng: np.random.Generator
) -> tuple[Pixels, str | None]:
    """Of some streets by day, by lot, the same street at dusk or at night.

    Args:
        picture: ``[H, W, 3]``, about 0..255.
        share: of each pixel that objects put in cover ``[H, W, 1]``, 0..1.
        horizon: row of it, in pixels.
        brightness: of the photograph, see `brightness_of`.
        rng: of all of it.

    Returns:
        The picture, and what it was made: ``dusk``, ``night``, or None where it stays as it is.
    """
    chosen = choose_darkness(brightness, rng)
    if chosen is None:
        return picture, None
    ambient, daytime = chosen
    return darken(picture.clip(0, 255), share, horizon, ambient, rng), daytime


def choose_darkness(brightness: float, rng: np.random.Generator) -> tuple[float, str] | None:
    """Of some streets by day, by lot, what is left of the light from above, 0..1, and its name.

    Args:
        brightness: of the photograph, see `brightness_of`.
        rng: of it.

    Returns:
        With ``dusk`` or ``night``; None for a street that stays as it is.
    """
    if brightness <= _BY_DAY or rng.random() >= _NIGHTS:
        return None
    ambient = rng.uniform(*_AMBIENT)
    return ambient, "night" if ambient < _DUSK else "dusk"


def darken(
    picture: Pixels, share: Pixels, horizon: float, ambient: float, rng: np.random.Generator
) -> Pixels:
    """The same street at dusk or at night, photograph and objects alike.

    Little light from above, a cone of headlights on the road ahead, in which drawn objects are
    brighter than what is around them, as foils are that throw light back. Lamps of the photograph
    stay dark: by day they were.

    Args:
        picture: ``[H, W, 3]``, 0..255.
        share: of each pixel that drawn objects cover ``[H, W, 1]``, 0..1.
        horizon: row of it, in pixels.
        ambient: what is left of the light from above, 0..1.
        rng: of the headlights and the noise.
    """
    height, width = picture.shape[:2]
    blue: Pixels = np.array([0.85, 0.92, 1.15], np.float32) * np.float32(ambient)
    below = np.clip((np.arange(height, dtype=np.float32) - horizon) / (height - horizon), -1, 1)
    across = (np.arange(width, dtype=np.float32) - width * rng.uniform(0.4, 0.6)) / width
    # On the road, and fading above it: brightest a little ahead of the car.
    reach = np.exp(-(((below - 0.35) / np.where(below > 0.35, 0.6, 0.35)) ** 2))[:, None]
    cone = reach * np.exp(-((across / 0.42) ** 2))[None]
    lamps = cone[..., None] * np.float32(rng.uniform(0.4, 0.9) * (1 - ambient))
    thrown_back = 1 + share * np.float32(rng.uniform(0.5, 1.6))
    bright = picture.mean(axis=-1, keepdims=True) / 255
    # What is bright up there is the sky; where it ends nobody tells, so it fades out.
    above = np.clip(0.6 - 3 * below, 0, 1)[:, None, None].astype(np.float32)
    sky = 1 - 0.75 * above * bright
    light = blue * sky + lamps * thrown_back
    noise = rng.standard_normal((height, width, 1), np.float32) * np.float32(rng.uniform(2, 7))
    dark: Pixels = (picture * light + noise).astype(np.float32)
    return dark
