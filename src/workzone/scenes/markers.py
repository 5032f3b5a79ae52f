"""What marks the edge of a work zone: cones, drums, tubes, panels and beacons."""

from __future__ import annotations

from workzone.scenes.canvas import Canvas, Colour, Quad, rectangle, scaled
from workzone.scenes.solids import box, stripes

ORANGE: Colour = (255, 104, 20)
CONE_COLOURS: tuple[Colour, ...] = (
    *((255, 96, 16), (240, 70, 24), (255, 122, 36)) * 3,
    (196, 226, 48),  # lime, as some American crews have them
)
WHITE: Colour = (240, 240, 236)
RED: Colour = (206, 32, 32)
BLACK: Colour = (30, 30, 32)


def draw_cone(
    canvas: Canvas, *, x: float, z: float, height: float, colour: Colour, bands: int
) -> None:
    """A traffic cone of ``height`` metres on its square foot, with 0 to 2 white bands."""
    foot, low, tip = height * 0.27, height * 0.19, height * 0.035
    canvas.shadow(x - foot, x + foot * 1.6, z, z + foot * 2.2)
    dark = BLACK if colour[1] < 100 else scaled(colour, 0.8)
    box(canvas, x=x, z=z, width=2 * foot, length=2 * foot, bottom=0, top=height * 0.06, colour=dark)

    def half_width(share: float) -> float:
        return low + (tip - low) * share

    middle = z + foot
    levels = [(0.06, 1.0, colour)]
    levels += [((0.42, 0.62, WHITE), (0.74, 0.86, WHITE))[band] for band in range(bands)]
    for bottom, top, ink in levels:
        a, b = half_width(bottom), half_width(top)
        retro = 0.8 if ink == WHITE else 0.25
        for left, right, shade in ((-1.0, 0.3, 1.0), (0.3, 1.0, 0.74)):
            outline = [
                (a * left, bottom * height),
                (a * right, bottom * height),
                (b * right, top * height),
                (b * left, top * height),
            ]
            canvas.flat(x, middle, outline, scaled(ink, shade), retro=retro)


def draw_fallen_cone(
    canvas: Canvas, *, x: float, z: float, height: float, colour: Colour, bands: int
) -> None:
    """A cone of ``height`` metres that somebody knocked over; its tip points to the right."""
    foot, low, tip = height * 0.27, height * 0.19, height * 0.035
    start, axis = -height / 2, low
    canvas.shadow(x + start, x - start, z, z + foot)
    canvas.flat(x, z, rectangle(start - height * 0.06, 0, start, 2 * foot), BLACK)

    def piece(first: float, last: float, ink: Colour) -> None:
        a, b = low + (tip - low) * first, low + (tip - low) * last
        left, right = start + height * first, start + height * last
        outline = [(left, axis - a), (right, axis - b), (right, axis + b), (left, axis + a)]
        canvas.flat(x, z, outline, ink, retro=0.8 if ink == WHITE else 0.25)

    piece(0.0, 1.0, colour)
    for first, last in ((0.42, 0.62), (0.74, 0.86))[:bands]:
        piece(first, last, WHITE)


def draw_drum(canvas: Canvas, *, x: float, z: float) -> None:
    """A channelizing drum: orange and white rings, 0.95 m, on a black foot."""
    canvas.shadow(x - 0.3, x + 0.5, z, z + 0.7)
    canvas.flat(x, z, rectangle(-0.36, 0, 0.36, 0.09), BLACK)
    rings = ((0.06, ORANGE), (0.26, WHITE), (0.42, ORANGE), (0.56, WHITE), (0.72, ORANGE))
    tops = (*(bottom for bottom, _ in rings[1:]), 0.95)
    for (bottom, ink), top in zip(rings, tops, strict=True):
        for left, right, shade in ((-0.28, 0.1, 1.0), (0.1, 0.28, 0.74)):
            outline = rectangle(left, bottom, right, top)
            canvas.flat(x, z, outline, scaled(ink, shade), retro=0.8 if ink == WHITE else 0.25)


def draw_tube(canvas: Canvas, *, x: float, z: float) -> None:
    """A tubular marker: slim, 1 m, orange with two white bands and a broad foot."""
    canvas.flat(x, z, rectangle(-0.2, 0, 0.2, 0.07), BLACK)
    canvas.flat(x, z, rectangle(-0.055, 0.05, 0.055, 1.0), ORANGE, retro=0.25)
    for bottom in (0.58, 0.78):
        canvas.flat(x, z, rectangle(-0.06, bottom, 0.06, bottom + 0.11), WHITE, retro=0.8)


def draw_vertical_panel(canvas: Canvas, *, x: float, z: float, lamp: bool) -> None:
    """A vertical panel, as on American roads: 0.3 m by 0.9 m in orange and white."""
    canvas.shadow(x - 0.25, x + 0.4, z, z + 0.5)
    box(canvas, x=x, z=z, width=0.42, length=0.4, bottom=0, top=0.1, colour=BLACK)
    _draw_striped_panel(canvas, x, z, (0.3, 0.9), 0.18, ORANGE)
    if lamp:
        draw_warning_lamp(canvas, x, 1.2, z)


def draw_beacon(canvas: Canvas, *, x: float, z: float, lamp: bool) -> None:
    """A beacon, as on European roads: 0.25 m by 1 m in red and white, on a long rubber foot."""
    canvas.shadow(x - 0.25, x + 0.4, z - 0.25, z + 0.6)
    box(canvas, x=x, z=z - 0.3, width=0.4, length=0.8, bottom=0, top=0.12, colour=(52, 50, 50))
    _draw_striped_panel(canvas, x, z, (0.25, 1.0), 0.14, RED)
    if lamp:
        draw_warning_lamp(canvas, x, 1.26, z)


def draw_warning_lamp(canvas: Canvas, x: float, y: float, z: float) -> None:
    """An amber lamp whose middle is ``y`` metres above the ground."""
    canvas.flat(x, z, rectangle(-0.05, y - 0.2, 0.05, y), (60, 58, 50))
    canvas.ball(x, y, z, 0.1, (255, 190, 60), shining=True)
    canvas.lamp(x, y, z, 0.5, (255, 150, 30))


def _draw_striped_panel(
    canvas: Canvas, x: float, z: float, size: tuple[float, float], bottom: float, colour: Colour
) -> None:
    """An upright board of ``size`` (width, height); its stripes fall towards the traffic."""
    half, top = size[0] / 2, bottom + size[1]
    canvas.flat(x, z, rectangle(-half * 0.3, 0.05, half * 0.3, bottom + 0.05), (70, 70, 72))
    canvas.flat(x, z, rectangle(-half, bottom, half, top), WHITE, retro=0.8)
    outer = half if x > 0 else -half  # traffic passes between here and the camera
    upwards: Quad = (
        (x - outer, bottom, z),
        (x - outer, top, z),
        (x + outer, top, z),
        (x + outer, bottom, z),
    )
    stripes(canvas, upwards, colour, count=3, slant=size[0] / size[1] * 3, retro=0.6)
