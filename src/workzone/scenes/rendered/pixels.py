"""Pictures as linear light."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
"""float32 ``[H, W]`` or ``[H, W, C]``."""

_SHOULDER = 0.8
"""What is brighter is compressed, so that highlights keep their hue."""


def to_linear(picture: npt.NDArray[np.uint8] | Pixels) -> Pixels:
    """From sRGB 0..255 to light 0..1."""
    share = np.asarray(picture, np.float32) / np.float32(255)
    curve = np.clip((share + 0.055) / 1.055, 0, None) ** np.float32(2.4)
    linear: Pixels = np.where(share <= 0.04045, share / 12.92, curve).astype(np.float32)
    return linear


def to_srgb(light: Pixels) -> Pixels:
    """From light to sRGB 0..255, fractions and all; what is brighter than 1 is cut off."""
    kept = np.clip(light, 0, 1)
    curve = 1.055 * kept ** np.float32(1 / 2.4) - 0.055
    coded: Pixels = (np.where(kept <= 0.0031308, kept * 12.92, curve) * 255).astype(np.float32)
    return coded


def exposed(light: Pixels) -> Pixels:
    """Light as film takes it: highlights come to 1 slowly, keep their hue at first, then pale."""
    peak = np.maximum(light.max(axis=-1, keepdims=True), np.float32(1e-6))
    room = 1 - _SHOULDER
    over = np.clip(peak - _SHOULDER, 0, None)
    level = np.minimum(peak, _SHOULDER) + room * (1 - np.exp(-over / room))
    kept = light * (level / peak)
    pale = np.clip((peak - 1.2) / 6, 0, 0.6)
    shown: Pixels = (kept + (level - kept) * pale).astype(np.float32)
    return shown


def blurred(picture: Pixels, sigma: float) -> Pixels:
    """Smoothed by a Gaussian; edges are continued."""
    reach = math.ceil(2.5 * sigma)
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-((steps / sigma) ** 2) / 2).astype(np.float32)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if axis == i else (0, 0) for i in range(picture.ndim)]
        padded = np.pad(picture, padding, mode="edge")
        size = picture.shape[axis]
        smooth = np.zeros_like(picture)
        for start, weight in enumerate(kernel):
            window = slice(start, start + size)
            smooth += weight * (padded[window] if axis == 0 else padded[:, window])
        picture = smooth
    return picture
