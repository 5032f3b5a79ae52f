"""Cones, barriers and machines of a work zone."""

from __future__ import annotations

from workzone.data.scenes.canvas import Canvas, Colour, Quad, rectangle, scaled
from workzone.data.scenes.solids import Slab, box, limb, pole, prism, stripes

ORANGE: Colour = (255, 104, 20)
CONE_COLOURS: tuple[Colour, ...] = ((255, 96, 16), (240, 70, 24), (255, 122, 36))
MACHINE_COLOURS: tuple[Colour, ...] = (
    (246, 186, 30),
    (250, 140, 24),
    (232, 200, 60),
    (90, 140, 70),
)
_WHITE: Colour = (240, 240, 236)
_RED: Colour = (206, 32, 32)
_BLACK: Colour = (30, 30, 32)
_STEEL: Colour = (74, 76, 80)


def draw_cone(
    canvas: Canvas, *, x: float, z: float, height: float, colour: Colour, bands: int
) -> None:
    """A traffic cone of ``height`` metres on its square foot, with 0 to 2 white bands."""
    foot, low, tip = height * 0.27, height * 0.19, height * 0.035
    canvas.shadow(x - foot, x + foot * 1.6, z, z + foot * 2.2)
    dark = _BLACK if colour[1] < 100 else scaled(colour, 0.8)
    box(canvas, x=x, z=z, width=2 * foot, length=2 * foot, bottom=0, top=height * 0.06, colour=dark)

    def half_width(share: float) -> float:
        return low + (tip - low) * share

    middle = z + foot
    levels = [(0.06, 1.0, colour)]
    levels += [((0.42, 0.62, _WHITE), (0.74, 0.86, _WHITE))[band] for band in range(bands)]
    for bottom, top, ink in levels:
        a, b = half_width(bottom), half_width(top)
        retro = 0.8 if ink == _WHITE else 0.25
        for left, right, shade in ((-1.0, 0.3, 1.0), (0.3, 1.0, 0.74)):
            outline = [
                (a * left, bottom * height),
                (a * right, bottom * height),
                (b * right, top * height),
                (b * left, top * height),
            ]
            canvas.flat(x, middle, outline, scaled(ink, shade), retro=retro)


def draw_drum(canvas: Canvas, *, x: float, z: float) -> None:
    """A channelizing drum: orange and white rings, 0.95 m, on a black foot."""
    canvas.shadow(x - 0.3, x + 0.5, z, z + 0.7)
    canvas.flat(x, z, rectangle(-0.36, 0, 0.36, 0.09), _BLACK)
    rings = ((0.06, ORANGE), (0.26, _WHITE), (0.42, ORANGE), (0.56, _WHITE), (0.72, ORANGE))
    tops = (*(bottom for bottom, _ in rings[1:]), 0.95)
    for (bottom, ink), top in zip(rings, tops, strict=True):
        for left, right, shade in ((-0.28, 0.1, 1.0), (0.1, 0.28, 0.74)):
            outline = rectangle(left, bottom, right, top)
            canvas.flat(x, z, outline, scaled(ink, shade), retro=0.8 if ink == _WHITE else 0.25)


def draw_tube(canvas: Canvas, *, x: float, z: float) -> None:
    """A tubular marker: slim, 1 m, orange with two white bands and a broad foot."""
    canvas.flat(x, z, rectangle(-0.2, 0, 0.2, 0.07), _BLACK)
    canvas.flat(x, z, rectangle(-0.055, 0.05, 0.055, 1.0), ORANGE, retro=0.25)
    for bottom in (0.58, 0.78):
        canvas.flat(x, z, rectangle(-0.06, bottom, 0.06, bottom + 0.11), _WHITE, retro=0.8)


def draw_barricade(
    canvas: Canvas, *, x: float, z: float, width: float, boards: int, red: bool, lamps: bool
) -> None:
    """Striped boards on two legs; three boards close a road, one or two a pavement."""
    colour = _RED if red else ORANGE
    top = 0.55 + 0.45 * boards
    canvas.shadow(x - width / 2, x + width / 2, z, z + 0.5, 0.7)
    for side in (-0.4, 0.4):
        limb(canvas, x, z, (side * width, 0), (side * width, top - 0.1), 0.07, _STEEL)
        canvas.flat(x + side * width, z, rectangle(-0.25, 0, 0.25, 0.08), _BLACK)
    for index in range(boards):
        low = top - 0.22 - index * 0.42
        quad: Quad = (
            (x - width / 2, low, z),
            (x + width / 2, low, z),
            (x + width / 2, low + 0.24, z),
            (x - width / 2, low + 0.24, z),
        )
        canvas.face(quad, _WHITE, retro=0.7)
        stripes(canvas, quad, colour, count=max(3, round(width / 0.4)), slant=0.6)
    if lamps:
        for side in (-0.4, 0.4):
            y = top + 0.12
            canvas.ball(x + side * width, y, z, 0.1, (255, 190, 60), shining=True)
            canvas.lamp(x + side * width, y, z, 0.5, (255, 150, 30))


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
            canvas.decal(quad, rectangle(0, low, 1, high), _WHITE, retro=0.5)
            board: Quad = (
                (x, 0.1 + (height - 0.1) * low, z),
                (x, 0.1 + (height - 0.1) * low, z + length),
                (x, 0.1 + (height - 0.1) * high, z + length),
                (x, 0.1 + (height - 0.1) * high, z),
            )
            stripes(canvas, board, _RED, count=max(3, round(length / 0.5)), slant=0.0)
    pole(canvas, x, z, height, 0.06, _STEEL)


def draw_excavator(canvas: Canvas, *, x: float, z: float, colour: Colour, facing: int) -> None:
    """An excavator: tracks, a turning house with its cab, boom, arm and bucket."""
    canvas.shadow(x - 1.6, x + 1.6, z - 0.2, z + 3.6)
    for side in (-1.0, 1.0):
        box(canvas, x=x + side, z=z, width=0.6, length=3.4, bottom=0.0, top=0.8, colour=_BLACK)
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
        limb(canvas, x, z + 0.4, (side, 1.2), (side, 2.3), 0.07, _BLACK)
    box(canvas, x=x, z=z + 0.3, width=1.5, length=1.8, bottom=2.3, top=2.42, colour=colour)


def draw_compressor(canvas: Canvas, *, x: float, z: float, colour: Colour) -> None:
    """A compressor on a trailer."""
    canvas.shadow(x - 0.8, x + 0.8, z - 0.2, z + 2.2)
    for side in (-0.7, 0.7):
        canvas.flat(x + side, z, rectangle(-0.1, 0, 0.1, 0.5), _BLACK)
    faces = box(canvas, x=x, z=z, width=1.4, length=2.0, bottom=0.4, top=1.35, colour=colour)
    canvas.decal(faces.front, rectangle(0.12, 0.3, 0.88, 0.75), _STEEL)
    canvas.decal(faces.front, rectangle(0.05, 0.05, 0.2, 0.2), _RED, retro=0.8)
    canvas.decal(faces.front, rectangle(0.8, 0.05, 0.95, 0.2), _RED, retro=0.8)


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
