"""A photograph on which cut-outs are laid, and a record of which pixel is whose."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.compositor import PlacedObject
from workzone.scenes.rendered.cutout import Cutout
from workzone.scenes.rendered.photo import PhotoLight
from workzone.scenes.rendered.pixels import Pixels, blurred, exposed, to_linear, to_srgb
from workzone.types import OBJECT_CLASSES, Box

_MARGIN = 4
"""Pixels around a cut-out, for blurred edges."""
_RESAMPLING = 0.55
"""Sigma of the blur that resampling brings, pixels."""
_TOUCHED = 0.004
"""Pixels that change by less keep the photograph's own value."""


class Sheet:
    """A picture in the making: objects are put on it from far to near."""

    def __init__(self, photo: Pixels, light: PhotoLight) -> None:
        """Begin with a photograph, sRGB 0..255, and its light."""
        size = (photo.shape[0], photo.shape[1])
        self._photo = photo
        self._light = light
        self._base = to_linear(photo)
        self._picture = self._base.copy()
        self._glow = np.zeros_like(self._base)
        self._cover: Pixels = np.zeros(size, np.float32)
        self._owners: npt.NDArray[np.int32] = np.zeros(size, np.int32)
        self._classes: list[str] = []

    def put(
        self,
        cutout: Cutout,
        of_class: str,
        *,
        spot: tuple[float, float],
        scale: float,
        haze: float,
        shade: float,
        beam: float,
    ) -> None:
        """Lay a cut-out over what is there.

        Args:
            cutout: as it is to be seen, not mirrored any more.
            of_class: its class, another name that is to be listed, or "".
            spot: column and row where it stands.
            scale: pixels per metre there.
            haze: 0..1, how far it has faded into the distance.
            shade: 0..1, how dark its shadow is beside what the renderer says.
            beam: light of headlights on it, linear.
        """
        factor = scale / cutout.scale
        window = _window(cutout, spot, factor, (self._cover.shape[0], self._cover.shape[1]))
        if window is None:
            return
        softness = math.sqrt(max(self._light.blur**2 - _RESAMPLING**2, 0.04))
        layers = blurred(_resampled(cutout, window), softness)
        colour, alpha, darker, thrown, lamps = np.split(layers, [3, 4, 7, 10], axis=-1)
        alpha = np.clip(alpha, 0, 1)
        here = np.s_[window.y0 : window.y1, window.x0 : window.x1]
        lit = colour * self._light.white + thrown * np.float32(beam)
        own = exposed(np.asarray(lit / np.maximum(alpha, 1e-3), np.float32)) * alpha
        grey = own.mean(axis=-1, keepdims=True)
        own = np.clip(grey + (own - grey) * np.float32(self._light.vividness), 0, None)
        own = own * np.float32(1 - haze) + alpha * self._light.haze * np.float32(haze)
        shaded = self._picture[here] * np.clip(1 + darker * np.float32(shade * (1 - haze)), 0, None)
        self._picture[here] = shaded * (1 - alpha) + own
        self._glow[here] = self._glow[here] * (1 - alpha) + lamps
        self._cover[here] = self._cover[here] * (1 - alpha[..., 0]) + alpha[..., 0]
        number = 0
        if of_class:
            self._classes.append(of_class)
            number = len(self._classes)
        self._owners[here][alpha[..., 0] > 0.5] = number

    def found(self) -> tuple[npt.NDArray[np.bool_], list[PlacedObject]]:
        """Masks ``[6, H, W]`` of the classes and the objects, of what can be seen of them."""
        height, width = self._owners.shape
        channels = np.full(1 + len(self._classes), len(OBJECT_CLASSES))  # of none
        objects = []
        for number, name in enumerate(self._classes, start=1):
            if name in OBJECT_CLASSES:
                channels[number] = OBJECT_CLASSES.index(name)
            rows, columns = np.nonzero(self._owners == number)
            if len(rows):
                box: Box = (
                    float(columns.min()) / width,
                    float(rows.min()) / height,
                    float(columns.max() + 1) / width,
                    float(rows.max() + 1) / height,
                )
                objects.append(PlacedObject(name, box))
        of_pixels = channels[self._owners]
        masks = np.stack([of_pixels == channel for channel in range(len(OBJECT_CLASSES))])
        return masks, objects

    def picture(self, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """All as it is seen, uint8 ``[H, W, 3]``.

        Lamps glow, and objects have the photograph's grain.
        """
        light = self._picture
        if self._glow.any():
            light = light + exposed(self._glow) + _halo(self._glow)
        changed = np.abs(light - self._base).max(axis=-1, keepdims=True)
        touched = changed > _TOUCHED * (0.05 + self._base.mean(axis=-1, keepdims=True))
        grain = rng.standard_normal(light.shape, np.float32) * np.float32(0.5)
        grain += rng.standard_normal((*light.shape[:2], 1), np.float32)
        noise = blurred(grain, 0.45) * np.float32(1.6 * self._light.noise)
        merged = np.where(touched, to_srgb(light) + noise * self._cover[..., None], self._photo)
        return np.clip(merged + 0.5, 0, 255).astype(np.uint8)


def _halo(glow: Pixels) -> Pixels:
    """What a lens makes of lamps: some of their light around them."""
    height, width = glow.shape[:2]
    size = (max(1, width // 4), max(1, height // 4))
    reach = max(1.0, width / 1600)
    channels = []
    for channel in range(3):
        picture = Image.fromarray(np.ascontiguousarray(glow[..., channel]))
        small = np.asarray(picture.resize(size, Image.Resampling.BOX))
        spread = blurred(small, reach) * 0.12 + blurred(small, 4 * reach) * 0.05
        wide = Image.fromarray(spread).resize((width, height), Image.Resampling.BILINEAR)
        channels.append(np.asarray(wide))
    return np.stack(channels, -1)


@dataclass(frozen=True, slots=True)
class _Window:
    """Pixels of the picture from ``x0``, ``y0`` on; ``box``: what of the cut-out they show."""

    x0: int
    y0: int
    x1: int
    y1: int
    box: tuple[float, float, float, float]


def _window(
    cutout: Cutout, spot: tuple[float, float], factor: float, size: tuple[int, int]
) -> _Window | None:
    """Where a cut-out lies in a picture of ``size``; None outside of it."""
    height, width = cutout.alpha.shape
    left, top = spot[0] - cutout.column * factor, spot[1] - cutout.row * factor
    x0, y0 = max(math.floor(left) - _MARGIN, 0), max(math.floor(top) - _MARGIN, 0)
    x1 = min(math.ceil(left + width * factor) + _MARGIN, size[1])
    y1 = min(math.ceil(top + height * factor) + _MARGIN, size[0])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    first, last = (x0 - left) / factor, (x1 - left) / factor
    return _Window(x0, y0, x1, y1, (first, (y0 - top) / factor, last, (y1 - top) / factor))


def _resampled(cutout: Cutout, window: _Window) -> Pixels:
    """All layers of a cut-out as large as the window, ``[H, W, 13]``; nothing beyond its edge."""
    alpha = cutout.alpha[..., None]
    layers = np.concatenate([cutout.colour, alpha, cutout.shade - 1, cutout.beam, cutout.lamps], -1)
    x0, y0, x1, y1 = window.box
    height, width = alpha.shape[:2]
    reach = 2 + math.ceil(max(0.0, -x0, -y0, x1 - width, y1 - height))
    padded = np.pad(layers, ((reach, reach), (reach, reach), (0, 0)))
    box = (x0 + reach, y0 + reach, x1 + reach, y1 + reach)
    size = (window.x1 - window.x0, window.y1 - window.y0)
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(padded[..., channel])).resize(
                size, Image.Resampling.BILINEAR, box=box
            )
        )
        for channel in range(padded.shape[-1])
    ]
    return np.stack(channels, -1)
