"""Street scenes that the package draws itself, with and without road work.

The street, its traffic and the picture's qualities of a seed are the same for both labels; what
differs is whether a work zone stands in it, and that scenes without one hold more of the ordinary
things which look alike.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.errors import UsageError
from workzone.scenes.background import draw_bonnet, draw_ground, draw_sky, make_light
from workzone.scenes.camera import Camera
from workzone.scenes.canvas import ORDINARY, SUPERSAMPLING, Canvas
from workzone.scenes.distractors import add_distractors
from workzone.scenes.layout import add_work_zone
from workzone.scenes.lens import develop
from workzone.scenes.place import PARKING_CONE, Place, Stage, choose_place
from workzone.scenes.roadside import add_roadside
from workzone.scenes.traffic import add_traffic
from workzone.types import OBJECT_CLASSES, Box

SMALLEST_SIDE = 64
"""Pixels; below this there is no street to see."""
VISIBLE_SHARE = 0.0006
"""Of the frame: a positive scene shows at least this much of its work zone."""
METRES_PER_FRAME = 9.0
"""How far the camera moves from one scene of a drive to the next."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn street.

    ``image``: uint8 ``[H, W, 3]``; ``masks``: bool ``[6, H, W]`` of the visible parts of the work
    zone in the order of ``OBJECT_CLASSES``; ``boxes``: class and box of each object of it.
    """

    image: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    label: int  # 1 road work, 0 none
    daytime: str  # day, dusk, night
    weather: str  # clear, overcast, rain
    scene: str  # urban, suburban, highway, rural
    boxes: list[tuple[str, Box]]


def draw_scene(seed: int, *, label: int, width: int = 640, height: int = 360) -> Scene:
    """Draw a street by lot; the same seed gives the same scene.

    Args:
        seed: of everything; not negative.
        label: 1 for a scene with road work, 0 for one without.
        width: pixels.
        height: pixels.

    Raises:
        UsageError: a label other than 0 and 1, a negative seed, or a size too small.
    """
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be 0 or more")
    return draw_frame(choose_place(seed), seed, label=label, width=width, height=height)


def draw_frame(
    place: Place, seed: int, *, label: int, frame: int = 0, width: int = 640, height: int = 360
) -> Scene:
    """Draw one scene of a drive: ``frame`` counts the scenes since its start at ``place``.

    Raises:
        UsageError: as for :func:`draw_scene`.
    """
    if label not in (0, 1):
        raise UsageError(f"label is {label!r}; it must be 1 (road work) or 0 (none)")
    if min(width, height) < SMALLEST_SIDE:
        raise UsageError(f"{width}x{height} pixels; at least {SMALLEST_SIDE} a side are needed")
    for attempt in itertools.count():
        scene = _draw_attempt(place, [seed, attempt], label, frame, (width, height))
        if label == 0 or scene.masks.any(axis=0).mean() >= VISIBLE_SHARE:
            break  # else all of the work zone was hidden or outside: another throw
    return scene


def _draw_attempt(
    place: Place, seed: list[int], label: int, frame: int, size: tuple[int, int]
) -> Scene:
    def stream(number: int) -> np.random.Generator:
        return np.random.default_rng([*seed, number])

    canvas = Canvas(make_camera(place, stream(10), size), make_light(place))
    travelled = frame * METRES_PER_FRAME
    stage = Stage(place)
    work = stream(11 + label)
    if label == 1:
        add_work_zone(stage, work)
    orange_shops = int(work.integers(0, 2)) if label else int(work.integers(0, 3))
    add_distractors(stage, work, int(work.integers(0, 4)) if label else int(work.integers(3, 8)))
    add_traffic(stage, stream(13))
    add_roadside(stage, travelled, orange_shops)
    draw_sky(canvas, place, stream(14))
    draw_ground(canvas, place, np.random.default_rng([place.seed, 2]), travelled)
    stage.draw(canvas)
    if stream(15).random() < 0.3:
        with canvas.owned(""):
            draw_bonnet(canvas, (46, 48, 54))
    masks, boxes = find_objects(canvas)
    return Scene(
        image=develop(canvas, place, stream(16), stream(17)),
        masks=masks,
        label=label,
        daytime=place.daytime,
        weather=place.weather,
        scene=place.environment,
        boxes=boxes,
    )


def make_camera(place: Place, rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """The camera of a place for pictures of ``size`` (width, height): aim, roll and bend by lot."""
    width, height = (side * SUPERSAMPLING for side in size)
    focal = place.focal * max(width, height * 4 / 3)
    sharpest = {"urban": 0.0004, "suburban": 0.001, "highway": 0.0004, "rural": 0.0016}
    return Camera(
        width=width,
        height=height,
        focal=focal,
        horizon=height * (place.horizon + rng.normal(0, 0.012)),
        centre=width * (0.5 + rng.normal(0, 0.05)),
        eye=place.eye,
        roll=rng.normal(0, 0.012),
        curve=rng.normal(0, sharpest[place.environment]),
        mirrored=place.mirrored,
    )


def find_objects(canvas: Canvas) -> tuple[npt.NDArray[np.bool_], list[tuple[str, Box]]]:
    """Masks of the classes and boxes of the objects, of what can be seen of them."""
    owners = canvas.owners()
    height, width = owners.shape
    classes = np.full(ORDINARY + 1 + len(canvas.kinds), len(OBJECT_CLASSES))  # of none
    boxes: list[tuple[str, Box]] = []
    for number, kind in enumerate(canvas.kinds, start=ORDINARY + 1):
        if kind != PARKING_CONE:
            classes[number] = OBJECT_CLASSES.index(kind)
        rows, columns = np.nonzero(owners == number)
        if len(rows):
            box = (
                float(columns.min()) / width,
                float(rows.min()) / height,
                float(columns.max() + 1) / width,
                float(rows.max() + 1) / height,
            )
            boxes.append((kind, box))
    of_pixels = classes[owners]
    return np.stack([of_pixels == channel for channel in range(len(OBJECT_CLASSES))]), boxes
