"""What stands beside the road: buildings, trees, poles, walls."""

from __future__ import annotations

import numpy as np

from workzone.scenes.canvas import Canvas, Colour, Quad, mixed, rectangle, scaled
from workzone.scenes.place import Area, Place, Stage, pick
from workzone.scenes.solids import box, limb, pole

WALLS: tuple[Colour, ...] = (
    (158, 96, 76),
    (186, 168, 142),
    (140, 134, 130),
    (204, 196, 182),
    (120, 88, 72),
    (170, 176, 184),
    (196, 150, 104),
    (108, 116, 126),
)
SHOP_COLOURS: tuple[Colour, ...] = (
    (232, 108, 28),
    (240, 132, 30),
    (206, 44, 36),
    (36, 86, 150),
    (30, 104, 66),
    (236, 190, 50),
    (96, 50, 90),
    (60, 60, 64),
)
ORANGE_SHOP_COLOURS = SHOP_COLOURS[:3]
GREENS: tuple[Colour, ...] = ((62, 96, 44), (48, 82, 42), (84, 112, 50), (70, 92, 56))
AUTUMN: tuple[Colour, ...] = ((206, 108, 30), (222, 142, 40), (176, 70, 32), (194, 158, 60))
_GLASS: Colour = (70, 84, 100)
_LIT_WINDOW: Colour = (255, 214, 140)


def add_roadside(stage: Stage, travelled: float, orange_shops: int) -> None:
    """Line the street as its environment does.

    Args:
        stage: where to put things.
        travelled: metres the camera has moved along the street of the place.
        orange_shops: how many shop fronts are to be in warm colours.
    """
    place = stage.place
    rng = np.random.default_rng([place.seed, 1])
    if place.environment in ("urban", "suburban"):
        for side in (-1, 1):
            _add_buildings(stage, rng, side, travelled, orange_shops)
    density = {"urban": 0.25, "suburban": 0.8, "highway": 0.55, "rural": 1.0}[place.environment]
    for side in (-1, 1):
        _add_trees(stage, rng, side, travelled, density)
    _add_poles(stage, rng, travelled)
    if place.environment == "highway":
        for x in (place.road.left - 1.0, place.road.outer_right):
            _add_guard_rail(stage, x, travelled)


def _edge(place: Place, side: int) -> float:
    return place.road.outer_right if side > 0 else place.road.outer_left


def _add_buildings(
    stage: Stage, rng: np.random.Generator, side: int, travelled: float, orange_shops: int
) -> None:
    place = stage.place
    urban = place.environment == "urban"
    ahead = rng.uniform(-10, 4)
    while ahead < 240:
        length = rng.uniform(9, 24) if urban else rng.uniform(8, 14)
        height = rng.uniform(8, 30) if urban else rng.uniform(4, 7)
        setback = rng.uniform(0, 1) if urban else rng.uniform(5, 10)
        width = rng.uniform(10, 18)
        wall, seed = pick(rng, WALLS), int(rng.integers(1 << 30))
        shop = pick(rng, SHOP_COLOURS) if urban and rng.random() < 0.6 else None
        near = ahead - travelled
        if shop and near > 4 and orange_shops > 0:
            shop, orange_shops = pick(rng, ORANGE_SHOP_COLOURS), orange_shops - 1
        gap = rng.uniform(0, 3) if urban else rng.uniform(4, 14)
        if near + length > 3 and near < 160:
            stage.add(
                draw_building,
                x=_edge(place, side) + side * (setback + width / 2),
                z=max(near, 2.6),
                depth=near + length - max(near, 2.6),
                width=width,
                length=near + length - max(near, 2.6),
                height=height,
                wall=wall,
                shop=shop,
                seed=seed,
                lit=place.daytime != "day",
                pitched=not urban,
            )
        ahead += length + gap


def draw_building(
    canvas: Canvas,
    *,
    x: float,
    z: float,
    width: float,
    length: float,
    height: float,
    wall: Colour,
    shop: Colour | None,
    seed: int,
    lit: bool,
    pitched: bool,
) -> None:
    """A house: walls, windows (some of them lit), perhaps a shop front or a pitched roof."""
    rng = np.random.default_rng(seed)
    faces = box(canvas, x=x, z=z, width=width, length=length, bottom=0, top=height, colour=wall)
    if pitched:
        _draw_roof(canvas, x, z, width, length, height, pick(rng, [(110, 62, 50), (84, 80, 82)]))
    for quad, across in ((faces.front, width), (faces.side, length)):
        if quad and z < 90:
            _draw_windows(canvas, quad, across, height, wall, rng, lit)
    if shop and faces.side:
        _draw_shop(canvas, faces.side, length, height, shop, rng, lit)


def _draw_roof(
    canvas: Canvas, x: float, z: float, width: float, length: float, height: float, colour: Colour
) -> None:
    ridge, eaves = height + width * 0.28, 0.4
    left, right = x - width / 2 - eaves, x + width / 2 + eaves
    inner = left if x > 0 else right
    canvas.face(
        [(inner, height, z), (x, ridge, z), (x, ridge, z + length), (inner, height, z + length)],
        colour,
    )
    canvas.face([(left, height, z), (right, height, z), (x, ridge, z)], scaled(colour, 1.25))


def _draw_windows(
    canvas: Canvas,
    quad: Quad,
    across: float,
    height: float,
    wall: Colour,
    rng: np.random.Generator,
    lit: bool,
) -> None:
    floors, columns = max(1, int(height / 3.2)), max(2, int(across / 3))
    for floor in range(floors):
        for column in range(columns):
            u, v = (column + 0.28) / columns, (floor + 0.3) / floors
            pane = rectangle(u, v, u + 0.44 / columns, v + 0.48 / floors)
            if lit and rng.random() < 0.28:
                canvas.decal(quad, pane, scaled(_LIT_WINDOW, rng.uniform(0.5, 0.9)), shining=True)
            else:
                canvas.decal(quad, pane, mixed(_GLASS, wall, rng.uniform(0, 0.35)))


def _draw_shop(
    canvas: Canvas,
    quad: Quad,
    length: float,
    height: float,
    colour: Colour,
    rng: np.random.Generator,
    lit: bool,
) -> None:
    """A wide window with a sign above, and sometimes an awning."""
    top = min(0.9, 3.6 / height)
    glass = _LIT_WINDOW if lit else (58, 66, 76)
    canvas.decal(quad, rectangle(0.04, 0.01, 0.96, top * 0.7), scaled(glass, 0.7), shining=lit)
    canvas.decal(quad, rectangle(0.02, top * 0.74, 0.98, top), colour, shining=False)
    letters, start = int(rng.integers(4, 9)), rng.uniform(0.1, 0.3)
    for index in range(letters):
        u = start + index * 0.06
        canvas.decal(quad, rectangle(u, top * 0.8, u + 0.035, top * 0.94), (240, 236, 226))
    if rng.random() < 0.5:
        _draw_awning(canvas, quad, length, top * 0.74 * height, colour)


def _draw_awning(canvas: Canvas, quad: Quad, length: float, height: float, colour: Colour) -> None:
    x, _, z0 = quad[0]
    z1 = quad[1][2]
    reach = -1.3 if x > 0 else 1.3
    bands = max(4, int(length / 1.2))
    for band in range(bands):
        near, far = (z0 + (z1 - z0) * step / bands for step in (band, band + 1))
        outline = [
            (x, height, near),
            (x, height, far),
            (x + reach, height - 0.8, far),
            (x + reach, height - 0.8, near),
        ]
        canvas.face(outline, colour if band % 2 else (232, 226, 214))


def _add_trees(
    stage: Stage, rng: np.random.Generator, side: int, travelled: float, density: float
) -> None:
    place = stage.place
    for _ in range(int(26 * density)):
        ahead, beyond = rng.uniform(0, 240), rng.uniform(0.3, 26)
        height, seed = rng.uniform(4, 11), int(rng.integers(1 << 30))
        shade = pick(rng, AUTUMN if place.autumn and rng.random() < 0.7 else GREENS)
        if place.environment == "urban":
            beyond, height = -0.8, height * 0.6
        elif place.environment == "suburban":
            beyond *= 0.16  # in front of the houses
        z = ahead - travelled
        if z > 6:
            x = _edge(place, side) + side * (beyond + (2 if place.environment == "highway" else 0))
            stage.add(draw_tree, x=x, z=z, height=height, colour=shade, seed=seed)


def draw_tree(
    canvas: Canvas, *, x: float, z: float, height: float, colour: Colour, seed: int
) -> None:
    """A trunk and a crown of overlapping leaf masses, lighter towards the top."""
    rng = np.random.default_rng(seed)
    canvas.shadow(x - height * 0.25, x + height * 0.25, z, z + height * 0.3, 0.7)
    limb(canvas, x, z, (0, 0), (0, height * 0.6), 0.05 * height**0.8, (78, 62, 48))
    near = z < 60
    for _ in range(64 if near else 14):
        turn, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        dx = 0.3 * height * out * np.cos(turn)
        dy = height * (0.68 + 0.27 * out * np.sin(turn))
        size = height * rng.uniform(0.03, 0.085 if near else 0.14)
        shade = 0.62 + 0.55 * (dy / height - 0.42) + rng.uniform(-0.1, 0.1)
        canvas.ball(x + dx, dy, z, size, scaled(colour, shade))


def _add_poles(stage: Stage, rng: np.random.Generator, travelled: float) -> None:
    place = stage.place
    wooden = place.environment in ("rural", "suburban")
    spacing, start = rng.uniform(24, 38), rng.uniform(0, 30)
    x = place.road.outer_right - (0.5 if place.environment == "urban" else -0.6)
    for index in range(7):
        z = (start - travelled) % spacing + index * spacing
        if wooden:
            stage.add(draw_utility_pole, x=x, z=z, spacing=spacing)
        else:
            stage.add(draw_street_lamp, x=x, z=z, lit=place.daytime != "day")


def draw_street_lamp(canvas: Canvas, *, x: float, z: float, lit: bool) -> None:
    """A lamp on an arm over the road."""
    arm, height = (-2.2 if x > 0 else 2.2), 8.0
    pole(canvas, x, z, height, 0.16, (120, 122, 124))
    limb(canvas, x, z, (0, height), (arm, height + 0.3), 0.1, (120, 122, 124))
    canvas.flat(
        x + arm,
        z,
        rectangle(-0.35, height + 0.18, 0.35, height + 0.4),
        (255, 226, 170) if lit else (150, 150, 150),
        shining=lit,
    )
    if lit:
        canvas.lamp(x + arm, height, z, 1.6, (255, 196, 120))


def draw_utility_pole(canvas: Canvas, *, x: float, z: float, spacing: float) -> None:
    """A wooden pole with wires to the next one."""
    pole(canvas, x, z, 9, 0.26, (92, 74, 58))
    canvas.flat(x, z, rectangle(-1, 8.1, 1, 8.25), (84, 68, 54))
    for dx in (-0.9, 0.9):
        wire = [(x + dx, 8.3, z), (x + dx, 8.25, z), (x + dx, 8.25, z + spacing)]
        canvas.face([*wire, (x + dx, 8.3, z + spacing)], (40, 40, 44))


def _add_guard_rail(stage: Stage, x: float, travelled: float) -> None:
    for index in range(40):
        z = index * 4 + 4 - travelled % 4
        stage.add(draw_guard_rail, x=x, z=z, length=4.0)


def draw_guard_rail(canvas: Canvas, *, x: float, z: float, length: float) -> None:
    """One field of a steel guard rail."""
    pole(canvas, x, z, 0.7, 0.12, (120, 122, 124))
    for low, high, shade in ((0.45, 0.6, 0.9), (0.6, 0.78, 1.1)):
        rail = [(x, low, z), (x, high, z), (x, high, z + length), (x, low, z + length)]
        canvas.face(rail, scaled((150, 154, 158), shade))


def add_bollards(stage: Stage, rng: np.random.Generator) -> None:
    """A row of bollards along the kerb: grey, black, or red with white bands."""
    colour: Colour = pick(rng, [(60, 60, 62), (150, 40, 34), (214, 92, 30), (196, 160, 40)])
    banded = bool(rng.random() < 0.5)
    start, spacing = rng.uniform(8, 20), rng.uniform(1.6, 3)
    for index in range(int(rng.integers(3, 8))):
        x, z = stage.place.road.verge + 0.5, start + index * spacing
        stage.add(draw_bollard, x=x, z=z, colour=colour, banded=banded)


def draw_bollard(canvas: Canvas, *, x: float, z: float, colour: Colour, banded: bool) -> None:
    """A fixed round post; no foot, other than a cone or a tubular marker."""
    canvas.flat(x, z, rectangle(-0.09, 0, 0.02, 0.95), colour)
    canvas.flat(x, z, rectangle(0.02, 0, 0.09, 0.95), scaled(colour, 0.7))
    canvas.ball(x, 0.95, z, 0.09, scaled(colour, 1.1))
    if banded:
        canvas.flat(x, z, rectangle(-0.09, 0.68, 0.09, 0.82), (228, 226, 220))


def claim_kerb(stage: Stage, z: float) -> bool:
    """Whether a spot on the right pavement is free; it is taken then."""
    road = stage.place.road
    return stage.claim(Area(road.verge + 0.1, road.outer_right + 0.5, z - 0.5, z + 0.8))
