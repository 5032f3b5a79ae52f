"""Whether a picture shows enough to be judged, and if not, what is wrong with it.

Plain measures of light and sharpness on a small grey copy. Blur is told as by Crete et al. ("The
Blur Effect: Perception and Estimation with a New No-Reference Perceptual Blur Metric", SPIE 2007):
how little is lost when the picture is blurred once more.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from workzone.types import Views

FaultName = Literal["black", "over-exposed", "blurred", "covered", "dirty"]
Grey = npt.NDArray[np.float32]

IN_WORDS: dict[FaultName, str] = {
    "black": "the picture is black",
    "over-exposed": "the picture is over-exposed, or a white page",
    "blurred": "the picture is blurred",
    "covered": "the lens is covered, or there is nothing in a part of the picture",
    "dirty": "the lens is dirty or wet, or a part of the picture is out of focus",
}

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Of red, green and blue in grey (ITU-R BT.601)."""

SHORTER = 192
"""Pixels, about, of the shorter side of what is measured: fine grain and small defects are gone."""
TILES = 8
"""Parts of either side that are looked at one by one."""
SKY = 3
"""Eighths of the picture at its top in which nothing need be seen."""

# Beyond what all but one in a hundred street photographs have (docs/judge/unsure.md).
DARK, MOST_DARK = 24, 0.9
"""A grey value, 0..255, below which nothing can be told apart; share of such pixels."""
BRIGHT, MOST_BRIGHT = 250, 0.5
"""One above which nothing can, likewise."""
BLURRED = 0.55
"""Of the blur effect of the whole picture, 0..1."""
FLAT, MOST_FLAT = 1.5, 0.15
"""Standard deviation of grey values in a tile without anything in it; share of such tiles."""
SMEARED, MOST_SMEARED = 0.7, 0.2
"""The blur effect of a tile without anything sharp in it; share of such tiles and flat ones."""


def fault(pixels: npt.NDArray[np.uint8]) -> FaultName | None:
    """What keeps a picture from being judged; None: nothing.

    Args:
        pixels: one picture, uint8 ``[3, h, w]``.
    """
    grey = _grey(pixels)
    if (grey < DARK).mean() >= MOST_DARK:
        return "black"
    if (grey > BRIGHT).mean() >= MOST_BRIGHT:
        return "over-exposed"
    if blur_effect(grey) > BLURRED:
        return "blurred"
    seen = grey[len(grey) * SKY // 8 :]
    flat = _deviation(seen) < FLAT
    if flat.mean() > MOST_FLAT:
        return "covered"
    smeared = flat | (_blur(seen, window=5, tiles=True) > SMEARED)
    return "dirty" if smeared.mean() > MOST_SMEARED else None


def fault_in_view(views: Views) -> FaultName | None:
    """What keeps an image from being judged, as the first of its views shows it, the whole frame.

    The padding of that view is no part of the image.
    """
    pixels, (x0, y0, x1, y1) = views.pixels[0], views.boxes[0].tolist()
    rows, columns = (
        slice(
            round(size * max(0.0, -low / (high - low))),
            round(size * min(1.0, (1 - low) / (high - low))),
        )
        for size, low, high in ((pixels.shape[1], y0, y1), (pixels.shape[2], x0, x1))
    )
    return fault(pixels[:, rows, columns])


def blur_effect(grey: Grey) -> float:
    """How blurred a picture is: 0 sharp, 1 not to be told from a copy that is blurred once more.

    Args:
        grey: ``[h, w]``, at least 10 pixels a side.
    """
    return float(_blur(grey, window=9, tiles=False)[0])


def _grey(pixels: npt.NDArray[np.uint8]) -> Grey:
    """A grey copy of about `SHORTER` pixels, each the mean of a square."""
    step = max(1, min(pixels.shape[1:]) // SHORTER)
    rows, columns = (side // step for side in pixels.shape[1:])
    squares = pixels[:, : rows * step, : columns * step].reshape(3, rows, step, columns, step)
    means = squares.mean(axis=(2, 4), dtype=np.float32)
    return np.asarray(np.tensordot(LUMA, means, axes=1))


def _blur(grey: Grey, *, window: int, tiles: bool) -> Grey:
    """The blur effect along the axis where it is larger: of the whole ``[1]``, or of each tile."""
    found = []
    half = window // 2
    for axis in (0, 1):
        lines = np.moveaxis(grey, axis, 0)
        sums = np.cumsum(np.concatenate([np.zeros_like(lines[:1]), lines]), axis=0)
        smooth = (sums[window:] - sums[:-window]) / window
        steps = np.abs(np.diff(lines[half : half + len(smooth)], axis=0))
        lost = np.maximum(steps - np.abs(np.diff(smooth, axis=0)), 0)
        totals = [_sums(part) if tiles else part.sum(keepdims=True) for part in (lost, steps)]
        share = 1 - totals[0] / np.maximum(totals[1], 1e-6)
        found.append(share.T if axis else share)
    return np.asarray(np.maximum(*found).ravel())


def _sums(values: Grey) -> Grey:
    """The sum in each tile, ``[rows, columns]`` of tiles of about equal size."""
    rows, columns = (np.linspace(0, side, TILES + 1)[:-1].astype(int) for side in values.shape)
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1))


def _deviation(grey: Grey) -> Grey:
    """The standard deviation in each tile."""
    count = _sums(np.ones_like(grey))
    mean = _sums(grey) / count
    squares = _sums(np.square(grey)) / count - np.square(mean)
    return np.asarray(np.sqrt(np.maximum(squares, 0)).ravel())
