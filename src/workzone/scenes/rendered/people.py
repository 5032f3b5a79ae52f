"""People: simple bodies in cloth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from workzone.scenes.place import pick
from workzone.scenes.rendered.markers import WHITE
from workzone.scenes.rendered.material import (
    Colour,
    Material,
    Model,
    Part,
    plain,
    sheeting,
    surface,
    varied,
    worn,
)
from workzone.scenes.rendered.mesh import (
    Floats,
    Mesh,
    Vector,
    ellipsoid,
    grid,
    joined,
    plate,
    revolve,
    rod,
    wavy,
)

SKINS: tuple[Colour, ...] = ((214, 166, 138), (178, 128, 96), (120, 80, 58), (84, 56, 42))
HI_VIS: tuple[Colour, ...] = ((250, 92, 26), (206, 232, 40), (246, 104, 34))
BRIGHT: tuple[Colour, ...] = ((244, 104, 34), (206, 224, 60), (206, 40, 44), (240, 180, 40))
CLOTHES: tuple[Colour, ...] = (
    (38, 42, 54),
    (84, 88, 94),
    (176, 170, 160),
    (58, 76, 108),
    (104, 58, 60),
    (56, 74, 58),
    (210, 206, 198),
    (30, 30, 32),
)
TROUSERS: tuple[Colour, ...] = ((36, 42, 62), (44, 44, 48), (92, 84, 70), (26, 27, 30))
HELMETS: tuple[Colour, ...] = ((244, 204, 40), (232, 232, 228), (240, 110, 30), (36, 84, 170))


@dataclass(frozen=True, slots=True)
class Pose:
    """Joints of somebody 1.75 m tall who looks to the right: across, towards the viewer, height.

    ``lean``: radians that the trunk bends forwards.
    """

    feet: tuple[Vector, Vector]
    hands: tuple[Vector, Vector]
    hips: float = 0.93
    lean: float = 0.03


STANDING = Pose(((0.02, -0.11, 0), (-0.03, 0.11, 0)), ((0.05, -0.27, 0.82), (0.03, 0.27, 0.82)))
WALKING = Pose(
    ((0.3, -0.07, 0.0), (-0.32, 0.07, 0.05)), ((-0.22, -0.24, 0.9), (0.26, 0.24, 0.95)), 0.9
)
DIGGING = Pose(
    ((0.26, -0.14, 0), (-0.2, 0.16, 0)), ((0.62, -0.08, 0.72), (0.42, 0.1, 0.98)), 0.86, 0.62
)
POINTING = Pose(((0.04, -0.13, 0), (-0.04, 0.13, 0)), ((0.6, -0.12, 1.36), (0.02, 0.28, 0.82)))
STOOPING = Pose(
    ((0.2, -0.16, 0), (-0.16, 0.18, 0)), ((0.6, -0.12, 0.5), (0.55, 0.14, 0.46)), 0.8, 1.05
)
HANDS_UP = Pose(((0.03, -0.13, 0), (-0.03, 0.13, 0)), ((0.3, -0.18, 1.12), (0.3, 0.16, 1.1)))
WORK_POSES = (STANDING, WALKING, DIGGING, POINTING, STOOPING, HANDS_UP)
EVERYDAY_POSES = (STANDING, WALKING, WALKING, HANDS_UP)


def worker(rng: np.random.Generator, wear: float, *, paddle: bool = False) -> Model:
    """A worker in a vest or jacket with silver bands, mostly with a helmet.

    With ``paddle`` a flagger who holds up a sign.
    """
    pose = POINTING if paddle else pick(rng, WORK_POSES)
    vivid = pick(rng, HI_VIS)
    jacket = rng.random() < 0.45
    trousers = vivid if rng.random() < 0.3 else pick(rng, TROUSERS)
    sleeves = vivid if jacket else pick(rng, CLOTHES)
    parts = _body(rng, wear, pose, vivid, sleeves, trousers, bands=True, helmet=rng.random() < 0.85)
    if pose is DIGGING:
        parts += _shovel(rng, pose)
    if paddle:
        parts += _paddle(rng, wear, pose.hands[0])
    return parts


def passer_by(rng: np.random.Generator, wear: float, *, bright: bool = False) -> Model:
    """Somebody in everyday clothes; ``bright`` ones are of a worker's colours."""
    pose = pick(rng, EVERYDAY_POSES)
    top = pick(rng, BRIGHT if bright else CLOTHES)
    bare = rng.random() < 0.3
    sleeves = pick(rng, SKINS) if bare else top
    parts = _body(
        rng, wear * 0.3, pose, top, sleeves, pick(rng, TROUSERS), bands=False, helmet=False
    )
    if rng.random() < 0.35:
        pack = ellipsoid((0.13, 0.17, 0.25), (-0.2, 0, 1.22))
        parts.append(Part(pack, surface(pick(rng, CLOTHES), rng, 0.2, "matte")))
    return parts


def cyclist(rng: np.random.Generator, wear: float) -> Model:
    """Somebody on a bicycle that goes to the right."""
    pose = Pose(
        ((0.12, -0.1, 0.28), (-0.02, 0.1, 0.5)), ((0.55, -0.2, 1.08), (0.55, 0.2, 1.08)), 0.98, 0.55
    )
    rider = _body(
        rng,
        0.1,
        pose,
        pick(rng, BRIGHT),
        pick(rng, CLOTHES),
        pick(rng, TROUSERS),
        bands=False,
        helmet=rng.random() < 0.5,
    )
    return [*(Part(p.mesh.moved(-0.15), p.material) for p in rider), *bicycle(rng, wear)]


def bicycle(rng: np.random.Generator, wear: float) -> Model:
    """A bicycle that points to the right."""
    turn = np.linspace(0, 2 * math.pi, 33)
    tyres, spokes = [], []
    for x in (-0.52, 0.52):
        for a, b in zip(turn[:-1].tolist(), turn[1:].tolist(), strict=True):
            tyres.append(
                rod(
                    (x + 0.33 * math.cos(a), 0, 0.34 + 0.33 * math.sin(a)),
                    (x + 0.33 * math.cos(b), 0, 0.34 + 0.33 * math.sin(b)),
                    0.017,
                    n=6,
                )
            )
        spokes += [
            rod((x, 0, 0.34), (x + 0.32 * math.cos(a), 0, 0.34 + 0.32 * math.sin(a)), 0.002, n=4)
            for a in turn[:-1:3].tolist()
        ]
    seat, head, crank = (-0.2, 0, 0.92), (0.38, 0, 0.9), (-0.05, 0, 0.32)
    bars = [
        rod(a, b, 0.016, n=8)
        for a, b in (
            (crank, seat),
            (crank, (0.4, 0, 0.8)),
            ((-0.18, 0, 0.85), (0.39, 0, 0.86)),
            ((-0.52, 0, 0.34), crank),
            ((-0.52, 0, 0.34), (-0.18, 0, 0.85)),
            (head, (0.52, 0, 0.34)),
            ((0.36, -0.26, 1.02), (0.36, 0.26, 1.02)),
            (head, (0.36, 0, 1.02)),
        )
    ]
    saddle = ellipsoid((0.13, 0.07, 0.035), (-0.22, 0, 0.95))
    return [
        Part(joined(tyres), surface((30, 30, 30), rng, 0.4)),
        Part(joined(spokes), surface((150, 150, 150), rng, 0.1, "metal", 0.3)),
        Part(joined(bars), surface(pick(rng, CLOTHES + BRIGHT), rng, wear, "paint")),
        Part(saddle, surface((28, 28, 28), rng, 0.2)),
    ]


def _body(
    rng: np.random.Generator,
    wear: float,
    pose: Pose,
    top: Colour,
    sleeves: Colour,
    trousers: Colour,
    *,
    bands: bool,
    helmet: bool,
) -> Model:
    stout, tall = rng.uniform(0.92, 1.15), rng.normal(1.0, 0.04)
    skin = surface(pick(rng, SKINS), rng, 0.05, roughness=0.5)
    cloth = Material(worn(plain(varied(top, rng)), rng, wear), "matte")
    hips = np.array([0.0, 0.0, pose.hips])
    shift = hips - np.array([0, 0, 0.93])
    loose = 0.02 if bands else 0.0

    def bend(points: Floats) -> Floats:
        """The upright trunk and head, leant forwards about the hips."""
        above = np.clip((points[:, 2] - 0.93) / 0.35, 0, 1) * pose.lean
        sin, cos = np.sin(above), np.cos(above)
        up = points[:, 2] - 0.93
        leant = np.stack([points[:, 0] + up * sin, points[:, 1], 0.93 + up * cos], -1)
        return np.asarray(leant + shift)

    def trunk(first: float, last: float, grow: float) -> Mesh:
        rings = []
        for z in np.linspace(first, last, max(3, round((last - first) / 0.03))).tolist():
            deep = np.interp(z, _HEIGHTS, _DEEP) * stout + loose + grow
            wide = np.interp(z, _HEIGHTS, _WIDE) * stout + loose + grow
            turn = np.linspace(0, 2 * math.pi, 28, endpoint=False)
            x = deep * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.8
            y = wide * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** 0.8
            rings.append(np.stack([x, y, np.full(28, z)], -1))
        return grid(np.array(rings), closed=True)

    folds = wavy(rng, 0.012, 0.16)
    parts = [Part(trunk(0.84 if bands else 0.9, 1.5, 0.012).bent(folds).bent(bend), cloth)]
    pelvis = ellipsoid((0.13 * stout, 0.17 * stout, 0.14), (0, 0, 0.93))
    leg_cloth = Material(worn(plain(varied(trousers, rng)), rng, min(1, wear + 0.2)), "matte")
    parts.append(Part(pelvis.moved(*shift), leg_cloth))
    if bands:
        silver = sheeting(plain(WHITE), rng, wear * 0.7, retro=6)
        for z in (1.0, 1.16):
            parts.append(Part(trunk(z, z + 0.055, 0.017).bent(folds).bent(bend), silver))
        straps = [
            rod((x, y, 1.17), (x * 0.55, y, 1.475), 0.024, n=8)
            for x in (-0.125, 0.125)
            for y in (-0.105, 0.105)
        ]
        parts.append(Part(joined(straps).bent(bend), silver))
    legs, shoes, shins = [], [], []
    for foot, side in zip(pose.feet, (-1, 1), strict=True):
        hip = hips + np.array([0, side * 0.09 * stout, -0.03])
        ankle = np.array(foot) + np.array([0, 0, 0.09])
        knee = _joint(hip, ankle, 0.44, 0.43, np.array([1.0, side * 0.15, 0.0]))
        legs += [
            rod(_tuple(hip), _tuple(knee), 0.092 * stout, 0.068),
            rod(_tuple(knee), _tuple(ankle), 0.07, 0.058),
        ]
        shoes.append(ellipsoid((0.15, 0.052, 0.058), _tuple(ankle + np.array([0.045, 0, -0.045]))))
        shins.append(
            rod(_tuple(knee + (ankle - knee) * 0.42), _tuple(knee + (ankle - knee) * 0.5), 0.074)
        )
    parts.append(Part(joined(legs).bent(wavy(rng, 0.012, 0.12)), leg_cloth))
    parts.append(Part(joined(shoes), surface((44, 36, 30), rng, 0.6)))
    if bands and rng.random() < 0.6:
        parts.append(Part(joined(shins), sheeting(plain(WHITE), rng, wear, retro=6)))
    arms, hands = [], []
    shoulders = bend(np.array([[0, -0.185 * stout, 1.42], [0, 0.185 * stout, 1.42]]))
    for hand, shoulder, side in zip(pose.hands, shoulders, (-1, 1), strict=True):
        target = np.array(hand)
        elbow = _joint(shoulder, target, 0.3, 0.28, np.array([-0.8, side * 0.3, -0.5]))
        reach = elbow + (target - elbow) * min(
            1.0, 0.28 / max(float(np.linalg.norm(target - elbow)), 1e-6)
        )
        arms += [
            rod(_tuple(shoulder), _tuple(elbow), 0.066, 0.052),
            rod(_tuple(elbow), _tuple(reach), 0.052, 0.042),
        ]
        hands.append(ellipsoid((0.045, 0.04, 0.06), _tuple(reach + (reach - elbow) * 0.18)))
    parts.append(
        Part(
            joined(arms).bent(wavy(rng, 0.009, 0.1)),
            Material(worn(plain(varied(sleeves, rng)), rng, wear), "matte"),
        )
    )
    parts.append(Part(joined(hands), skin))
    head = [
        ellipsoid((0.1, 0.078, 0.125), (0.015, 0, 1.635)),
        rod((0, 0, 1.46), (0, 0, 1.56), 0.056),
    ]
    head.append(ellipsoid((0.02, 0.016, 0.025), (0.115, 0, 1.62)))
    parts.append(Part(joined(head).bent(bend), skin))
    parts += [Part(p.mesh.bent(bend), p.material) for p in _headwear(rng, wear, helmet)]
    return [Part(p.mesh.scaled(tall), p.material) for p in parts]


_HEIGHTS = (0.84, 0.93, 1.05, 1.25, 1.38, 1.45, 1.5)
_DEEP = (0.125, 0.13, 0.115, 0.135, 0.12, 0.09, 0.055)
_WIDE = (0.17, 0.175, 0.155, 0.18, 0.185, 0.15, 0.06)


def _headwear(rng: np.random.Generator, wear: float, helmet: bool) -> Model:
    hair = ellipsoid((0.108, 0.086, 0.105), (-0.008, 0, 1.675))
    parts = [
        Part(
            hair,
            surface(pick(rng, ((36, 28, 24), (70, 52, 38), (120, 112, 104))), rng, 0.1, "matte"),
        )
    ]
    if helmet:
        shell = [
            (0.128, 0.0),
            (0.127, 0.05),
            (0.115, 0.1),
            (0.08, 0.14),
            (0.03, 0.16),
            (0.001, 0.162),
        ]
        brim = [(0.128, 0.0), (0.15, -0.004), (0.15, 0.006), (0.125, 0.012)]
        material = surface(varied(pick(rng, HELMETS), rng), rng, wear, roughness=0.18)
        dome = revolve(shell, 28).scaled(1.1, 0.92, 1).moved(0, 0, 1.66)
        parts += [
            Part(dome, material),
            Part(revolve(brim, 28).scaled(1.2, 0.95, 1).moved(0.02, 0, 1.66), material),
        ]
    return parts


def _shovel(rng: np.random.Generator, pose: Pose) -> Model:
    (x0, y0, z0), (x1, y1, z1) = pose.hands[1], pose.hands[0]
    way = np.array([x1 - x0, y1 - y0, z1 - z0])
    way /= np.linalg.norm(way)
    start = np.array([x0, y0, z0]) - way * 0.3
    end = start + way * max(0.5, (start[2] - 0.12) / max(-way[2], 0.3))
    blade = ellipsoid((0.13, 0.1, 0.02)).turned(0.9, "y").moved(*(end + way * 0.1).tolist())
    return [
        Part(
            rod(_tuple(start), _tuple(end), 0.017, n=8), surface((150, 112, 70), rng, 0.4, "matte")
        ),
        Part(blade, surface((110, 108, 106), rng, 0.6, "metal", 0.4)),
    ]


def _paddle(rng: np.random.Generator, wear: float, hand: Vector) -> Model:
    x, y, _ = hand
    stop = rng.random() < 0.6
    corners = [math.radians(22.5 + 45 * k) for k in range(8)]
    outline = [(0.3 * math.cos(t), 2.05 + 0.3 * math.sin(t)) for t in corners]
    front, back = plate(outline, 0.006)
    face = sheeting(plain((186, 24, 30) if stop else (246, 104, 26)), rng, wear)
    pole = rod((x, y, 0.75), (x, y, 2.2), 0.016, n=8)
    return [
        Part(front.moved(x, y - 0.02), face),
        Part(back.moved(x, y - 0.02), face),
        Part(pole, surface((200, 196, 186), rng, wear)),
    ]


def _joint(start: Floats, end: Floats, first: float, second: float, way: Floats) -> Floats:
    """Where a limb of two bones bends, towards ``way``."""
    span = end - start
    distance = float(np.linalg.norm(span))
    along = span / max(distance, 1e-9)
    if distance >= first + second:
        return start + along * (distance * first / (first + second))
    share = (first**2 - second**2 + distance**2) / (2 * distance)
    out = way - along * float(way @ along)
    out /= max(float(np.linalg.norm(out)), 1e-9)
    joint: Floats = start + along * share + out * math.sqrt(max(first**2 - share**2, 0.0))
    return joint


def _tuple(point: Floats) -> Vector:
    x, y, z = point.tolist()
    return x, y, z
