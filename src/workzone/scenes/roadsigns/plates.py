"""From a drawing to the plate that stands in the street: colours, backing, dirt and light on it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from workzone.scenes.roadsigns.drawings import Drawing

Pixels = npt.NDArray[np.float32]

WHITE, YELLOW, ORANGE = (255.0, 255.0, 255.0), (255.0, 205.0, 0.0), (250.0, 120.0, 20.0)
_BOARDS = ((205, 235, 20), (250, 205, 20), (240, 240, 240), (120, 124, 128), (30, 30, 32))
"""Colours of backing boards: fluorescent, yellow, white, grey, black."""
_LEGENDS = ((245, 245, 245), (250, 205, 20), (245, 130, 30), (30, 70, 150))
"""Fields of the plates below a sign."""
_DIRT = (112, 98, 80)
_STICKERS = ((235, 235, 235), (30, 30, 32), (190, 40, 40), (40, 80, 170), (40, 130, 70))


def make_plate(drawing: Drawing, rng: np.random.Generator, wear: np.random.Generator) -> Pixels:
    """A sign as it stands in the street, seen from the front.

    Args:
        drawing: its face.
        rng: of the face: colours, mirrored or not, how the figure is drawn.
        wear: of what is around it and on it: board, legend, dirt, stickers, shade, glare.

    Returns:
        ``[h, w, 4]``, 0..255: colours, and how much of a pixel is covered.
    """
    face = np.asarray(drawing.face(), np.float32)
    if rng.random() < 0.3 and drawing.shape != "other":  # of others many have words
        face = face[:, ::-1]
    face = _warped(recoloured(face, drawing, rng), rng)
    plate = _with_legend(_with_board(face, wear), wear)
    return _lit(_worn(plate, wear), wear)


def recoloured(face: Pixels, drawing: Drawing, rng: np.random.Generator) -> Pixels:
    """White fields of triangles become yellow ones and back, as countries differ."""
    turn = rng.random()
    if drawing.shape == "triangle" and turn < 0.35:
        white = _whiteness(face).mean() > _yellowness(face).mean()
        return _turned(face, WHITE, YELLOW) if white else _turned(face, YELLOW, WHITE)
    if drawing.shape == "diamond" and drawing.label == 1 and turn < 0.35:
        return _turned(face, YELLOW, ORANGE)
    return face


def _turned(
    face: Pixels, old: tuple[float, float, float], new: tuple[float, float, float]
) -> Pixels:
    """One colour for another; mixtures with black, as at edges, turn by their share of it."""
    share = _whiteness(face) if old == WHITE else _yellowness(face)
    result = face.copy()
    result[..., :3] += share[..., None] * (np.array(new, np.float32) - np.array(old, np.float32))
    clipped: Pixels = result.clip(0, 255)
    return clipped


def _whiteness(face: Pixels) -> Pixels:
    share: Pixels = face[..., :3].min(axis=-1) / np.float32(255)
    return share


def _yellowness(face: Pixels) -> Pixels:
    least = np.minimum(face[..., 0], face[..., 1]) - face[..., 2]
    share: Pixels = (least / np.float32(YELLOW[1])).clip(0, 1)
    return share


def _warped(face: Pixels, rng: np.random.Generator) -> Pixels:
    """The figure drawn by another hand: pulled about by some hundredths of its size."""
    height, width = face.shape[:2]
    reach = rng.uniform(0, 0.018) * max(height, width)
    down, across = (_field(rng, (height, width), cells=4) * reach for _ in range(2))
    rows = np.clip(np.arange(height)[:, None] + down, 0, height - 1).astype(np.int32)
    columns = np.clip(np.arange(width)[None] + across, 0, width - 1).astype(np.int32)
    warped: Pixels = face[rows, columns]
    return warped


def _with_board(face: Pixels, rng: np.random.Generator) -> Pixels:
    """On some, a board behind the sign."""
    if rng.random() >= 0.15:
        return face
    height, width = face.shape[:2]
    margin = int(max(height, width) * rng.uniform(0.04, 0.16))
    board = Image.new("RGBA", (width + 2 * margin, height + 2 * margin))
    colour = _BOARDS[int(rng.integers(len(_BOARDS)))]
    around = (0, 0, board.width - 1, board.height - 1)
    ImageDraw.Draw(board).rounded_rectangle(around, radius=margin, fill=(*colour, 255))
    sign = Image.fromarray(face.astype(np.uint8))
    board.alpha_composite(sign, (margin, margin))
    return np.asarray(board, np.float32)


def _with_legend(plate: Pixels, rng: np.random.Generator) -> Pixels:
    """On some, a plate below with a line or two of what is too small to read."""
    if rng.random() >= 0.25:
        return plate
    height, width = plate.shape[:2]
    high, gap = int(height * rng.uniform(0.2, 0.38)), int(height * 0.03)
    field = _LEGENDS[int(rng.integers(len(_LEGENDS)))]
    ink = (240, 240, 240) if sum(field) < 300 else (20, 20, 22)
    legend = Image.new("RGB", (width, high), ink)
    pen = ImageDraw.Draw(legend)
    rim = max(1, width // 50)
    pen.rectangle((rim, rim, width - 1 - rim, high - 1 - rim), fill=field)
    lines = int(rng.integers(1, 3))
    for line in range(lines):
        left, top = width * rng.uniform(0.1, 0.25), high * (0.18 + line * 0.8 / lines)
        foot = top + high * 0.5 / lines
        while left < width * 0.85:
            right = left + width * rng.uniform(0.02, 0.09)
            pen.rectangle((left, top, min(right, width * 0.88), foot), fill=ink)
            left = right + width * rng.uniform(0.01, 0.06)
    below = np.zeros((gap + high, width, 4), np.float32)
    below[gap:] = np.dstack([np.asarray(legend), np.full((high, width), 255)])
    return np.concatenate([plate, below])


def _worn(plate: Pixels, rng: np.random.Generator) -> Pixels:
    """Faded, dirty, scratched, with stickers."""
    height, width = plate.shape[:2]
    colour = plate[..., :3]
    grey = colour.mean(axis=-1, keepdims=True)
    faded = 0.5 * grey + np.float32(0.5 * 225)
    fading = np.float32(max(0.0, rng.normal(0.08, 0.16)))
    colour = colour + (faded - colour) * min(fading, np.float32(0.6))
    painted = Image.fromarray(colour.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(painted)
    if rng.random() < 0.2:
        for _ in range(int(rng.integers(1, 3))):
            side, (x, y) = width * rng.uniform(0.04, 0.16), rng.uniform(0, (width, height))
            around = (x, y, x + side, y + side * rng.uniform(0.5, 1.5))
            ink = _STICKERS[int(rng.integers(len(_STICKERS)))]
            (pen.rectangle if rng.random() < 0.6 else pen.ellipse)(around, fill=ink)
    if rng.random() < 0.15:
        for _ in range(int(rng.integers(1, 6))):
            ends = rng.uniform(0, (width, height), (2, 2))
            ink = _STICKERS[int(rng.integers(len(_STICKERS)))]
            pen.line([tuple(end) for end in ends], fill=ink, width=max(1, width // 90))
    colour = np.asarray(painted, np.float32)
    dirt = np.clip(_field(rng, (height, width), cells=6) * 0.6 + rng.uniform(-0.8, 0.5), 0, 0.6)
    dirt = dirt[..., None] * np.linspace(0.5, 1, height, dtype=np.float32)[:, None, None]
    colour = colour + (np.array(_DIRT, np.float32) - colour) * dirt.astype(np.float32)
    return np.concatenate([colour, plate[..., 3:]], axis=-1)


def _lit(plate: Pixels, rng: np.random.Generator) -> Pixels:
    """Light falls unevenly: from one side, through leaves, or with glare."""
    height, width = plate.shape[:2]
    colour = plate[..., :3]
    lean = rng.normal(0, 0.1, 2)
    ramp = 1 + lean[0] * np.linspace(-1, 1, height)[:, None] + lean[1] * np.linspace(-1, 1, width)
    light = ramp.astype(np.float32)
    if rng.random() < 0.2:  # leaves, a pole's shadow
        edge = np.clip(_field(rng, (height, width), cells=5) * 6 + rng.normal(0, 2), 0, 1)
        light = light * (1 - edge * np.float32(rng.uniform(0.25, 0.6)))
    colour = colour * light[..., None]
    if rng.random() < 0.1:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        row, column = rng.uniform(0, (height, width))
        reach = rng.uniform(0.2, 0.6) * width
        spot = np.exp(-((x - column) ** 2 + (y - row) ** 2) / reach**2) * rng.uniform(0.3, 0.9)
        colour = colour + (255 - colour) * spot[..., None].astype(np.float32)
    return np.concatenate([colour, plate[..., 3:]], axis=-1)


def _field(rng: np.random.Generator, size: tuple[int, int], *, cells: int) -> Pixels:
    """Smooth noise ``[h, w]`` of about -1..1, of so many bumps a side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells), np.float32))
    smooth = coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)
