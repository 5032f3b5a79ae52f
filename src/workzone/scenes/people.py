"""People: those who walk by, and those who work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workzone.scenes.canvas import Canvas, Colour, rectangle, scaled
from workzone.scenes.place import pick
from workzone.scenes.solids import disc_outline, limb

SKINS: tuple[Colour, ...] = ((232, 190, 160), (196, 146, 110), (136, 92, 66), (92, 62, 46))
HI_VIS: tuple[Colour, ...] = ((255, 112, 24), (214, 240, 40), (255, 130, 40))
BRIGHT_CLOTHES: tuple[Colour, ...] = ((250, 116, 30), (222, 236, 60), (216, 40, 44), (250, 190, 40))
CLOTHES: tuple[Colour, ...] = (
    (40, 44, 58),
    (90, 94, 100),
    (186, 182, 174),
    (64, 84, 120),
    (112, 60, 62),
    (60, 80, 60),
)
HELMETS: tuple[Colour, ...] = ((250, 214, 40), (240, 240, 238), (250, 120, 30))
_SILVER: Colour = (224, 226, 220)
_BROOMSTICK: Colour = (140, 104, 66)

Joint = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pose:
    """Joints as offsets across and heights, of somebody 1.75 m tall."""

    feet: tuple[Joint, Joint]
    hips: Joint
    shoulders: Joint
    hands: tuple[Joint, Joint]

    @property
    def head(self) -> Joint:
        """The middle of the head, in line with the trunk."""
        lean = self.shoulders[0] - self.hips[0]
        return self.shoulders[0] + lean * 0.4, self.shoulders[1] + 0.2 - abs(lean) * 0.15


STANDING = Pose(((-0.1, 0), (0.1, 0)), (0, 0.92), (0, 1.42), ((-0.26, 0.85), (0.26, 0.85)))
WALKING = Pose(((-0.28, 0), (0.26, 0)), (0, 0.9), (0.03, 1.42), ((-0.25, 0.95), (0.28, 0.98)))
DIGGING = Pose(((-0.22, 0), (0.2, 0)), (-0.08, 0.86), (0.26, 1.24), ((0.5, 0.86), (0.36, 0.66)))
POINTING = Pose(((-0.14, 0), (0.14, 0)), (0, 0.92), (0, 1.42), ((-0.26, 0.85), (0.55, 1.36)))
STOOPING = Pose(((-0.18, 0), (0.16, 0)), (-0.16, 0.8), (0.3, 1.0), ((0.42, 0.45), (0.5, 0.5)))
WORK_POSES = (STANDING, WALKING, DIGGING, POINTING, STOOPING)


@dataclass(frozen=True, slots=True)
class Outfit:
    """What somebody wears."""

    skin: Colour
    top: Colour
    trousers: Colour
    hair: Colour
    helmet: Colour | None = None
    reflective: bool = False


def passer_by(rng: np.random.Generator, *, bright: bool) -> Outfit:
    """Everyday clothes; ``bright`` ones could be taken for a worker's by colour alone."""
    top = pick(rng, BRIGHT_CLOTHES if bright else CLOTHES)
    return Outfit(pick(rng, SKINS), top, pick(rng, CLOTHES[:4]), pick(rng, CLOTHES[:2]))


def crew_member(rng: np.random.Generator) -> Outfit:
    """A high-visibility vest or suit with silver bands, and mostly a helmet."""
    top = pick(rng, HI_VIS)
    trousers = top if rng.random() < 0.3 else pick(rng, CLOTHES[:2])
    helmet = pick(rng, HELMETS) if rng.random() < 0.85 else None
    return Outfit(pick(rng, SKINS), top, trousers, (40, 34, 30), helmet, reflective=True)


def draw_person(
    canvas: Canvas, *, x: float, z: float, outfit: Outfit, pose: Pose, facing: int, tall: float = 1
) -> None:
    """Somebody in a pose; ``facing`` 1 looks right, -1 left; ``tall`` in units of 1.75 m."""

    def place(joint: Joint) -> Joint:
        return joint[0] * facing * tall, joint[1] * tall

    def middle(first: Joint, second: Joint, out: float) -> Joint:
        a, b = place(first), place(second)
        return (a[0] + b[0]) / 2 + out * facing * tall, (a[1] + b[1]) / 2

    canvas.shadow(x - 0.3, x + 0.3, z - 0.05, z + 0.35, 0.8)
    retro = 0.8 if outfit.reflective else 0.0
    for foot, shade in zip(pose.feet, (0.8, 1.0), strict=True):
        knee = middle(foot, pose.hips, 0.05)
        trousers = scaled(outfit.trousers, shade)
        limb(canvas, x, z, place(pose.hips), knee, 0.2 * tall, trousers)
        limb(canvas, x, z, knee, place(foot), 0.15 * tall, trousers)
        shoe = [(place(foot)[0] + dx, dy) for dx, dy in rectangle(-0.1, 0, 0.13, 0.08)]
        canvas.flat(x, z, shoe, (34, 30, 28))
        if outfit.reflective:
            _band(canvas, x, z, knee, place(foot), 0.5, 0.16 * tall)
    hips, shoulders = place(pose.hips), place(pose.shoulders)
    limb(canvas, x, z, hips, shoulders, 0.42 * tall, outfit.top)
    limb(canvas, x, z, hips, shoulders, 0.14 * tall, scaled(outfit.top, 0.85))
    if outfit.reflective:
        for share in (0.2, 0.5):
            _band(canvas, x, z, hips, shoulders, share, 0.43 * tall, retro)
        for dx in (-0.12, 0.12):
            strap = ((hips[0] + dx, hips[1] + 0.25), (shoulders[0] + dx, shoulders[1]))
            limb(canvas, x, z, *strap, 0.05, _SILVER, retro=retro)
    for hand, side in zip(pose.hands, (-1, 1), strict=True):
        shoulder = (shoulders[0] + 0.2 * side * facing * tall, shoulders[1] - 0.06)
        elbow = ((shoulder[0] + place(hand)[0]) / 2, (shoulder[1] + place(hand)[1]) / 2 - 0.04)
        limb(canvas, x, z, shoulder, elbow, 0.13 * tall, scaled(outfit.top, 0.92))
        limb(canvas, x, z, elbow, place(hand), 0.11 * tall, scaled(outfit.top, 0.88))
        canvas.ball(x + place(hand)[0], place(hand)[1], z, 0.06 * tall, outfit.skin)
    _draw_head(canvas, x, z, place(pose.head), outfit, tall)


def _band(
    canvas: Canvas,
    x: float,
    z: float,
    start: Joint,
    end: Joint,
    share: float,
    width: float,
    retro: float = 0.8,
) -> None:
    """A silver band across a limb."""
    low, high = (
        (start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part)
        for part in (share - 0.05, share + 0.05)
    )
    limb(canvas, x, z, low, high, width, _SILVER, retro=retro)


def _draw_head(
    canvas: Canvas, x: float, z: float, head: Joint, outfit: Outfit, tall: float
) -> None:
    dx, y = head
    canvas.ball(x + dx, y, z, 0.12 * tall, outfit.skin)
    cap = [(dx + u, v) for u, v in disc_outline(0.135 * tall, y + 0.03) if v > y + 0.01]
    canvas.flat(x, z, cap, outfit.helmet or outfit.hair)
    if outfit.helmet:
        brim = rectangle(dx - 0.18 * tall, y + 0.02, dx + 0.18 * tall, y + 0.055)
        canvas.flat(x, z, brim, scaled(outfit.helmet, 0.9))


def draw_worker(
    canvas: Canvas, *, x: float, z: float, outfit: Outfit, pose: Pose, facing: int
) -> None:
    """A worker, with a shovel where the pose is one of digging."""
    draw_person(canvas, x=x, z=z, outfit=outfit, pose=pose, facing=facing)
    if pose is DIGGING:
        limb(canvas, x, z, (0.2 * facing, 1.0), (0.85 * facing, 0.15), 0.05, _BROOMSTICK)
        blade = [(0.76, 0.3), (0.9, 0.2), (1.02, 0.0), (0.8, 0.06)]
        canvas.flat(x, z, [(dx * facing, y) for dx, y in blade], (96, 98, 102))


def draw_flagger(canvas: Canvas, *, x: float, z: float, outfit: Outfit, stop: bool) -> None:
    """A worker who holds up a round STOP or a diamond SLOW paddle."""
    draw_person(canvas, x=x, z=z, outfit=outfit, pose=POINTING, facing=1)
    limb(canvas, x, z, (0.58, 0.5), (0.58, 1.9), 0.05, (200, 196, 186))
    corners, colour = (8, (196, 24, 30)) if stop else (4, (250, 120, 24))
    outline = disc_outline(0.36, 2.1, corners)
    if not stop:
        outline = [(0, 1.7), (0.4, 2.1), (0, 2.5), (-0.4, 2.1)]
    canvas.flat(x + 0.58, z, outline, colour, retro=0.7)
    canvas.flat(
        x + 0.58, z, rectangle(-0.2, 2.04, 0.2, 2.16), (240, 238, 232) if stop else (20,) * 3
    )


def draw_cyclist(canvas: Canvas, *, x: float, z: float, outfit: Outfit) -> None:
    """Somebody on a bicycle, seen from behind."""
    canvas.shadow(x - 0.3, x + 0.3, z - 0.1, z + 1.6, 0.8)
    canvas.flat(x, z, rectangle(-0.03, 0, 0.03, 0.68), (30, 30, 32))
    for side in (-1, 1):
        limb(canvas, x, z, (0.12 * side, 0.95), (0.16 * side, 0.55), 0.16, outfit.trousers)
        limb(canvas, x, z, (0.16 * side, 0.55), (0.12 * side, 0.25), 0.12, outfit.trousers)
        limb(canvas, x, z, (0.18 * side, 1.45), (0.32 * side, 1.05), 0.11, scaled(outfit.top, 0.9))
    limb(canvas, x, z, (0, 0.9), (0, 1.5), 0.4, outfit.top)
    _draw_head(canvas, x, z, (0, 1.68), outfit, 1.0)
