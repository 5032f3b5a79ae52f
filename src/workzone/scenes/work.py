"""Barriers and machines of a work zone."""

from __future__ import annotations

import math

from workzone.scenes.camera import Point
from workzone.scenes.canvas import Canvas, Colour, Quad, rectangle, scaled
from workzone.scenes.markers import BLACK, ORANGE, RED, WHITE, draw_warning_lamp
from workzone.scenes.solids import Slab, box, limb, pole, prism, stripes

MACHINE_COLOURS: tuple[Colour, ...] = (
    (246, 186, 30),
    (250, 140, 24),
    (232, 200, 60),
    (90, 140, 70),
)
_STEEL: Colour = (74, 76, 80)


def draw_barricade(
    canvas: Canvas, *, x: float, z: float, width: float, boards: int, red: bool, lamps: bool
) -> None:
    """Striped boards on two legs; three boards close a road, one or two a pavement."""
    colour = RED if red else ORANGE
    top = 0.55 + 0.45 * boards
    canvas.shadow(x - width / 2, x + width / 2, z, z + 0.5, 0.7)
    for side in (-0.4, 0.4):
        limb(canvas, x, z, (side * width, 0), (side * width, top - 0.1), 0.07, _STEEL)
        canvas.flat(x + side * width, z, rectangle(-0.25, 0, 0.25, 0.08), BLACK)
    for index in range(boards):
        low = top - 0.22 - index * 0.42
        quad: Quad = (
            (x - width / 2, low, z),
            (x + width / 2, low, z),
            (x + width / 2, low + 0.24, z),
            (x - width / 2, low + 0.24, z),
        )
        canvas.face(quad, WHITE, retro=0.7)
        stripes(canvas, quad, colour, count=max(3, round(width / 0.4)), slant=0.6)
    if lamps:
        for side in (-0.4, 0.4):
            draw_warning_lamp(canvas, x + side * width, top + 0.12, z)


def draw_a_frame(
    canvas: Canvas, *, x: float, z: float, width: float, boards: int, red: bool, turn: float
) -> None:
    """An A-frame barricade: one or two striped boards on legs that lean against each other.

    ``turn``: radians that it is turned by, so that the A of its legs shows.
    """
    sin, cos = math.sin(turn), math.cos(turn)
    height, spread = 1.05, 0.34  # metres, the latter from the ridge to a foot

    def at(across: float, y: float, behind: float) -> Point:
        return x + across * cos - behind * sin, y, z + spread + across * sin + behind * cos

    def leg(across: float, side: int) -> None:
        foot, top = side * spread, side * 0.03
        canvas.face(
            [
                at(across, 0, foot - 0.05),
                at(across, 0, foot + 0.05),
                at(across, height, top + 0.05),
                at(across, height, top - 0.05),
            ],
            WHITE,
        )
        canvas.face(
            [
                at(across - 0.05, 0, foot),
                at(across + 0.05, 0, foot),
                at(across + 0.05, height, top),
                at(across - 0.05, height, top),
            ],
            scaled(WHITE, 0.8),
        )

    canvas.shadow(x - width / 2, x + width / 2, z, z + 2 * spread, 0.7)
    half = width / 2
    for side in (1, -1):
        for across in (-half + 0.08, half - 0.08):
            leg(across, side)
    for index in range(boards):
        low, high = 0.74 - index * 0.4, 1.0 - index * 0.4

        def front(y: float) -> float:
            return -spread * (1 - y / height) - 0.06

        quad: Quad = (
            at(-half, low, front(low)),
            at(half, low, front(low)),
            at(half, high, front(high)),
            at(-half, high, front(high)),
        )
        canvas.face(quad, WHITE, retro=0.7)
        stripes(canvas, quad, RED if red else ORANGE, count=max(3, round(width / 0.3)), slant=0.8)


def draw_barrier_board(canvas: Canvas, *, x: float, z: float, width: float, lamps: bool) -> None:
    """A red and white board on two feet, as it closes European roads, over a low one for canes."""
    canvas.shadow(x - width / 2, x + width / 2, z, z + 0.5, 0.7)
    for side in (-0.36, 0.36):
        foot = x + side * width
        box(canvas, x=foot, z=z - 0.3, width=0.34, length=0.8, bottom=0, top=0.11, colour=BLACK)
        canvas.flat(foot, z, rectangle(-0.03, 0.1, 0.03, 1.06), _STEEL)
    for low, high in ((0.2, 0.32), (0.82, 1.07)):
        quad: Quad = (
            (x - width / 2, low, z),
            (x + width / 2, low, z),
            (x + width / 2, high, z),
            (x - width / 2, high, z),
        )
        canvas.face(quad, WHITE, retro=0.7)
        stripes(canvas, quad, RED, count=max(3, round(width / 0.5)), slant=0.0)
    if lamps:
        for side in (-0.44, 0.0, 0.44):
            draw_warning_lamp(canvas, x + side * width, 1.24, z)


def draw_plastic_barrier(
    canvas: Canvas, *, x: float, z: float, width: float, length: float, colour: Colour
) -> None:
    """A water-filled barrier element: broad foot, narrow top, dark slots."""
    canvas.shadow(x - width / 2, x + width / 2 + 0.2, z, z + length + 0.2, 0.8)
    taper = min(width, length) * 0.22
    base = Slab(x - width / 2, x + width / 2, z, z + length, 0)
    top = Slab(base.x0 + taper / 2, base.x1 - taper / 2, z + taper, z + length - taper, 0.95)
    faces = prism(canvas, base, top, colour, retro=0.2)
    canvas.decal(faces.front, rectangle(0.1, 0.0, 0.3, 0.1), scaled(colour, 0.35))
    canvas.decal(faces.front, rectangle(0.7, 0.0, 0.9, 0.1), scaled(colour, 0.35))
    canvas.decal(faces.front, rectangle(0.0, 0.5, 1.0, 0.55), scaled(colour, 0.7))
    if faces.side:
        canvas.decal(faces.side, rectangle(0.0, 0.5, 1.0, 0.55), scaled(colour, 0.5))


def draw_concrete_barrier(canvas: Canvas, *, x: float, z: float, length: float) -> None:
    """A temporary concrete barrier along the road, with a reflector on top."""
    base = Slab(x - 0.3, x + 0.3, z, z + length - 0.06, 0)
    top = Slab(x - 0.1, x + 0.1, z, z + length - 0.06, 0.82)
    prism(canvas, base, top, (176, 172, 164))
    canvas.flat(x, z, rectangle(-0.07, 0.82, 0.07, 0.96), ORANGE, retro=0.9)


def draw_fence(canvas: Canvas, *, x: float, z: float, length: float, mesh: bool) -> None:
    """A field of fence along the road: orange plastic mesh, or a steel frame with red boards."""
    height = 1.1 if mesh else 1.0
    quad: Quad = ((x, 0.1, z), (x, 0.1, z + length), (x, height, z + length), (x, height, z))
    if mesh:
        canvas.face(quad, (250, 110, 36))
        for step in range(1, 6):
            canvas.decal(quad, rectangle(0, step / 6, 1, step / 6 + 0.03), (190, 74, 22))
        for step in range(1, 9):
            canvas.decal(quad, rectangle(step / 9, 0, step / 9 + 0.012, 1), (190, 74, 22))
    else:
        for low, high in ((0.82, 1.0), (0.2, 0.36)):
            canvas.decal(quad, rectangle(0, low, 1, high), WHITE, retro=0.5)
            board: Quad = (
                (x, 0.1 + (height - 0.1) * low, z),
                (x, 0.1 + (height - 0.1) * low, z + length),
                (x, 0.1 + (height - 0.1) * high, z + length),
                (x, 0.1 + (height - 0.1) * high, z),
            )
            stripes(canvas, board, RED, count=max(3, round(length / 0.5)), slant=0.0)
    pole(canvas, x, z, height, 0.06, _STEEL)


def draw_excavator(canvas: Canvas, *, x: float, z: float, colour: Colour, facing: int) -> None:
    """An excavator: tracks, a turning house with its cab, boom, arm and bucket."""
    canvas.shadow(x - 1.6, x + 1.6, z - 0.2, z + 3.6)
    for side in (-1.0, 1.0):
        box(canvas, x=x + side, z=z, width=0.6, length=3.4, bottom=0.0, top=0.8, colour=BLACK)
    house = box(canvas, x=x, z=z + 0.3, width=2.3, length=2.8, bottom=0.9, top=1.9, colour=colour)
    canvas.decal(house.front, rectangle(0.1, 0.2, 0.9, 0.7), scaled(colour, 0.6))
    cab = box(
        canvas,
        x=x - 0.55 * facing,
        z=z + 0.5,
        width=1.0,
        length=1.6,
        bottom=1.9,
        top=2.9,
        colour=colour,
    )
    canvas.decal(cab.front, rectangle(0.1, 0.12, 0.9, 0.9), (50, 60, 70))
    front = z + 0.2
    shoulder, elbow, wrist = (0.5, 1.8), (2.1, 4.3), (3.9, 2.7)
    joints = [(u * facing, v) for u, v in (shoulder, elbow, wrist, (4.1, 1.3))]
    limb(canvas, x, front, joints[0], joints[1], 0.42, colour)
    limb(canvas, x, front, joints[1], joints[2], 0.34, scaled(colour, 0.9))
    limb(canvas, x, front, joints[2], joints[3], 0.26, scaled(colour, 0.8))
    bucket = [(3.7, 1.5), (4.5, 1.4), (4.4, 0.7), (3.9, 0.4), (3.4, 0.8)]
    canvas.flat(x, front, [(u * facing, v) for u, v in bucket], _STEEL)


def draw_roller(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A road roller seen from behind: a steel drum below a roofed seat."""
    canvas.shadow(x - 1, x + 1, z - 0.2, z + 2.8)
    box(canvas, x=x, z=z + 0.6, width=1.4, length=2.0, bottom=0.5, top=1.25, colour=colour)
    canvas.flat(x, z, rectangle(-0.8, 0.02, 0.8, 0.85), (112, 114, 118))
    canvas.flat(x, z, rectangle(-0.8, 0.3, 0.8, 0.5), (150, 152, 156))
    canvas.flat(x, z, [(-0.7, 0.85), (0.7, 0.85), (0.6, 1.25), (-0.6, 1.25)], colour)
    for side in (-0.6, 0.6):
        limb(canvas, x, z + 0.4, (side, 1.2), (side, 2.3), 0.07, BLACK)
    box(canvas, x=x, z=z + 0.3, width=1.5, length=1.8, bottom=2.3, top=2.42, colour=colour)


def draw_paver(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A paver seen from behind: the broad screed on the ground, controls, a roof, the hopper."""
    canvas.shadow(x - 1.7, x + 1.7, z - 0.2, z + 6)
    hopper = Slab(x - 1.2, x + 1.2, z + 4.4, z + 6, 0.5)
    prism(canvas, hopper, Slab(x - 1.6, x + 1.6, z + 4.4, z + 6, 1.5), scaled(colour, 0.85))
    for side in (-1.0, 1.0):
        box(canvas, x=x + side, z=z + 1.1, width=0.4, length=3, bottom=0, top=0.75, colour=BLACK)
    body = box(canvas, x=x, z=z + 1, width=2.3, length=3.4, bottom=0.6, top=1.75, colour=colour)
    for u in (0.08, 0.56):
        canvas.decal(body.front, rectangle(u, 0.12, u + 0.36, 0.8), scaled(colour, 0.5))
    if body.side:
        canvas.decal(body.side, rectangle(0.3, 0.25, 0.9, 0.75), scaled(colour, 0.5))
    for side in (-0.7, 0.7):
        box(
            canvas,
            x=x + side,
            z=z + 1.2,
            width=0.5,
            length=0.5,
            bottom=1.75,
            top=2.25,
            colour=(44, 44, 48),
        )
        limb(canvas, x + side, z + 2.6, (0.3, 1.7), (0.3, 3.0), 0.07, _STEEL)
        limb(canvas, x + side, z + 1.1, (-0.3, 1.7), (-0.3, 3.0), 0.07, _STEEL)
    box(canvas, x=x, z=z + 0.9, width=2.4, length=2.2, bottom=2.95, top=3.1, colour=colour)
    limb(canvas, x, z + 0.9, (-1.0, 1.1), (-1.3, 0.4), 0.16, scaled(colour, 0.8))
    limb(canvas, x, z + 0.9, (1.0, 1.1), (1.3, 0.4), 0.16, scaled(colour, 0.8))
    box(canvas, x=x, z=z, width=3.2, length=0.9, bottom=0.03, top=0.5, colour=_STEEL)
    edge: Quad = ((x - 1.6, 0.34, z), (x + 1.6, 0.34, z), (x + 1.6, 0.48, z), (x - 1.6, 0.48, z))
    canvas.face(edge, (236, 196, 30), retro=0.4)
    stripes(canvas, edge, BLACK, count=12, slant=0.6, retro=0.1)
    for side in (-1.45, 1.45):
        box(canvas, x=x + side, z=z, width=0.3, length=0.4, bottom=0.5, top=0.62, colour=colour)
        limb(canvas, x + side, z, (0, 0.6), (0, 1.15), 0.05, _STEEL)
        canvas.flat(x + side, z, rectangle(-0.14, 1.05, 0.14, 1.3), (44, 44, 48))


def draw_compressor(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A compressor on a trailer."""
    canvas.shadow(x - 0.8, x + 0.8, z - 0.2, z + 2.2)
    for side in (-0.7, 0.7):
        canvas.flat(x + side, z, rectangle(-0.1, 0, 0.1, 0.5), BLACK)
    faces = box(canvas, x=x, z=z, width=1.4, length=2.0, bottom=0.4, top=1.35, colour=colour)
    canvas.decal(faces.front, rectangle(0.12, 0.3, 0.88, 0.75), _STEEL)
    canvas.decal(faces.front, rectangle(0.05, 0.05, 0.2, 0.2), RED, retro=0.8)
    canvas.decal(faces.front, rectangle(0.8, 0.05, 0.95, 0.2), RED, retro=0.8)


def draw_light_tower(canvas: Canvas, *, x: float, z: float, lit: bool) -> None:
    """Floodlights on a mast over a small generator."""
    box(canvas, x=x, z=z, width=1.1, length=1.6, bottom=0.3, top=1.2, colour=(238, 190, 40))
    pole(canvas, x, z, 5.2, 0.12, _STEEL)
    for dx in (-0.55, -0.2, 0.2, 0.55):
        lamp = rectangle(dx - 0.14, 4.9, dx + 0.14, 5.3)
        canvas.flat(x, z, lamp, (255, 250, 230) if lit else (190, 190, 186), shining=lit)
    if lit:
        canvas.lamp(x, 5.1, z, 3.0, (235, 235, 220))


def draw_heap(canvas: Canvas, *, x: float, z: float, width: float, colour: Colour) -> None:
    """Dug-out earth or gravel."""
    half, top = width / 2, width * 0.32
    slope = [(-half, 0), (-half * 0.5, top * 0.75), (-half * 0.1, top), (half * 0.45, top * 0.6)]
    canvas.flat(x, z + 0.5, [*slope, (half, 0)], colour)
    canvas.flat(
        x, z + 0.4, [(0, top * 0.98), (half * 0.45, top * 0.6), (half, 0)], scaled(colour, 0.75)
    )
