"""What a photograph tells of its light, its ground and its camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.exposure import brightness_of
from workzone.scenes.rendered.light import CLEAR, OVERCAST
from workzone.scenes.rendered.pixels import Pixels, to_linear

_SMALL = (120, 90)
"""Width and height, pixels, at which ground is told from other things."""
_DARK = 0.44
"""What is less bright (`brightness_of`) was taken by night, in a tunnel or in a garage."""


@dataclass(frozen=True, slots=True)
class PhotoLight:
    """The light of a photograph, as far as it can be told, the rest by lot.

    ``condition``: of `light.CONDITIONS`; ``left``: the sun's side; ``white``: ``[3]`` linear light
    of white paper flat on the ground; ``haze``: ``[3]`` linear, what far things fade into;
    ``vividness``: how a camera stretches colours, 1 for none; ``dark``: taken by night; ``noise``:
    of the sensor and of JPEG, sRGB 0..255; ``blur``: pixels.
    """

    condition: str
    left: bool
    white: Pixels
    haze: Pixels
    vividness: float
    dark: bool
    noise: float
    blur: float


def read_light(
    photo: npt.NDArray[np.uint8], horizon: float, rng: np.random.Generator
) -> PhotoLight:
    """Tell the light of a photograph.

    Args:
        photo: uint8 ``[H, W, 3]``.
        horizon: 0..1 of its height, from above.
        rng: of what it does not tell.
    """
    height, width = photo.shape[:2]
    top = round(horizon * height)
    road = photo[min(top + (height - top) // 4, height - 4) :, width // 6 : -width // 6 or None]
    ground = np.median(to_linear(road[::2, ::2]).reshape(-1, 3), axis=0)
    level = float(ground.mean())
    tint = np.clip(ground / max(level, 1e-4), 0.86, 1.16) ** 0.7
    albedo = rng.uniform(0.15, 0.25)
    white = np.clip(level / albedo, 0.03, 1.15) * tint
    strip = photo[max(0, top - height // 12) : max(top, 4)]
    haze = to_linear(strip.reshape(-1, 3)).mean(axis=0)
    return PhotoLight(
        condition=_condition(photo, rng),
        left=_left(photo, rng),
        white=white.astype(np.float32),
        haze=haze.astype(np.float32),
        vividness=rng.uniform(0.95, 1.25),
        dark=brightness_of(photo) < _DARK,
        noise=_noise(photo),
        blur=_blur(photo),
    )


def ground_map(photo: npt.NDArray[np.uint8]) -> Pixels:
    """How much each spot of a photograph looks like its road, 0..1, ``[90, 120]``.

    Road is smooth, and of the colour of what is in front of the camera.
    """
    small = np.asarray(Image.fromarray(photo).resize(_SMALL, Image.Resampling.BOX), np.float32)
    rows = small.shape[0]
    front = small[round(rows * 0.8) : round(rows * 0.97), 30:90].reshape(-1, 3)
    road = np.median(front, axis=0)
    away = np.abs(small - road).mean(axis=-1)
    across = np.abs(np.diff(small.mean(axis=-1), axis=1, append=small.mean(axis=-1)[:, -1:]))
    down = np.abs(np.diff(small.mean(axis=-1), axis=0, append=small.mean(axis=-1)[-1:]))
    like = np.exp(-((away / 48) ** 2)) * np.exp(-(((across + down) / 36) ** 2))
    return np.asarray(like, np.float32)


def _condition(photo: npt.NDArray[np.uint8], rng: np.random.Generator) -> str:
    """Clear where the upper part is blue, overcast where it is white; else by lot."""
    upper = photo[: photo.shape[0] // 4 : 2, ::2].reshape(-1, 3).astype(np.float32)
    bright = upper[upper.mean(axis=1) > 120]
    clear = 0.5
    if len(bright) > len(upper) / 5:
        blue = float((bright[:, 2] - bright[:, 0]).mean())
        clear = 0.9 if blue > 22 else 0.15
    if rng.random() >= clear:
        return OVERCAST
    glare = float((upper.mean(axis=1) > 246).mean())
    shares = (0.5, 0.3, 0.2) if glare > 0.25 else (0.2, 0.4, 0.4)
    return CLEAR[int(rng.choice(3, p=shares))]


def _left(photo: npt.NDArray[np.uint8], rng: np.random.Generator) -> bool:
    """The side where the upper half is brighter is likely the sun's."""
    upper = photo[: photo.shape[0] // 2].mean(axis=(0, 2))
    half = len(upper) // 2
    difference = float(upper[:half].mean() - upper[-half:].mean())
    return bool(rng.random() < 1 / (1 + np.exp(-difference / 15)))


def _noise(photo: npt.NDArray[np.uint8]) -> float:
    """Of its smoothest parts, sRGB."""
    grey = photo.astype(np.float32).mean(axis=-1)
    high = (
        grey[1:-1, 1:-1] - (grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]) / 4
    )
    rows, columns = high.shape[0] // 8, high.shape[1] // 8
    blocks = high[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).std(axis=(1, 3))
    return float(np.clip(np.quantile(blocks, 0.3) / 1.12, 0.3, 7))


def _blur(photo: npt.NDArray[np.uint8]) -> float:
    """Sigma of the blur that its sharpest edges show, pixels."""
    grey = photo.astype(np.float32).mean(axis=-1)
    span = float(np.quantile(grey, 0.99) - np.quantile(grey, 0.01))
    steepest = float(np.quantile(np.abs(np.diff(grey, axis=1)), 0.999))
    return float(np.clip(0.32 * span / max(steepest, 1.0) - 0.2, 0.25, 1.5))
