"""Tiles of made pictures at many scales, with what each shows: what `trunk.py` learns from."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from workzone.data.challenge import TURN, distorted, draw_changes
from workzone.data.manifest import Manifest
from workzone.types import OBJECT_CLASSES, Box

Pixels = npt.NDArray[np.float32]

TILE = 192
"""Pixels a side."""
SCALES = (0.3, 1.4)
"""Pixels of a tile per pixel of the picture."""
SENT = 0.3
"""Of tiles: turned and distorted as the subnet's validator does it."""
AIMED = 0.8
"""Of tiles: an object is in it, where the picture has one."""
SMALLEST = 96
"""Pixels of the shorter side; smaller pictures are passed over."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture with its masks and the boxes of its objects."""

    pixels: npt.NDArray[np.uint8]  # [H, W, 3]
    masks: npt.NDArray[np.uint8] | None  # [H, W], bit k for class k; None: it shows nothing
    boxes: tuple[Box, ...]


def read_pictures(manifest: Manifest) -> list[Picture]:
    """All pictures of a manifest; boxes are those of ``objects/ID.json``, where there are any."""
    pictures = []
    for sample in manifest:
        path = manifest.root / sample.image.path
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        if min(pixels.shape[:2]) < SMALLEST:
            continue
        masks = None
        if sample.label == 1 and sample.masks:  # of made pictures: bit images
            with Image.open(manifest.root / sample.masks) as image:
                masks = np.asarray(image)
        record = path.parent.parent / "objects" / f"{sample.id}.json"
        objects = json.loads(record.read_text())["objects"] if record.exists() else []
        pictures.append(Picture(pixels, masks, tuple(tuple(o["box"]) for o in objects)))
    return pictures


class Tiles(torch.utils.data.IterableDataset[tuple[torch.Tensor, torch.Tensor]]):
    """Tiles without end: ``[3, T, T]`` of -1..1, and of each class ``[K, T, T]`` of 0..1."""

    def __init__(self, sets: Sequence[tuple[float, Sequence[Picture]]], seed: int) -> None:
        weights = np.array([weight for weight, _ in sets])
        self.sets = [pictures for _, pictures in sets]
        self.shares = weights / weights.sum()
        self.seed = seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        rng = np.random.default_rng(self.seed)
        while True:
            pictures = self.sets[rng.choice(len(self.sets), p=self.shares)]
            pixels, masks = draw_tile(pictures[rng.integers(len(pictures))], rng)
            yield torch.from_numpy(pixels.transpose(2, 0, 1).copy()), torch.from_numpy(masks)


def draw_tile(picture: Picture, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A tile ``[T, T, 3]`` of -1..1, and its masks ``[K, T, T]`` of 0..1."""
    height, width = picture.pixels.shape[:2]
    scale = math.exp(rng.uniform(*map(math.log, SCALES)))
    middle = rng.uniform(0, (width, height))
    target = _aim(picture, rng) if rng.random() < AIMED else None
    if target is not None:
        column, row, size = target
        if size:  # all of an object whose box is known
            scale = min(scale, 0.9 * TILE / size)
        reach = 0.42 * TILE / scale
        middle = np.array((column, row)) + rng.uniform(-reach, reach, 2)
    sent = rng.random() < SENT
    side = min(TILE / scale, 1.6 * max(height, width))
    middle = [
        min(max(place, side / 2), length - side / 2) if side < length else length / 2
        for place, length in zip(middle, (width, height), strict=True)
    ]
    step = side / TILE
    angle = math.radians(rng.uniform(-TURN, TURN)) if sent else rng.normal(0, 0.04)
    cos, sin = step * math.cos(angle), step * math.sin(angle)
    # Only what the tile can show is worked on.
    reach = side * (abs(math.cos(angle)) + abs(math.sin(angle))) / 2 + 2 * step + 2
    left, top = (max(0, math.floor(place - reach)) for place in middle)
    right, bottom = (math.ceil(place + reach) for place in middle)
    half, column, row = TILE / 2, middle[0] - left, middle[1] - top
    place = (
        *(cos, -sin, column - half * cos + half * sin),
        *(sin, cos, row - half * sin - half * cos),
    )
    shown = Image.fromarray(picture.pixels[top:bottom, left:right])
    pixels = _cut(shown, place, step)
    pixels = _sent(pixels, rng) if sent else _changed(pixels, rng)
    masks = np.zeros((len(OBJECT_CLASSES), TILE, TILE), np.float32)
    if picture.masks is not None:
        bits = picture.masks[top:bottom, left:right]
        for channel in range(len(OBJECT_CLASSES)):
            seen = bits >> channel & 1
            if seen.any():
                masks[channel] = _cut(Image.fromarray(seen * 255), place, step) / 255
    if rng.random() < 0.5:
        pixels, masks = pixels[:, ::-1], masks[:, :, ::-1]
    return (pixels / 127.5 - 1).astype(np.float32), masks.copy()


def _aim(picture: Picture, rng: np.random.Generator) -> tuple[float, float, float] | None:
    """Column and row of an object, and its size where it has a box; None: there is no object."""
    height, width = picture.pixels.shape[:2]
    if picture.boxes:
        x0, y0, x1, y1 = picture.boxes[rng.integers(len(picture.boxes))]
        size = max((x1 - x0) * width, (y1 - y0) * height)
        return (x0 + x1) / 2 * width, (y0 + y1) / 2 * height, size
    if picture.masks is not None:
        rows, columns = np.nonzero(picture.masks)
        if len(rows):
            chosen = rng.integers(len(rows))
            return float(columns[chosen]), float(rows[chosen]), 0.0
    return None


def _cut(picture: Image.Image, place: Sequence[float], step: float) -> Pixels:
    """A tile of a picture by an affine map, of one that was made smaller first where it shrinks."""
    smaller = int(step)
    if smaller > 1:
        picture = picture.reduce(smaller)
        place = [value / smaller for value in place]
    tile = picture.transform(
        (TILE, TILE), Image.Transform.AFFINE, tuple(place), Image.Resampling.BILINEAR
    )
    return np.asarray(tile, np.float32)


def _sent(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Distorted, and coded as it is sent."""
    changes = draw_changes(rng, level=int(rng.integers(2, 4)), width=TILE, height=TILE)
    image = torch.from_numpy(pixels.round().astype(np.uint8).transpose(2, 0, 1))
    return _coded(distorted(image, changes).numpy().transpose(1, 2, 0), 75)


def _changed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Other light, colours, noise and coding."""
    bright = (pixels - 127.5) * rng.uniform(0.7, 1.25) + 127.5 * rng.uniform(0.7, 1.25)
    bright = bright * rng.normal(1, 0.05, 3)
    if rng.random() < 0.15:
        bright = 0.7 * bright.mean(axis=-1, keepdims=True) + 0.3 * bright
    if rng.random() < 0.3:
        bright = bright + rng.normal(0, rng.uniform(1, 10), bright.shape)
    plain = bright.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        return _coded(plain, int(rng.integers(35, 92)))
    return plain.astype(np.float32)


def _coded(pixels: npt.NDArray[np.uint8], quality: int) -> Pixels:
    """After a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.float32)
