"""Light, sky and ground."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.canvas import Canvas, Colour, Light, mixed, rectangle, scaled
from workzone.scenes.place import Place, pick

FARTHEST = 220.0
"""Metres; the ground beyond is one colour."""

WHITE_PAINT: Colour = (222, 222, 214)
YELLOW_PAINT: Colour = (226, 178, 52)

_SKIES: dict[tuple[str, str], tuple[Colour, Colour, Colour]] = {
    # daytime, weather: at the zenith, at the horizon, of clouds
    ("day", "clear"): ((70, 126, 200), (188, 212, 234), (244, 246, 250)),
    ("day", "overcast"): ((168, 176, 186), (206, 210, 214), (226, 228, 232)),
    ("day", "rain"): ((126, 134, 144), (170, 176, 182), (150, 156, 164)),
    ("dusk", "clear"): ((62, 74, 126), (240, 168, 112), (214, 128, 104)),
    ("dusk", "overcast"): ((84, 90, 108), (150, 140, 140), (118, 116, 126)),
    ("dusk", "rain"): ((70, 76, 92), (116, 114, 120), (92, 94, 104)),
    ("night", "clear"): ((8, 10, 22), (34, 34, 48), (22, 24, 36)),
    ("night", "overcast"): ((20, 20, 28), (52, 46, 46), (44, 42, 48)),
    ("night", "rain"): ((16, 17, 24), (44, 42, 46), (36, 36, 42)),
}
_AMBIENT = {"day": (1.0, 1.0, 1.0), "dusk": (0.62, 0.52, 0.54), "night": (0.17, 0.17, 0.21)}
_DIMMING = {"clear": 1.0, "overcast": 0.86, "rain": 0.74}
_CLEARNESS = {"clear": 900.0, "overcast": 420.0, "rain": 170.0}
_HEADLIGHTS = {"day": 0.0, "dusk": 0.25, "night": 0.95}


def make_light(place: Place) -> Light:
    """The light of the hour and the weather."""
    dimming = _DIMMING[place.weather]
    red, green, blue = _AMBIENT[place.daytime]
    sunny = place.daytime == "day" and place.weather == "clear"
    return Light(
        ambient=(red * dimming, green * dimming, blue * dimming),
        haze=_SKIES[place.daytime, place.weather][1],
        clearness=_CLEARNESS[place.weather],
        headlights=_HEADLIGHTS[place.daytime],
        shadows=0.55 if sunny else 0.32,
    )


def draw_sky(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
    """A gradient with clouds over the whole canvas."""
    camera = canvas.camera
    zenith, horizon, cloud = (
        np.array(colour, np.float32) for colour in _SKIES[place.daytime, place.weather]
    )
    rows, columns = camera.height // 8, camera.width // 8
    up = np.clip(1 - np.arange(rows) * 8 / max(camera.horizon, 1), 0, 1)[:, None, None]
    sky = horizon + (zenith - horizon) * up**0.7
    cover = {"clear": rng.uniform(0, 0.6), "overcast": 0.8, "rain": 0.9}[place.weather]
    noise = np.zeros((rows, columns), np.float32)
    for cells, share in ((3, 0.55), (7, 0.3), (15, 0.15)):
        noise += _smooth_noise(rng, rows, columns, cells) * np.float32(share)
    density = np.clip((noise - (1 - cover)) * 3, 0, 1)[:, :, None] * np.minimum(1, up * 4)
    sky = sky + (cloud - sky) * density * rng.uniform(0.5, 0.9)
    picture = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8))
    canvas.backdrop(picture.resize((camera.width, camera.height), Image.Resampling.BICUBIC))


def _smooth_noise(
    rng: np.random.Generator, rows: int, columns: int, cells: int
) -> npt.NDArray[np.float32]:
    """Values around 0.5, in wide flat patches as clouds are."""
    grid = Image.fromarray(rng.random((cells, cells * 2 // 3 + 1), np.float32))
    return np.asarray(grid.resize((columns, rows), Image.Resampling.BICUBIC))


def draw_ground(canvas: Canvas, place: Place, rng: np.random.Generator, travelled: float) -> None:
    """Far hills or roofs, open ground, pavement, the road and what is painted on it."""
    road = place.road
    ground: Colour = {
        "urban": (128, 122, 116),
        "suburban": (92, 118, 62),
        "highway": (104, 116, 66),
        "rural": (100, 116, 58),
    }[place.environment]
    if place.autumn and place.environment != "urban":
        ground = mixed(ground, (150, 124, 62), 0.5)
    _draw_skyline(canvas, place, rng)
    canvas.face(
        [(-900, 0, FARTHEST), (900, 0, FARTHEST), (900, 0, 2000), (-900, 0, 2000)],
        canvas.light.on(ground, 400),
        shining=True,
    )
    draw_ribbon(canvas, -400, 400, ground, steps=10)
    paving = pick(rng, [(164, 160, 152), (150, 146, 142), (172, 158, 140)])
    if place.environment in ("rural", "highway"):
        paving = mixed(ground, (140, 130, 112), 0.7)
    draw_ribbon(canvas, road.outer_left, road.outer_right, paving)
    asphalt_tone = int(rng.integers(82, 122))
    asphalt: Colour = (asphalt_tone, asphalt_tone, asphalt_tone + int(rng.integers(-3, 5)))
    if place.weather == "rain":
        asphalt = scaled(asphalt, 0.72)
    draw_ribbon(canvas, road.left, road.verge, asphalt)
    if place.environment == "highway" and road.oncoming:
        inner, outer = max(road.oncoming), min(road.oncoming)
        draw_ribbon(canvas, outer - road.lane / 2, inner + road.lane / 2, asphalt)
        draw_ribbon(canvas, inner + road.lane / 2, road.left, mixed(ground, asphalt, 0.3))
    if place.environment in ("urban", "suburban"):
        for edge in (road.verge, road.left):
            draw_ribbon(canvas, edge - 0.1, edge + 0.12, (176, 174, 168))
    _draw_patches(canvas, place, rng, asphalt)
    _draw_markings(canvas, place, rng, travelled)


def draw_ribbon(
    canvas: Canvas,
    x0: float,
    x1: float,
    colour: Colour,
    *,
    z0: float = 1.0,
    z1: float = FARTHEST,
    steps: int = 14,
    retro: float = 0.0,
) -> None:
    """A strip along the road; in pieces that grow with distance, so that it bends and fades."""
    z0 = max(z0, 1.0)
    if z1 <= z0:
        return
    cuts = np.geomspace(z0, z1, steps + 1).tolist()
    for near, far in itertools.pairwise(cuts):
        canvas.face([(x0, 0, near), (x1, 0, near), (x1, 0, far), (x0, 0, far)], colour, retro=retro)


def draw_rectangle(
    canvas: Canvas, x: float, z: float, size: tuple[float, float], colour: Colour
) -> None:
    """A rectangle painted on the ground: ``size`` is its width and its length along the road."""
    outline = rectangle(x - size[0] / 2, z, x + size[0] / 2, z + size[1])
    canvas.face([(u, 0.0, v) for u, v in outline], colour)


def _draw_skyline(canvas: Canvas, place: Place, rng: np.random.Generator) -> None:
    """Silhouettes at the horizon: roofs in town, hills elsewhere."""
    z = 600.0
    colour: Colour = (112, 116, 126) if place.environment == "urban" else (86, 102, 84)
    if place.environment == "urban":
        for _ in range(26):
            x, width, height = rng.uniform(-420, 420), rng.uniform(14, 40), rng.uniform(10, 60)
            canvas.flat(x, z, rectangle(-width / 2, -2, width / 2, height), colour)
        return
    heights = rng.uniform(4, 34, 13)
    along = np.linspace(-560, 560, 60)
    ridge = np.interp(along, np.linspace(-560, 560, 13), heights) + rng.uniform(0, 3, 60)
    outline = [(-560.0, -2.0), *zip(along.tolist(), ridge.tolist(), strict=True), (560.0, -2.0)]
    canvas.flat(0, z, outline, colour)


def _draw_patches(canvas: Canvas, place: Place, rng: np.random.Generator, asphalt: Colour) -> None:
    """Repairs of old, cracks and covers: every road has them."""
    road = place.road
    for _ in range(int(rng.integers(0, 4))):
        x, z = rng.uniform(road.left, road.right), rng.uniform(4, 40)
        size = (rng.uniform(0.6, 2.2), rng.uniform(1, 7))
        draw_rectangle(canvas, x, z, size, scaled(asphalt, rng.uniform(0.78, 1.15)))
    for _ in range(int(rng.integers(0, 3))):
        x, z = rng.uniform(road.left, road.right), rng.uniform(5, 30)
        turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        outline = [(x + 0.32 * np.cos(t), 0.0, z + 0.32 * np.sin(t)) for t in turns.tolist()]
        canvas.face(outline, scaled(asphalt, 0.6))


def _draw_markings(
    canvas: Canvas, place: Place, rng: np.random.Generator, travelled: float
) -> None:
    """Lines between lanes, at the edges and between the directions; a crossing here and there."""
    road = place.road
    dash, period = (3.0, 12.0) if place.environment == "highway" else (3.0, 7.5)
    for line in road.lane_lines:
        _dashes(canvas, line, dash, period, travelled)
    if road.centre is not None:
        yellow = bool(rng.random() < 0.6)
        paint = YELLOW_PAINT if yellow else WHITE_PAINT
        if yellow or rng.random() < 0.3:
            for side in (-0.13, 0.13):
                draw_ribbon(canvas, road.centre + side - 0.06, road.centre + side + 0.06, paint)
        else:
            _dashes(canvas, road.centre, dash, period, travelled)
    if place.environment != "suburban":
        for edge in (road.left + 0.25, road.right - 0.25):
            draw_ribbon(canvas, edge - 0.07, edge + 0.07, WHITE_PAINT, retro=0.2)
    if place.environment == "urban" and rng.random() < 0.35:
        z, count = rng.uniform(9, 26), int((road.right - road.left) / 1.0)
        for index in range(count):
            draw_rectangle(canvas, road.left + 0.6 + index, z, (0.5, 3.2), WHITE_PAINT)


def _dashes(canvas: Canvas, x: float, dash: float, period: float, travelled: float) -> None:
    start = -(travelled % period)
    for index in range(18):
        z = max(1.0, start + index * period)
        end = start + index * period + dash
        if end > z:
            draw_ribbon(canvas, x - 0.07, x + 0.07, WHITE_PAINT, z0=z, z1=end, steps=1, retro=0.2)


def draw_bonnet(canvas: Canvas, colour: Colour) -> None:
    """The own car's bonnet along the bottom edge, as many dashcams see it."""
    camera = canvas.camera
    x = camera.eye * 0.62
    y = camera.eye - 0.66 * camera.height / camera.focal
    outline = [(-1.3 * x, y - 1), (-1.2 * x, y), (0, y + 0.06), (1.2 * x, y), (1.3 * x, y - 1)]
    canvas.flat(0, 1.0, outline, colour)
