"""Traffic signs: everyday ones, and those of road works."""

from __future__ import annotations

from collections.abc import Sequence

from workzone.scenes.canvas import Canvas, Colour, rectangle, scaled
from workzone.scenes.solids import disc_outline, limb, pole

ORANGE: Colour = (255, 118, 20)
YELLOW: Colour = (250, 200, 20)
RED: Colour = (200, 24, 32)
WHITE: Colour = (240, 240, 236)
BLACK: Colour = (18, 18, 20)
AMBER: Colour = (255, 186, 60)
_METAL: Colour = (128, 130, 132)
_RETRO = 0.85

Outline = Sequence[tuple[float, float]]

# Pictograms in a square from -1 to 1, height upwards.
DIGGER: tuple[Outline, ...] = (
    [(-0.22, 0.62), (0.0, 0.82), (0.2, 0.62), (0.0, 0.44)],  # head
    [(-0.3, 0.42), (0.0, 0.42), (0.28, 0.0), (-0.1, -0.1), (-0.4, 0.1)],  # trunk
    [(-0.4, 0.12), (-0.12, 0.0), (-0.3, -0.8), (-0.56, -0.8)],  # leg
    [(-0.16, 0.0), (0.14, 0.0), (0.2, -0.8), (-0.04, -0.8)],  # leg
    [(-0.6, 0.5), (-0.5, 0.56), (0.6, -0.52), (0.52, -0.62)],  # shovel
    [(0.4, -0.8), (0.95, -0.8), (0.68, -0.35)],  # heap
)
BEND: tuple[Outline, ...] = (
    [(-0.12, -0.7), (0.12, -0.7), (0.12, -0.05), (0.4, 0.25), (0.25, 0.42), (-0.12, 0.05)],
    [(0.12, 0.5), (0.62, 0.62), (0.5, 0.1)],
)
WALKER: tuple[Outline, ...] = (
    [(-0.12, 0.6), (0.0, 0.76), (0.14, 0.6), (0.0, 0.48)],
    [(-0.16, 0.42), (0.16, 0.42), (0.12, -0.1), (-0.12, -0.1)],
    [(-0.12, -0.1), (0.06, -0.1), (-0.26, -0.75), (-0.42, -0.7)],
    [(-0.06, -0.1), (0.12, -0.1), (0.4, -0.68), (0.26, -0.76)],
)
EXCLAMATION: tuple[Outline, ...] = (
    [(-0.13, 0.6), (0.13, 0.6), (0.08, -0.25), (-0.08, -0.25)],
    [(-0.11, -0.42), (0.11, -0.42), (0.11, -0.64), (-0.11, -0.64)],
)
NARROWS: tuple[Outline, ...] = (
    [(-0.5, -0.7), (-0.34, -0.7), (-0.34, -0.1), (-0.14, 0.2), (-0.14, 0.7), (-0.3, 0.7)],
    [(0.34, -0.7), (0.5, -0.7), (0.3, 0.7), (0.14, 0.7), (0.14, 0.2), (0.34, -0.1)],
)
TEXT: tuple[Outline, ...] = tuple(
    rectangle(u, v, u + length, v + 0.2)
    for v, words in ((0.28, (0.5, 0.42)), (-0.1, (0.62, 0.4)), (-0.48, (0.9,)))
    for u, length in zip(
        (-(sum(words) + 0.12 * (len(words) - 1)) / 2, words[0] / 2 - 0.1), words, strict=False
    )
)
WORK_PICTOGRAMS = (DIGGER, DIGGER, TEXT, NARROWS)
ORDINARY_PICTOGRAMS = (BEND, WALKER, EXCLAMATION, NARROWS)


def draw_diamond(
    canvas: Canvas,
    *,
    x: float,
    z: float,
    size: float,
    height: float,
    colour: Colour,
    pictogram: Sequence[Outline],
    stand: bool,
) -> None:
    """A diamond: orange ones mean road works, yellow ones any other warning.

    ``size`` is half its diagonal and ``height`` its middle's, in metres; with ``stand`` it is on
    folding legs, else on a post.
    """
    _draw_support(canvas, x, z, height - size * 0.8, stand)
    for reach, ink in ((size, BLACK), (size * 0.96, colour)):
        outline = [(0, height - reach), (reach, height), (0, height + reach), (-reach, height)]
        canvas.flat(x, z, outline, ink, retro=_RETRO)
    _draw_pictogram(canvas, x, z, height, size * 0.52, pictogram, BLACK)


def draw_triangle(
    canvas: Canvas,
    *,
    x: float,
    z: float,
    size: float,
    height: float,
    field: Colour,
    pictogram: Sequence[Outline],
    stand: bool,
) -> None:
    """A red-rimmed warning triangle; road works or any other warning, as its pictogram says."""
    _draw_support(canvas, x, z, height - size * 0.5, stand)
    for reach, ink in ((size, RED), (size * 0.68, field)):
        outline = [(-reach * 0.866, height - reach / 2), (reach * 0.866, height - reach / 2)]
        canvas.flat(x, z, [*outline, (0, height + reach)], ink, retro=_RETRO)
    _draw_pictogram(canvas, x, z, height - size * 0.06, size * 0.34, pictogram, BLACK)


def draw_board(
    canvas: Canvas,
    *,
    x: float,
    z: float,
    size: tuple[float, float],
    bottom: float,
    colour: Colour,
    ink: Colour,
    stand: bool,
) -> None:
    """A rectangular sign with three lines of text; ``size`` is its width and height in metres."""
    width, height = size
    _draw_support(canvas, x, z, bottom, stand)
    canvas.flat(x, z, rectangle(-width / 2, bottom, width / 2, bottom + height), ink, retro=_RETRO)
    field = rectangle(-width / 2 + 0.03, bottom + 0.03, width / 2 - 0.03, bottom + height - 0.03)
    canvas.flat(x, z, field, colour, retro=_RETRO)
    for outline in TEXT:
        letters = [(u * width * 0.5, bottom + height * (0.5 + v * 0.5)) for u, v in outline]
        canvas.flat(x, z, letters, ink, retro=_RETRO)


def draw_disc(
    canvas: Canvas,
    *,
    x: float,
    z: float,
    size: float,
    height: float,
    rim: Colour,
    field: Colour,
    corners: int = 20,
) -> None:
    """A round sign, such as a speed limit; with eight corners a stop sign."""
    _draw_support(canvas, x, z, height, stand=False)
    canvas.flat(x, z, disc_outline(size, height, corners), rim, retro=_RETRO)
    inner = disc_outline(size * (0.94 if corners == 8 else 0.78), height, corners)
    canvas.flat(x, z, inner, field, retro=_RETRO)
    ink = WHITE if field in (RED, (24, 70, 160)) else BLACK
    for dx in (-0.5, -0.14, 0.22):
        letter = rectangle(
            dx * size, height - 0.25 * size, (dx + 0.26) * size, height + 0.25 * size
        )
        canvas.flat(x, z, letter, ink, retro=_RETRO)


def draw_arrow_board(canvas: Canvas, *, x: float, z: float, left: bool) -> None:
    """A trailer with a panel of lamps that form an arrow."""
    canvas.shadow(x - 1, x + 1, z - 0.2, z + 2)
    for side in (-0.7, 0.7):
        canvas.flat(x + side, z, rectangle(-0.12, 0, 0.12, 0.5), (24, 24, 26))
    canvas.flat(x, z, rectangle(-0.9, 0.4, 0.9, 0.75), ORANGE)
    for side in (-0.6, 0.6):
        limb(canvas, x, z, (side, 0.7), (side, 1.6), 0.09, _METAL)
    canvas.flat(x, z, rectangle(-1.2, 1.5, 1.2, 2.8), (26, 26, 24))
    way = -1 if left else 1
    spots = [(step * 0.22, 2.15) for step in range(-4, 5)]
    spots += [(0.88 - step * 0.2, 2.15 + side * step * 0.17) for step in (1, 2) for side in (-1, 1)]
    for dx, y in spots:
        canvas.ball(x + way * dx, y, z, 0.085, AMBER, shining=True)
    canvas.lamp(x, 2.15, z, 1.1, (160, 92, 20))


def draw_message_board(canvas: Canvas, *, x: float, z: float) -> None:
    """A trailer with lines of amber text."""
    canvas.shadow(x - 1, x + 1, z - 0.2, z + 2)
    canvas.flat(x, z, rectangle(-0.8, 0.35, 0.8, 0.8), ORANGE)
    limb(canvas, x, z, (0, 0.7), (0, 1.7), 0.16, _METAL)
    canvas.flat(x, z, rectangle(-1.5, 1.6, 1.5, 3.0), (24, 24, 22))
    for line, words in enumerate(((0.7, 0.5), (1.0,), (0.5, 0.9))):
        start = -1.2
        for word in words:
            y = 2.66 - line * 0.42
            canvas.flat(x, z, rectangle(start, y, start + word * 1.2, y + 0.2), AMBER, shining=True)
            start += word * 1.2 + 0.2


def draw_traffic_light(canvas: Canvas, *, x: float, z: float, state: int) -> None:
    """A traffic light on a post; ``state`` 0 red, 1 amber, 2 green."""
    pole(canvas, x, z, 2.6, 0.12, (70, 72, 74))
    canvas.flat(x, z, rectangle(-0.18, 2.3, 0.18, 3.3), (22, 24, 22))
    shining: tuple[Colour, ...] = ((255, 40, 30), (255, 170, 30), (60, 240, 130))
    for index, colour in enumerate(shining):
        on, y = index == state, 3.12 - index * 0.32
        ink = colour if on else scaled(colour, 0.25)
        canvas.ball(x, y, z, 0.12, ink, shining=on)
        if on:
            canvas.lamp(x, y, z, 0.5, colour)


def _draw_support(canvas: Canvas, x: float, z: float, height: float, stand: bool) -> None:
    if not stand:
        pole(canvas, x, z, height + 0.1, 0.08, _METAL)
        return
    for side in (-0.4, 0.4):
        limb(canvas, x, z, (0, max(0.3, height * 0.7)), (side, 0), 0.06, (60, 60, 62))
    pole(canvas, x, z, max(height, 0.2) + 0.1, 0.07, (60, 60, 62))


def _draw_pictogram(
    canvas: Canvas,
    x: float,
    z: float,
    height: float,
    size: float,
    parts: Sequence[Outline],
    ink: Colour,
) -> None:
    for outline in parts:
        canvas.flat(x, z, [(u * size, height + v * size) for u, v in outline], ink)
