"""Frames for benchmarks: drawn street scenes as 720p JPEGs of the size that dashcams write."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 1280, 720


def drawn_frame(seed: int) -> bytes:
    """A 720p JPEG, quality 85, of about 200 kB: sky, road, boxes, cones, sensor grain."""
    random = np.random.default_rng(seed)
    down = np.linspace(0, 1, HEIGHT)[:, None]
    across = np.linspace(0, 1, WIDTH)[None]
    light = 60 + 130 * (1 - down) + 20 * np.sin(7 * across + seed)
    image = Image.fromarray(np.stack([light, light + 8, light + 25], -1).clip(0, 255).astype("u1"))
    draw = ImageDraw.Draw(image)
    draw.polygon([(520, 300), (760, 300), (1280, 720), (0, 720)], fill=(85, 85, 88))
    for _ in range(60):  # houses, cars, windows
        x, y = random.integers(0, WIDTH), random.integers(150, 600)
        w, h = random.integers(8, 160), random.integers(8, 120)
        draw.rectangle((x, y, x + w, y + h), fill=tuple(random.integers(20, 230, 3).tolist()))
    for _ in range(12):  # cones
        x, y, size = random.integers(0, WIDTH), random.integers(350, 680), random.integers(8, 50)
        draw.polygon([(x, y - size), (x - size / 3, y), (x + size / 3, y)], fill=(240, 100, 20))
    grain = random.normal(0, 6, (HEIGHT, WIDTH, 1))
    pixels = (np.asarray(image) + grain).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()
