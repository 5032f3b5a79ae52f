"""Cones, drums, tubes, panels and beacons."""

from __future__ import annotations

import math

import numpy as np

from workzone.scenes.rendered.material import (
    DARK,
    RUBBER,
    Colour,
    Material,
    Model,
    Part,
    banded,
    lean,
    plain,
    sheeting,
    striped,
    surface,
    varied,
    worn,
)
from workzone.scenes.rendered.mesh import Mesh, box, plate, revolve, rod, wavy

ORANGE: Colour = (255, 100, 26)
LIME: Colour = (200, 230, 44)
WHITE: Colour = (242, 242, 238)
RED: Colour = (200, 28, 32)
AMBER: Colour = (255, 168, 30)


def cone(
    rng: np.random.Generator, wear: float, *, bands: int = 2, colour: Colour = ORANGE
) -> Model:
    """A cone 0.75 m high on a square foot, with 0 to 2 sleeves of sheeting."""
    height, low, tip = 0.75, 0.145, 0.03
    ink = varied(colour, rng)
    profile = [(low, 0.03), (tip, height - 0.01), (tip * 0.8, height), (tip * 0.55, height)]
    steps = np.linspace(0, 1, 12)[1:-1]
    between = [(low + (tip - low) * s, 0.03 + (height - 0.04) * s) for s in steps.tolist()]
    body = revolve([profile[0], *between, *profile[1:]])
    dents = wavy(rng, 0.002 + 0.012 * wear, 0.3)
    parts = [Part(body.bent(dents), Material(worn(plain(ink), rng, wear), "plastic", 0.32))]
    for bottom, top in ((0.36, 0.56), (0.68, 0.82))[:bands]:
        ring = [
            (low + (tip - low) * s + 0.003, 0.03 + (height - 0.04) * s)
            for s in np.linspace(bottom, top, 5).tolist()
        ]
        sleeve = sheeting(plain(WHITE), rng, wear)
        parts.append(Part(revolve(ring).bent(dents), sleeve))
    black = rng.random() < 0.55
    foot_ink = varied(RUBBER if black else ink, rng)
    foot = box((0.38, 0.38, 0.035), (0, 0, 0.0175), 0.01)
    collar = revolve([(0.165, 0.033), (0.16, 0.045), (low, 0.055)])
    base = surface(foot_ink, rng, min(1, wear + 0.3), roughness=0.45)
    parts += [Part(foot, base), Part(collar, base)]
    return _leaning(parts, rng, 1.5 + 2 * wear)


def fallen_cone(rng: np.random.Generator, wear: float, *, bands: int = 2) -> Model:
    """A cone that somebody knocked over."""
    down = math.pi / 2 + math.atan2(0.19 - 0.03, 0.75)
    lying = [
        Part(part.mesh.turned(down, "y"), part.material)
        for part in cone(rng, min(1, wear + 0.2), bands=bands)
    ]
    lowest = min(float(part.mesh.vertices[:, 2].min()) for part in lying)
    return [Part(part.mesh.moved(-0.3, 0, -lowest), part.material) for part in lying]


def drum(rng: np.random.Generator, wear: float) -> Model:
    """A channelizing drum: 0.95 m, ribbed, orange and white, on a rubber ring."""
    radii = [(0.29, 0.05), (0.29, 0.14), (0.265, 0.16), (0.265, 0.32), (0.25, 0.34), (0.25, 0.5)]
    radii += [(0.238, 0.52), (0.238, 0.68), (0.225, 0.7), (0.225, 0.84), (0.2, 0.92), (0.17, 0.95)]
    body = revolve([*radii, (0.001, 0.955)], 48)
    bands = [(0.14, 0.29, WHITE), (0.48, 0.66, WHITE)]
    if rng.random() < 0.6:
        bands = [(0.12, 0.3, WHITE), (0.5, 0.68, WHITE)]
    ink = varied(ORANGE, rng)
    texture = worn(banded(ink, bands), rng, wear)
    handle = rod((-0.08, 0, 1.02), (0.08, 0, 1.02), 0.016)
    sides = [rod((x, 0, 0.94), (x, 0, 1.02), 0.016) for x in (-0.08, 0.08)]
    plastic = surface(ink, rng, wear)
    ring = revolve([(0.38, 0.0), (0.38, 0.05), (0.3, 0.075), (0.27, 0.08)])
    dents = wavy(rng, 0.004 + 0.02 * wear, 0.5)
    parts = [
        Part(body.bent(dents), Material(texture, "plastic", 0.3, retro=3)),
        Part(ring, surface(RUBBER, rng, 0.8, roughness=0.5)),
        *(Part(mesh, plastic) for mesh in (handle, *sides)),
    ]
    return _leaning(parts, rng, 1.2)


def tube(rng: np.random.Generator, wear: float) -> Model:
    """A tubular marker: slim, 1 m, two sleeves, a broad foot."""
    ink = varied(ORANGE, rng)
    body = revolve([(0.05, 0.05), (0.048, 0.96), (0.04, 0.99), (0.015, 1.0)], 24)
    texture = banded(ink, [(0.56, 0.68, WHITE), (0.8, 0.91, WHITE)])
    foot = revolve([(0.2, 0.0), (0.2, 0.03), (0.14, 0.055), (0.06, 0.075)])
    parts = [
        Part(body.bent(wavy(rng, 0.02 * wear + 0.002, 0.8)), _sleeved(texture, rng, wear)),
        Part(foot, surface(RUBBER, rng, 0.7, roughness=0.5)),
    ]
    return _leaning(parts, rng, 3)


def vertical_panel(rng: np.random.Generator, wear: float) -> Model:
    """A vertical panel, 0.3 m by 0.9 m in orange and white."""
    return _panel(rng, wear, (0.3, 0.9), ORANGE, 0.25)


def beacon(rng: np.random.Generator, wear: float) -> Model:
    """A beacon, 0.25 m by 1 m in red and white, on a long foot of recycled rubber."""
    return _panel(rng, wear, (0.25, 1.0), RED, 0.16)


def _panel(
    rng: np.random.Generator, wear: float, size: tuple[float, float], ink: Colour, bottom: float
) -> Model:
    width, height = size
    slant = 4.2 if rng.random() < 0.5 else -4.2
    texture = striped(varied(ink, rng), WHITE, 1.25, slant, (64, 256))
    outline = rounded(width, height, 0.03, bottom)
    front, back = plate(outline, 0.02)
    foot = box((0.4, 0.8, 0.1), (0, 0.0, 0.05), 0.03)
    parts = [
        Part(front.bent(wavy(rng, 0.006 * wear, 0.3)), sheeting(texture, rng, wear)),
        Part(back, surface((205, 204, 198), rng, wear)),
        Part(
            box((0.05, 0.05, bottom + 0.3), (0, 0.045, bottom / 2 + 0.15)), surface(DARK, rng, 0.4)
        ),
        Part(foot, surface(RUBBER, rng, 0.9, roughness=0.55)),
    ]
    if rng.random() < 0.45:
        parts += warning_lamp(rng, (0, 0.02, bottom + height))
    return _leaning(parts, rng, 2)


def warning_lamp(rng: np.random.Generator, spot: tuple[float, float, float]) -> Model:
    """An amber lamp, lit or not, on a case that stands at ``spot``."""
    x, y, z = spot
    case = box((0.12, 0.09, 0.13), (x, y, z + 0.065), 0.015)
    lens = revolve([(0.09, -0.02), (0.085, 0.015), (0.05, 0.03), (0.001, 0.034)], 24)
    lens = lens.turned(math.pi / 2, "x").moved(x, y - 0.01, z + 0.22)
    lit = 3.0 if rng.random() < 0.6 else 0.0
    glass = Material(plain(AMBER if lit else (214, 128, 20)), "plastic", 0.12, lamp=lit)
    rim = revolve([(0.1, -0.03), (0.1, 0.03)], 24).turned(math.pi / 2, "x").moved(x, y, z + 0.22)
    return [
        Part(case, surface((222, 176, 30), rng, 0.3)),
        Part(lens, glass),
        Part(rim, surface(DARK, rng, 0.2)),
    ]


def rounded(width: float, height: float, radius: float, bottom: float) -> list[tuple[float, float]]:
    """The outline of an upright rectangle with round corners, for `mesh.plate`."""
    corners = [(1, 0, -90.0), (1, 1, 0.0), (0, 1, 90.0), (0, 0, 180.0)]
    outline = []
    for right, up, start in corners:
        cx = (width / 2 - radius) * (1 if right else -1)
        cz = bottom + (height - radius if up else radius)
        for turn in np.radians(np.linspace(start, start + 90, 5)).tolist():
            outline.append((cx + radius * math.cos(turn), cz + radius * math.sin(turn)))
    return outline


def _sleeved(texture: np.ndarray, rng: np.random.Generator, wear: float) -> Material:
    return Material(worn(texture, rng, wear), "plastic", 0.3, retro=3)


def _leaning(parts: Model, rng: np.random.Generator, degrees: float) -> Model:
    first, second = lean(rng, degrees), lean(rng, degrees)

    def tilted(mesh: Mesh) -> Mesh:
        return mesh.turned(first, "x").turned(second, "y")

    return [Part(tilted(part.mesh), part.material) for part in parts]
