"""Signs on posts and stands, arrow and message boards, traffic lights."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.rendered.barriers import sandbag
from workzone.scenes.rendered.faces import SignFaces
from workzone.scenes.rendered.machines import trailer_wheels
from workzone.scenes.rendered.markers import AMBER, ORANGE, RED
from workzone.scenes.rendered.material import (
    DARK,
    STEEL,
    Material,
    Model,
    Part,
    lean,
    painted,
    plain,
    sheeting,
    surface,
    varied,
)
from workzone.scenes.rendered.mesh import Flat, Mesh, box, joined, plate, revolve, rod, wavy

_FACE_PIXELS = 256


def sign(
    rng: np.random.Generator, wear: float, faces: SignFaces, *, work: bool, stand: bool
) -> Model:
    """A sign on a post or, with ``stand``, on folding legs."""
    face = faces.face(rng, work=work, pixels=_FACE_PIXELS)
    pixels = np.asarray(face.convert("RGBA"))
    ratio = pixels.shape[1] / pixels.shape[0]
    height = rng.uniform(0.62, 0.9) if work else rng.uniform(0.55, 0.75)
    if ratio > 1.25:
        height *= 0.75
    width = height * ratio
    bottom = rng.uniform(0.32, 0.55) if stand else rng.uniform(1.5, 2.1)
    outline = [(u * width, bottom + (v + 0.5) * height) for u, v in outline_of(pixels[..., 3])]
    front, back = plate(outline, 0.004)
    bend = wavy(rng, 0.004 + 0.02 * wear, 0.6)
    parts = [
        Part(front.bent(bend), sheeting(_flat(face), rng, wear * 0.8)),
        Part(back.bent(bend), surface((150, 152, 153), rng, wear, "metal", 0.45)),
    ]
    parts += _stand(rng, wear, bottom, height) if stand else _post(rng, wear, bottom, width, height)
    first, second = lean(rng, 2.5 if stand else 1.2), lean(rng, 1.5)
    return [Part(p.mesh.turned(first, "x").turned(second, "y"), p.material) for p in parts]


def outline_of(alpha: npt.NDArray[np.uint8], corners: int = 120) -> list[Flat]:
    """The outline of a face, counter-clockwise, as its middle sees it; -0.5..0.5 either way."""
    height, width = alpha.shape
    outline = []
    for turn in np.linspace(0, 2 * math.pi, corners, endpoint=False).tolist():
        reach = np.linspace(0.02, 0.75, 400)
        u, v = reach * math.cos(turn), reach * math.sin(turn)
        column = ((u + 0.5) * width).astype(int)
        row = ((0.5 - v) * height).astype(int)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        covered = inside.copy()
        covered[inside] = alpha[row[inside], column[inside]] > 127
        last = reach[np.flatnonzero(covered)[-1]] if covered.any() else 0.02
        outline.append((float(last * math.cos(turn)), float(last * math.sin(turn))))
    return outline


def arrow_board(rng: np.random.Generator, wear: float) -> Model:
    """A trailer with a panel of lamps that form an arrow, or a bar."""
    parts = _trailer(rng, wear)
    parts.append(
        Part(box((2.3, 0.09, 1.25), (0, 0.7, 2.2), 0.01), surface((24, 24, 23), rng, wear))
    )
    chosen = _lit(rng)
    lamp = revolve([(0.075, 0.0), (0.07, 0.02), (0.001, 0.035)], 16).turned(math.pi / 2, "x")
    hood = revolve([(0.088, -0.01), (0.088, 0.05)], 16).turned(math.pi / 2, "x")
    spots = [(x, z) for x in np.linspace(-0.98, 0.98, 9).tolist() for z in _ROWS]
    on = [lamp.moved(x, 0.645, z) for n, (x, z) in enumerate(spots) if divmod(n, 5) in chosen]
    off = [lamp.moved(x, 0.645, z) for n, (x, z) in enumerate(spots) if divmod(n, 5) not in chosen]
    parts.append(Part(joined(on), Material(plain(AMBER), "plastic", 0.2, lamp=4.0)))
    parts.append(Part(joined(off), surface((92, 66, 24), rng, 0.3, roughness=0.15)))
    parts.append(Part(joined([hood.moved(x, 0.645, z) for x, z in spots]), surface(DARK, rng, 0.3)))
    return parts


_ROWS = (1.75, 1.975, 2.2, 2.425, 2.65)


def _lit(rng: np.random.Generator) -> set[tuple[int, int]]:
    """Which of nine columns of five lamps are lit: an arrow, or now and then a bar."""
    bar = {(column, 2) for column in range(9)}
    if rng.random() < 0.2:
        return bar
    head = {(step, 2 + side * step) for step in (1, 2) for side in (-1, 1)}
    arrow = bar | head
    return arrow if rng.random() < 0.6 else {(8 - column, level) for column, level in arrow}


def message_board(rng: np.random.Generator, wear: float) -> Model:
    """A trailer with lines of amber characters."""
    parts = _trailer(rng, wear)
    parts.append(
        Part(box((2.9, 0.14, 1.7), (0, 0.7, 2.5), 0.015), surface((28, 28, 27), rng, wear))
    )
    picture, pen = painted(plain((0, 0, 0), (270, 150)))
    for line in range(3):
        count = int(rng.integers(4, 9))
        start = 135 - count * 14
        for letter in range(count):
            for column, row in np.ndindex(5, 7):
                if rng.random() < 0.5 or column in (0, 4):
                    x, y = start + letter * 28 + column * 4, 12 + line * 46 + row * 4
                    pen.rectangle((x, y, x + 2, y + 2), fill=AMBER)
    front, _ = plate([(-1.35, 1.75), (1.35, 1.75), (1.35, 3.25), (-1.35, 3.25)], 0.001)
    text = np.asarray(picture)
    parts.append(Part(front.moved(y=0.62), Material(text, "plastic", 0.2, lamp=3.0)))
    return parts


def traffic_light(rng: np.random.Generator, wear: float, *, portable: bool = False) -> Model:
    """A traffic light on a post; a ``portable`` one stands on a yellow box."""
    post = 2.3 if portable else 2.5
    case = surface((28, 30, 28), rng, wear)
    parts = [
        Part(rod((0, 0.08, 0), (0, 0.08, post), 0.05), surface((84, 88, 88), rng, wear)),
        Part(box((0.34, 0.2, 0.95), (0, 0.02, post + 0.2), 0.03), case),
    ]
    state = int(rng.integers(3))
    inks = ((255, 36, 26), (255, 166, 28), (40, 240, 130))
    for index, ink in enumerate(inks):
        on = index == state
        lens = revolve([(0.1, 0.0), (0.08, 0.02), (0.001, 0.03)], 20).turned(math.pi / 2, "x")
        hood = revolve([(0.115, 0.0), (0.115, 0.13)], 20).turned(math.pi / 2, "x")
        z = post + 0.5 - index * 0.3
        glass = (
            Material(plain(ink), "plastic", 0.15, lamp=4.0)
            if on
            else surface((ink[0] // 4, ink[1] // 4, ink[2] // 4), rng, 0.2, roughness=0.2)
        )
        parts += [Part(lens.moved(0, -0.09, z), glass), Part(hood.moved(0, -0.09, z), case)]
    if portable:
        cart = box((0.9, 0.7, 0.6), (0, 0.1, 0.4), 0.03)
        parts.append(Part(cart, surface((230, 178, 36), rng, wear, "paint")))
        parts += trailer_wheels(rng, wear, 0.9, 0.1, 0.2)
    return parts


def _flat(face: Image.Image) -> npt.NDArray[np.uint8]:
    """A face without its transparent rim, so that none of it shows at the edge."""
    colours = face.convert("RGBA")
    under = colours.convert("RGB").resize((8, 8), Image.Resampling.BOX).resize(colours.size)
    under.paste(colours.convert("RGB"), mask=colours.getchannel("A"))
    return np.asarray(under)


def _post(
    rng: np.random.Generator, wear: float, bottom: float, width: float, height: float
) -> Model:
    steel = surface(varied(STEEL, rng), rng, wear, "metal", 0.4)
    top = bottom + height * 0.95
    places = (0.0,) if width < 1 else (-0.3 * width, 0.3 * width)
    posts: list[Mesh] = [rod((x, 0.04, 0), (x, 0.04, top), 0.031) for x in places]
    clamps = [
        box((0.3, 0.03, 0.03), (x, 0.02, bottom + height * share), 0.004)
        for x in places
        for share in (0.35, 0.65)
    ]
    return [Part(joined([*posts, *clamps]), steel)]


def _stand(rng: np.random.Generator, wear: float, bottom: float, height: float) -> Model:
    steel = surface(varied((92, 94, 96), rng), rng, wear, "metal", 0.45)
    hub, spread = bottom * 0.9, rng.uniform(0.45, 0.6)
    legs = [
        rod((x * 0.2, 0.05, hub), (x, y, 0.015), 0.014, n=8)
        for x in (-spread, spread)
        for y in (-0.32, 0.42)
    ]
    mast = rod((0, 0.04, hub * 0.6), (0, 0.04, bottom + height * 0.8), 0.018, n=8)
    parts: Model = [Part(joined([*legs, mast]), steel)]
    if rng.random() < 0.5:
        parts += sandbag(rng, wear, 0.0, 0.12)
    if rng.random() < 0.3:
        cloth, _ = plate([(-0.16, 0.0), (0.16, 0.0), (0.16, 0.3), (-0.16, 0.3)], 0.002)
        flag = cloth.bent(wavy(rng, 0.05, 0.3)).moved(0.2, 0, bottom + height * 0.95)
        parts.append(Part(flag, surface(ORANGE if rng.random() < 0.7 else RED, rng, wear, "matte")))
        staff = rod(
            (0.04, 0, bottom + height * 0.8), (0.04, 0, bottom + height * 0.95 + 0.3), 0.008
        )
        parts.append(Part(staff, steel))
    return parts


def _trailer(rng: np.random.Generator, wear: float) -> Model:
    paint = varied(ORANGE if rng.random() < 0.7 else (236, 180, 30), rng)
    frame = surface(paint, rng, wear, "paint")
    parts = [
        Part(box((1.5, 1.3, 0.12), (0, 0.75, 0.55), 0.02), frame),
        Part(box((1.0, 0.7, 0.4), (0, 0.75, 0.82), 0.03), frame),
        Part(rod((0, 1.3, 0.5), (0, 2.4, 0.42), 0.04), frame),
        Part(
            joined([rod((x, 0.75, 0.6), (x, 0.75, 2.0), 0.045) for x in (-0.5, 0.5)]),
            surface(STEEL, rng, wear, "metal", 0.4),
        ),
    ]
    jacks = [rod((x, 0.2, 0), (x, 0.2, 0.55), 0.03) for x in (-0.7, 0.7)]
    parts.append(Part(joined(jacks), surface(STEEL, rng, wear, "metal", 0.4)))
    return parts + trailer_wheels(rng, wear, 1.6, 0.8, 0.32)
