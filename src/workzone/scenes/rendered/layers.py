"""A photograph on which cut-outs are laid, and a record of which pixel is whose."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.compositor import PlacedObject
from workzone.scenes.rendered.cutout import Cutout
from workzone.scenes.rendered.photo import PhotoLight
from workzone.scenes.rendered.pixels import Pixels, blurred, to_srgb
from workzone.types import OBJECT_CLASSES, Box

_MARGIN = 4
"""Pixels around a cut-out, for blurred edges."""
_TOUCHED = 0.004
"""Pixels that change by less keep the photograph's own value."""


class Sheet:
    """A picture in the making: objects are put on it from far to near."""

    def __init__(self, base: Pixels, light: PhotoLight, photo: npt.NDArray[np.uint8]) -> None:
        self._base = base
        self._photo = photo
        self._light = light
        self._picture = base.copy()
        self._glow = np.zeros_like(base)
        self._cover = np.zeros(base.shape[:2], np.float32)
        self._owners = np.zeros(base.shape[:2], np.int32)
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
        height, width = cutout.alpha.shape
        left, top = spot[0] - cutout.column * factor, spot[1] - cutout.row * factor
        x0, y0 = int(np.floor(left)) - _MARGIN, int(np.floor(top)) - _MARGIN
        x1, y1 = int(np.ceil(left + width * factor)) + _MARGIN, int(np.ceil(top + height * factor)) + _MARGIN
        x0, y0 = max(x0, 0), max(y0, 0)
        x1, y1 = min(x1, self._cover.shape[1]), min(y1, self._cover.shape[0])
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        box = ((x0 - left) / factor, (y0 - top) / factor, (x1 - left) / factor, (y1 - top) / factor)
        layers = np.concatenate(
            [cutout.colour, cutout.alpha[..., None], cutout.shade - 1, cutout.beam, cutout.lamps], -1
        )
        softness = self._light.blur if factor < 1 else max(0.3, self._light.blur - 0.3 * factor)
        placed = blurred(_resampled(layers, box, (x1 - x0, y1 - y0)), softness)
        colour, alpha, darker, thrown, lamps = (
            placed[..., 0:3], placed[..., 3:4], placed[..., 4:7], placed[..., 7:10], placed[..., 10:13]
        )
        alpha = np.clip(alpha, 0, 1)
        here = np.s_[y0:y1, x0:x1]
        own = colour * self._light.white + thrown * np.float32(beam)
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
        """All as it is seen, uint8 ``[H, W, 3]``: lamps glow, objects have the photograph's grain."""
        small = max(1.2, self._cover.shape[1] / 320)
        halo = blurred(self._glow, small) * 0.25 + blurred(self._glow, 3 * small) * 0.08
        light = self._picture + self._glow * 0.6 + halo if self._glow.any() else self._picture
        touched = np.abs(light - self._base).max(axis=-1) > _TOUCHED * (0.05 + self._base.mean(axis=-1))
        grain = rng.standard_normal(light.shape, np.float32) * 0.5
        grain += rng.standard_normal((*light.shape[:2], 1), np.float32)
        noise = blurred(grain, 0.45) * np.float32(1.6 * self._light.noise)
        coded = to_srgb(light) + noise * self._cover[..., None]
        original = self._photo if self._base_is_photo() else to_srgb(self._base)
        merged = np.where(touched[..., None], coded, original)
        return np.clip(merged + 0.5, 0, 255).astype(np.uint8)

    def _base_is_photo(self) -> bool:
        return bool(np.abs(to_srgb(self._base[::16, ::16]) - self._photo[::16, ::16]).mean() < 6)


def _resampled(
    layers: Pixels, box: tuple[float, float, float, float], size: tuple[int, int]
) -> Pixels:
    """The part of a cut-out within ``box`` (which may reach beyond it) at ``size``."""
    reach = 8 + round(max(0.0, -min(box[:2]), box[2] - layers.shape[1], box[3] - layers.shape[0]))
    padded = np.pad(layers, ((reach, reach), (reach, reach), (0, 0)))
    x0, y0, x1, y1 = (value + reach for value in box)
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(padded[..., channel])).resize(
                size, Image.Resampling.BILINEAR, box=(x0, y0, x1, y1)
            )
        )
        for channel in range(padded.shape[-1])
    ]
    return np.stack(channels, -1)
