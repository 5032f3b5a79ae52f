"""Rendered objects put into a real photograph, by differential rendering.

Where objects stand is as in the drawn composites. The photograph is darkened by what the renderer
says of their shadows, and they are laid over it in its light, grain and sharpness.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.scenes.camera import Camera
from workzone.scenes.canvas import SUPERSAMPLING
from workzone.scenes.composite import find_horizon
from workzone.scenes.compositor import Composite
from workzone.scenes.distractors import add_distractors
from workzone.scenes.exposure import brightness_of, choose_darkness, darken
from workzone.scenes.layout import add_work_zone
from workzone.scenes.place import Place, Stage, choose_place
from workzone.scenes.rendered.layers import Sheet
from workzone.scenes.rendered.library import CutoutLibrary, choose_spec
from workzone.scenes.rendered.light import OVERCAST
from workzone.scenes.rendered.photo import PhotoLight, ground_map, read_light
from workzone.scenes.rendered.pixels import Pixels
from workzone.scenes.rendered.requests import Request, add_street_furniture, requests
from workzone.scenes.scene import VISIBLE_SHARE, make_camera

_THROWS = 16
"""Arrangements that are thrown at once; the one that best keeps to the road is taken."""
_HANGING = 0.12
"""Things on spots that look less like road are left out."""
_CHOOSY = 4
"""So many times; a photograph may show no road at all."""
_SMALLEST = 5.0
"""Pixels per metre; what is farther is left out."""


@dataclass(frozen=True, slots=True)
class RenderedObjects:
    """A `Compositor` of path-traced objects from a library of cut-outs."""

    library: CutoutLibrary
    twins: ClassVar[bool] = False

    @property
    def version(self) -> str:
        """See `Compositor`."""
        return f"rendered-1 {self.library.version}"

    def compose(
        self, photo: npt.NDArray[np.uint8], seed: tuple[int, ...], *, label: int
    ) -> Composite:
        """Put rendered objects into a photograph; the same arguments give the same bytes.

        Raises:
            MissingExtraError: a cut-out is to be rendered, and Mitsuba is not installed.
        """
        told = find_horizon(photo)
        for attempt in itertools.count():
            rng = np.random.default_rng([*seed, attempt])
            street = _best_street(rng, photo, label, told)
            if attempt < _CHOOSY:
                street = _standing(street, photo)
            sheet, darkened = _laid_out(photo, street, self.library, rng)
            masks, objects = sheet.found()
            if label == 0 or masks.any(axis=0).mean() >= VISIBLE_SHARE:
                break  # else the work zone lies outside the frame: another throw
        buffer = io.BytesIO()
        quality = int(rng.integers(60, 96))
        Image.fromarray(sheet.picture(rng)).save(buffer, format="JPEG", quality=quality)
        return Composite(buffer.getvalue(), masks, objects, darkened)


@dataclass(frozen=True, slots=True)
class _Street:
    camera: Camera
    things: list[Request]


def _best_street(
    rng: np.random.Generator, photo: npt.NDArray[np.uint8], label: int, told: float | None
) -> _Street:
    """Of several arrangements the one whose things stand on what looks like road."""
    height, width = photo.shape[:2]
    ground = ground_map(photo)
    streets = []
    for _ in range(_THROWS):
        place = choose_place(int(rng.integers(1 << 40)))
        if told is not None:
            place = dataclasses.replace(place, horizon=told)
        streets.append(_throw(rng, place, (width, height), label))
    return max(streets, key=lambda street: _fit(street, ground))


def _standing(street: _Street, photo: npt.NDArray[np.uint8]) -> _Street:
    """Without what would hang on a wall or in a tree, as far as the photograph tells."""
    ground = ground_map(photo)

    def stands(thing: Request) -> bool:
        likeness = _likeness(thing, street.camera, ground)
        return likeness is None or likeness > _HANGING

    return _Street(street.camera, [thing for thing in street.things if stands(thing)])


def _throw(rng: np.random.Generator, place: Place, size: tuple[int, int], label: int) -> _Street:
    large = make_camera(place, rng, size)
    camera = dataclasses.replace(
        large,
        width=size[0],
        height=size[1],
        focal=large.focal / SUPERSAMPLING,
        horizon=large.horizon / SUPERSAMPLING,
        centre=large.centre / SUPERSAMPLING,
        roll=0.0,
    )
    stage = Stage(place)
    if label == 1:
        add_work_zone(stage, rng)
    fewest, most = (0, 2) if label == 1 else (4, 8)
    add_distractors(stage, rng, int(rng.integers(fewest, most + 1)))
    add_street_furniture(stage, rng, int(rng.integers(0, 2 if label == 1 else 3)))
    return _Street(camera, requests(stage, rng))


def _fit(street: _Street, ground: Pixels) -> float:
    """How much like road the spots look on which the things stand, the near ones above all."""
    weights = np.array([thing.z**-0.5 for thing in street.things])
    likeness = [_likeness(thing, street.camera, ground) or 0.0 for thing in street.things]
    return float((weights * likeness).sum() / weights.sum()) if street.things else 0.0


def _likeness(thing: Request, camera: Camera, ground: Pixels) -> float | None:
    """How much like road its spot looks, half a metre to either side; None outside the frame."""
    rows, columns = ground.shape
    found = []
    for aside in (-0.5, 0.0, 0.5):
        column, row = camera.project((thing.x + aside, 0, thing.z))
        u, v = int(column / camera.width * columns), int(row / camera.height * rows)
        if 0 <= u < columns and 0 <= v < rows:
            found.append(float(ground[v, u]))
    return sum(found) / len(found) if found else None


def _laid_out(
    photo: npt.NDArray[np.uint8], street: _Street, library: CutoutLibrary, rng: np.random.Generator
) -> tuple[Sheet, str | None]:
    camera = street.camera
    light = read_light(photo, camera.horizon / camera.height, rng)
    darkened = None
    picture, beam = photo.astype(np.float32), 0.0
    if light.dark:
        beam = float(light.white.mean()) * rng.uniform(0.4, 1.6)
        light = dataclasses.replace(light, condition=OVERCAST)
    elif (chosen := choose_darkness(brightness_of(photo), rng)) is not None:
        ambient, darkened = chosen
        picture, light, beam = _darkened(photo, light, camera.horizon, ambient, rng)
    sheet = Sheet(picture, light)
    clearness = rng.uniform(500, 2500)
    depth_of_shade = rng.uniform(0.75, 1.0)
    for thing in street.things:
        column, row = camera.project((thing.x, 0, thing.z))
        scale = camera.focal * thing.size / thing.z
        if scale < _SMALLEST or not _near_frame(column, row, scale, camera):
            continue
        bearing = np.degrees(np.arctan2(column - camera.centre, camera.focal))
        turn = -thing.turn if camera.mirrored else thing.turn
        spec, mirrored = choose_spec(
            thing.kind,
            light.condition,
            thing.z / thing.size,
            turn + float(bearing),
            left=light.left,
            lot=rng.random(),
        )
        cutout = library.get(spec)
        sheet.put(
            cutout.mirrored() if mirrored else cutout,
            thing.of_class,
            spot=(column, row),
            scale=scale,
            haze=1 - float(np.exp(-thing.z / clearness)),
            shade=depth_of_shade,
            beam=beam * min(1.5, (11 / thing.z) ** 1.4),
        )
    return sheet, darkened


def _near_frame(column: float, row: float, scale: float, camera: Camera) -> bool:
    """Whether a thing with a foot there, some metres large, can be seen."""
    reach = 4 * scale
    return -reach < column < camera.width + reach and row < camera.height + 2.5 * scale


def _darkened(
    photo: npt.NDArray[np.uint8],
    light: PhotoLight,
    horizon: float,
    ambient: float,
    rng: np.random.Generator,
) -> tuple[Pixels, PhotoLight, float]:
    """The photograph after dark (sRGB 0..255), its light then, and how bright headlights are."""
    nothing = np.zeros((*photo.shape[:2], 1), np.float32)
    dark = darken(photo.astype(np.float32), nothing, horizon, ambient, rng)
    tint = np.array([0.85, 0.92, 1.15], np.float32) * np.float32(ambient)
    after = dataclasses.replace(
        light,
        condition=OVERCAST,
        white=light.white * tint**2.2,
        haze=light.haze * tint**2.2,
    )
    beam = float(light.white.mean()) * (rng.uniform(0.4, 0.9) * (1 - ambient)) ** 2.2 * 1.3
    return dark.clip(0, 255), after, beam
