"""Ordinary vehicles and those of a work crew."""

from __future__ import annotations

from workzone.scenes.canvas import Canvas, Colour, rectangle, scaled
from workzone.scenes.solids import Faces, Slab, box, prism, stripes, wheel

CAR_COLOURS: tuple[Colour, ...] = (
    (232, 232, 230),
    (24, 25, 28),
    (120, 124, 130),
    (176, 180, 184),
    (150, 28, 30),
    (34, 62, 120),
    (58, 74, 60),
    (190, 176, 150),
)
WARM_COLOURS: tuple[Colour, ...] = ((240, 104, 22), (250, 130, 20), (244, 186, 32), (214, 66, 28))
EMERGENCY_COLOURS: tuple[tuple[Colour, Colour], ...] = (
    ((240, 240, 240), (30, 70, 180)),
    ((236, 232, 80), (40, 140, 60)),
    ((240, 240, 240), (235, 90, 30)),
    ((196, 24, 28), (230, 220, 60)),
    ((30, 34, 44), (236, 236, 236)),
)
"""Of the body, and of the stripe on it."""
WORK_COLOURS: tuple[Colour, ...] = (
    (244, 126, 24),
    (250, 178, 30),
    (236, 236, 232),
    (238, 196, 40),
    (70, 96, 130),
)
AMBER: Colour = (255, 176, 40)
_GLASS: Colour = (38, 46, 56)


def draw_car(
    canvas: Canvas, *, x: float, z: float, colour: Colour, oncoming: bool = False, lit: bool = False
) -> None:
    """A saloon seen from behind, or from the front where ``oncoming``."""
    _draw_passenger_car(canvas, x, z, colour, (1.78, 4.4, 0.92, 1.45), 1.0, 0.9, oncoming, lit)


def draw_suv(
    canvas: Canvas, *, x: float, z: float, colour: Colour, oncoming: bool = False, lit: bool = False
) -> None:
    """A taller car with a steep back."""
    _draw_passenger_car(canvas, x, z, colour, (1.9, 4.6, 1.05, 1.75), 0.25, 1.1, oncoming, lit)


def draw_van(
    canvas: Canvas, *, x: float, z: float, colour: Colour, oncoming: bool = False, lit: bool = False
) -> None:
    """A delivery van: one tall box, two doors at the back."""
    canvas.shadow(x - 1.1, x + 1.1, z - 0.3, z + 5.4)
    _draw_rear_wheels(canvas, x, z, 2.0)
    faces = box(canvas, x=x, z=z, width=2.0, length=5.2, bottom=0.35, top=2.45, colour=colour)
    _draw_side_wheels(canvas, faces, z, 5.2, 0.36)
    canvas.decal(faces.front, rectangle(0.08, 0.55, 0.46, 0.86), _GLASS)
    canvas.decal(faces.front, rectangle(0.54, 0.55, 0.92, 0.86), _GLASS)
    canvas.decal(faces.front, rectangle(0.49, 0.06, 0.51, 0.95), scaled(colour, 0.6))
    if faces.side:
        cab = rectangle(0.06, 0.5, 0.24, 0.86) if x > 0 else rectangle(0.76, 0.5, 0.94, 0.86)
        canvas.decal(faces.side, cab, _GLASS)
    _draw_lights(canvas, faces, x, z, 0.75, oncoming, lit)


def draw_emergency_vehicle(
    canvas: Canvas, *, x: float, z: float, colours: tuple[Colour, Colour], lit: bool
) -> None:
    """Police car, ambulance or fire engine: a van with a bright stripe and blue lights."""
    body, stripe = colours
    draw_van(canvas, x=x, z=z, colour=body, lit=lit)
    canvas.flat(x, z, rectangle(-0.98, 0.95, 0.98, 1.25), stripe, retro=0.6)
    for step in range(5):
        left = -0.94 + 0.4 * step
        canvas.flat(
            x, z, [(left, 0.45), (left + 0.2, 0.45), (left + 0.3, 0.9), (left + 0.1, 0.9)], stripe
        )
    for side in (-0.7, 0.0, 0.7):
        canvas.flat(x, z, rectangle(side - 0.2, 2.45, side + 0.2, 2.6), (30, 60, 200), shining=lit)
        if lit:
            canvas.lamp(x + side, 2.52, z, 0.7, (60, 90, 255))


def draw_bus(
    canvas: Canvas, *, x: float, z: float, colour: Colour, oncoming: bool = False, lit: bool = False
) -> None:
    """A city or school bus with a lit destination sign."""
    canvas.shadow(x - 1.4, x + 1.4, z - 0.3, z + 11)
    _draw_rear_wheels(canvas, x, z, 2.5)
    faces = box(canvas, x=x, z=z, width=2.5, length=11, bottom=0.35, top=3.1, colour=colour)
    _draw_side_wheels(canvas, faces, z, 11, 0.48)
    canvas.decal(faces.front, rectangle(0.08, 0.45, 0.92, 0.8), _GLASS)
    canvas.decal(faces.front, rectangle(0.2, 0.85, 0.8, 0.96), (24, 24, 24))
    canvas.decal(faces.front, rectangle(0.3, 0.88, 0.7, 0.93), AMBER, shining=True)
    if faces.side:
        for index in range(7):
            pane = rectangle(0.04 + index * 0.135, 0.48, 0.15 + index * 0.135, 0.84)
            canvas.decal(faces.side, pane, _GLASS)
    _draw_lights(canvas, faces, x, z, 0.8, oncoming, lit)


def draw_lorry(
    canvas: Canvas, *, x: float, z: float, colour: Colour, oncoming: bool = False, lit: bool = False
) -> None:
    """A lorry with a plain box body."""
    canvas.shadow(x - 1.4, x + 1.4, z - 0.3, z + 9)
    _draw_rear_wheels(canvas, x, z, 2.4)
    faces = box(canvas, x=x, z=z, width=2.5, length=7.5, bottom=0.95, top=3.7, colour=colour)
    _draw_side_wheels(canvas, faces, z, 8.6, 0.5)
    canvas.decal(faces.front, rectangle(0.49, 0.03, 0.51, 0.97), scaled(colour, 0.7))
    canvas.decal(faces.front, rectangle(0.03, 0.9, 0.97, 0.93), scaled(colour, 0.75))
    _draw_lights(canvas, faces, x, z, 0.98, oncoming, lit)


def draw_motorcycle(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A scooter with its rider, seen from behind."""
    canvas.flat(x, z, rectangle(-0.08, 0, 0.08, 0.6), (24, 24, 26))
    canvas.flat(x, z, rectangle(-0.2, 0.5, 0.2, 0.95), (60, 62, 66))
    canvas.flat(x, z, [(-0.22, 0.85), (0.22, 0.85), (0.26, 1.4), (-0.26, 1.4)], colour)
    canvas.ball(x, 1.58, z, 0.15, (30, 30, 34))
    canvas.flat(x, z, rectangle(-0.07, 0.68, 0.07, 0.76), (220, 30, 30), shining=True)


def draw_tipper(canvas: Canvas, *, x: float, z: float, colour: Colour, lit: bool) -> None:
    """A tipper of a road crew: chevrons on its tailgate and a beacon on its cab."""
    canvas.shadow(x - 1.4, x + 1.4, z - 0.3, z + 7.5)
    _draw_rear_wheels(canvas, x, z, 2.4)
    box(canvas, x=x, z=z + 4.8, width=2.2, length=1.9, bottom=0.6, top=2.75, colour=colour)
    low, high = Slab(x - 1.15, x + 1.15, z, z + 4.5, 0.95), Slab(x - 1.2, x + 1.2, z, z + 4.5, 2.2)
    faces = prism(canvas, low, high, scaled(colour, 0.92))
    _draw_side_wheels(canvas, faces, z, 6.6, 0.5)
    for step in (0.2, 0.4, 0.6, 0.8):
        if faces.side:
            canvas.decal(faces.side, rectangle(step, 0.02, step + 0.02, 1), scaled(colour, 0.55))
    _draw_chevrons(canvas, faces)
    _draw_lights(canvas, faces, x, z, 0.98, oncoming=False, lit=lit)
    _draw_beacon(canvas, x, 2.75, z + 5.2)


def draw_service_truck(canvas: Canvas, *, x: float, z: float, colour: Colour, lit: bool) -> None:
    """A pick-up of a road crew with tools on its bed and a light bar."""
    canvas.shadow(x - 1.2, x + 1.2, z - 0.3, z + 5.6)
    _draw_rear_wheels(canvas, x, z, 2.0)
    cab = box(canvas, x=x, z=z + 2.2, width=1.85, length=1.9, bottom=0.5, top=1.95, colour=colour)
    canvas.decal(cab.front, rectangle(0.1, 0.62, 0.9, 0.92), _GLASS)
    box(canvas, x=x, z=z + 1.0, width=1.5, length=1.0, bottom=1.0, top=1.5, colour=(96, 92, 86))
    faces = box(canvas, x=x, z=z, width=1.95, length=5.3, bottom=0.45, top=1.1, colour=colour)
    _draw_side_wheels(canvas, faces, z, 5.3, 0.38)
    _draw_chevrons(canvas, faces)
    _draw_lights(canvas, faces, x, z, 0.7, oncoming=False, lit=lit)
    _draw_beacon(canvas, x, 1.95, z + 2.6)


def _draw_chevrons(canvas: Canvas, faces: Faces) -> None:
    canvas.decal(faces.front, rectangle(0.02, 0.08, 0.98, 0.86), (236, 196, 30), retro=0.5)
    stripes(canvas, faces.front, (196, 36, 30), count=4, slant=0.9)


def _draw_beacon(canvas: Canvas, x: float, y: float, z: float) -> None:
    canvas.flat(x, z, rectangle(-0.6, y, 0.6, y + 0.08), (60, 60, 60))
    for dx in (-0.45, 0.45):
        canvas.flat(x + dx, z, rectangle(-0.14, y + 0.06, 0.14, y + 0.26), AMBER, shining=True)
        canvas.lamp(x + dx, y + 0.16, z, 0.5, (255, 150, 30))


def _draw_passenger_car(
    canvas: Canvas,
    x: float,
    z: float,
    colour: Colour,
    size: tuple[float, float, float, float],
    rear_slope: float,
    front_slope: float,
    oncoming: bool,
    lit: bool,
) -> None:
    """``size``: width, length, height of the body and of the roof; slopes of the windows."""
    width, length, waist, roof = size
    half = width / 2
    near, far = (front_slope, rear_slope) if oncoming else (rear_slope, front_slope)
    boot = 1.0 if oncoming else (0.5 if rear_slope > 0.5 else 0.1)
    canvas.shadow(x - half - 0.1, x + half + 0.1, z - 0.3, z + length + 0.2)
    _draw_rear_wheels(canvas, x, z, width)
    faces = box(canvas, x=x, z=z, width=width, length=length, bottom=0.28, top=waist, colour=colour)
    _draw_side_wheels(canvas, faces, z, length, 0.33)
    back = length - (0.4 if oncoming else 1.1)
    glass = prism(
        canvas,
        Slab(x - half * 0.94, x + half * 0.94, z + boot, z + back, waist),
        Slab(x - half * 0.74, x + half * 0.74, z + boot + near * 0.7, z + back - far * 0.6, roof),
        colour,
    )
    canvas.decal(glass.front, rectangle(0.08, 0.12, 0.92, 0.86), _GLASS)
    if glass.side:
        canvas.decal(glass.side, rectangle(0.1, 0.14, 0.48, 0.84), _GLASS)
        canvas.decal(glass.side, rectangle(0.53, 0.14, 0.88, 0.84), _GLASS)
    canvas.decal(faces.front, rectangle(0.36, 0.3, 0.64, 0.48), (226, 224, 210), retro=0.4)
    canvas.decal(faces.front, rectangle(0.02, 0.0, 0.98, 0.16), (36, 36, 38))
    _draw_lights(canvas, faces, x, z, waist - 0.2, oncoming, lit)


def _draw_rear_wheels(canvas: Canvas, x: float, z: float, width: float) -> None:
    for side in (-1, 1):
        middle = x + side * (width / 2 - 0.16)
        canvas.flat(middle, z + 0.2, rectangle(-0.13, 0, 0.13, 0.5), (20, 20, 22))


def _draw_side_wheels(canvas: Canvas, faces: Faces, z: float, length: float, radius: float) -> None:
    if faces.side:
        x = faces.side[0][0]
        for share in (0.82, 0.19):
            wheel(canvas, x, z + length * share, radius)


def _draw_lights(
    canvas: Canvas, faces: Faces, x: float, z: float, y: float, oncoming: bool, lit: bool
) -> None:
    """Tail lamps, or headlamps of an oncoming vehicle; they glow where ``lit``."""
    (left, *_), (right, *_) = faces.front[0], faces.front[1]
    dull, bright = (
        ((226, 228, 230), (255, 250, 232)) if oncoming else ((150, 18, 20), (255, 40, 36))
    )
    for corner, inward in ((left, 1), (right, -1)):
        lamp = rectangle(0.04, y - 0.09, 0.34, y + 0.08)
        outline = [(inward * dx, dy) for dx, dy in lamp]
        canvas.flat(corner, z - 0.01, outline, bright if lit else dull, shining=lit)
        if lit:
            glow = (230, 225, 205) if oncoming else (200, 24, 20)
            canvas.lamp(corner + inward * 0.2, y, z, 0.9 if oncoming else 0.35, glow)
