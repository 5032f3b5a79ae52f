"""A rendered object without its surroundings, and how it is kept in a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from workzone.files import writing
from workzone.scenes.rendered.pixels import Pixels

_BRIGHTEST = 3.0
"""Of what is kept: white paper flat on the ground in full light is 1."""
_MOST_SHADE = 1.25
"""Of the ground's brightness beside what it is without the object."""
_GAMMA = 2.2


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A rendered object.

    All are float32 and linear; 1 is white paper flat on the ground.

    ``colour``: ``[H, W, 3]`` as daylight shows it, times ``alpha``; ``alpha``: ``[H, W]``, share of
    a pixel that it covers; ``shade``: ``[H, W, 3]``, the ground's brightness in multiples of what
    it is without the object; ``beam``: ``[H, W, 3]`` as headlights alone show it, where the light
    on a surface that faces them is 1; ``lamps``: ``[H, W, 3]``, its own lamps.
    ``column``, ``row``: where it stands, pixels; ``scale``: pixels per metre there.
    """

    colour: Pixels
    alpha: Pixels
    shade: Pixels
    beam: Pixels
    lamps: Pixels
    column: float
    row: float
    scale: float

    def mirrored(self) -> Cutout:
        """The same seen in a mirror."""
        colour, alpha, shade, beam, lamps = (
            layer[:, ::-1] for layer in (self.colour, self.alpha, self.shade, self.beam, self.lamps)
        )
        column = self.alpha.shape[1] - self.column
        return Cutout(colour, alpha, shade, beam, lamps, column, self.row, self.scale)


def write_cutout(cutout: Cutout, path: Path, made_of: str) -> None:
    """Write one PNG, whole or not at all: layers below each other, places in its text.

    ``made_of``: what it was rendered from, for those who look.
    """
    alpha = _coded(cutout.alpha[..., None], 1, 1)
    layers = [
        np.concatenate([_coded(cutout.colour, _BRIGHTEST, _GAMMA), alpha], -1),
        _opaque(_coded(cutout.shade, _MOST_SHADE, 1)),
        _opaque(_coded(cutout.beam, _BRIGHTEST, _GAMMA)),
        _opaque(_coded(cutout.lamps, _BRIGHTEST, _GAMMA)),
    ]
    text = PngImagePlugin.PngInfo()
    text.add_text("cutout", json.dumps([cutout.column, cutout.row, cutout.scale]))
    text.add_text("made of", made_of)
    with writing(path) as aside:
        Image.fromarray(np.concatenate(layers)).save(aside, format="PNG", pnginfo=text)


def read_cutout(path: Path) -> Cutout | None:
    """Read what :func:`write_cutout` wrote; None where there is none, or it is damaged."""
    try:
        with Image.open(path) as image:
            column, row, scale = json.loads(image.info["cutout"])
            coded = np.asarray(image.convert("RGBA"))
    except (OSError, KeyError, ValueError, SyntaxError):
        return None
    colour, shade, beam, lamps = np.split(coded, 4)
    return Cutout(
        _decoded(colour[..., :3], _BRIGHTEST, _GAMMA),
        _decoded(colour[..., 3], 1, 1),
        _decoded(shade[..., :3], _MOST_SHADE, 1),
        _decoded(beam[..., :3], _BRIGHTEST, _GAMMA),
        _decoded(lamps[..., :3], _BRIGHTEST, _GAMMA),
        column,
        row,
        scale,
    )


def _coded(layer: Pixels, most: float, gamma: float) -> npt.NDArray[np.uint8]:
    share = np.clip(layer / most, 0, 1) ** (1 / gamma)
    return np.asarray(share * 255 + 0.5).astype(np.uint8)


def _decoded(layer: npt.NDArray[np.uint8], most: float, gamma: float) -> Pixels:
    table = ((np.arange(256) / 255) ** gamma * most).astype(np.float32)
    return table[layer]


def _opaque(layer: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.concatenate([layer, np.full_like(layer[..., :1], 255)], -1)
