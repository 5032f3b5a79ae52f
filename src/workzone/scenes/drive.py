"""Drives past work zones of known extent: a street that stays, and a camera that moves along it.

Scenes of `workzone.scenes.write` that share a street are drawn each by itself. Here the street is
set out once, zones and ordinary things alike, so that they come near, pass and are gone, as along a
real drive: what is said of one frame can be compared with its neighbours.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.images import content_hash
from workzone.data.manifest import Manifest, write_manifest
from workzone.errors import UsageError
from workzone.files import writing
from workzone.progress import track
from workzone.scenes.background import draw_bonnet, draw_ground, draw_sky, make_light
from workzone.scenes.camera import Camera
from workzone.scenes.canvas import Canvas
from workzone.scenes.distractors import add_distractors
from workzone.scenes.layout import add_work_zone
from workzone.scenes.lens import develop
from workzone.scenes.place import Area, Place, Stage, choose_place, pick
from workzone.scenes.roadside import add_roadside
from workzone.scenes.scene import VISIBLE_SHARE, find_objects, make_camera
from workzone.scenes.traffic import MOVING, add_parked, add_pedestrians
from workzone.scenes.vehicles import CAR_COLOURS
from workzone.scenes.write import CITY, METRES_PER_DEGREE, start_time
from workzone.types import ImageRef, Sample

_FURTHEST = 110.0  # metres ahead that objects are drawn
_NEAREST = 2.6  # metres; what is longer is cut there
_OWN_LANE = 1.2  # metres to either side: kept open, else the drive would end there
_BLOCK = 140.0  # metres of houses and trees set out at a time
_STRETCH = 50.0  # metres of kerb set out at a time
_SPEEDS = {"urban": (4, 13), "suburban": (7, 14), "highway": (16, 30), "rural": (12, 24)}  # m/s
_MOST_PARTS = {"urban": 5, "suburban": 4, "highway": 18, "rural": 9}  # arrangements of one zone
_BETWEEN = (20.0, 65.0)  # seconds at mean speed from one zone to the next
_QUALITY = 85  # of the JPEG files


@dataclass(frozen=True, slots=True)
class _Standing:
    """An object at its spot of the street."""

    z: float  # metres from the start of the drive
    kind: str  # "" for an ordinary one
    wear: float
    draw: Callable[..., None]
    details: dict[str, Any]  # x, depth and the arguments of `draw`


@dataclass
class Street(Stage):
    """A stage of any length: what is put on it is kept, for all frames of a drive."""

    start: float = 0.0  # metres that what is put from now on is moved along the street
    standing: list[_Standing] = field(default_factory=list)

    def add(
        self,
        draw: Callable[..., None],
        *,
        x: float,
        z: float,
        kind: str = "",
        depth: float = 0.0,
        **details: object,
    ) -> None:
        """Keep an object, unless it stands in the own lane."""
        if abs(x) > _OWN_LANE:
            own = {"x": x, "depth": depth, **details}
            self.standing.append(_Standing(self.start + z, kind, self.wear, draw, own))

    def claim(self, area: Area) -> bool:
        """See :meth:`Stage.claim`; the area is moved along the street too."""
        moved = dataclasses.replace(area, z0=area.z0 + self.start, z1=area.z1 + self.start)
        return super().claim(moved)

    def ahead(self, travelled: float) -> Stage:
        """What is seen after so many metres, as the stage of one frame."""
        stage = Stage(self.place)
        for thing in self.standing:
            z, details = thing.z - travelled, thing.details
            if details["depth"] and z < _NEAREST:  # a house beside the camera: what is ahead of it
                length = details["length"] - (_NEAREST - z)
                z, details = _NEAREST, details | {"length": length, "depth": length}
            if 0 < z < _FURTHEST and details.get("length", 1) > 0.5:
                stage.wear = thing.wear
                stage.add(thing.draw, z=z, kind=thing.kind, **details)
        return stage


@dataclass(frozen=True, slots=True)
class _Car:
    """A vehicle on its way, and how far ahead it is in each frame."""

    draw: Callable[..., None]
    x: float
    colour: tuple[int, int, int]
    oncoming: bool
    distance: npt.NDArray[np.float64]  # [frames], metres; what is not ahead is not seen


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive that is set out, one frame a second."""

    place: Place
    street: Street
    camera: Camera
    cars: Sequence[_Car]
    travelled: npt.NDArray[np.float64]  # [frames], metres from the start
    seed: int

    def draw(self, frame: int) -> tuple[npt.NDArray[np.uint8], int]:
        """Frame ``frame``, uint8 ``[H, W, 3]``, and its label.

        The label is 1 where at least `VISIBLE_SHARE` of the frame is work zone, as for drawn
        scenes.
        """
        place, travelled = self.place, float(self.travelled[frame])
        canvas = Canvas(self.camera, make_light(place))
        stage = self.street.ahead(travelled)
        lit = place.daytime != "day" or place.weather == "rain"
        for car in self.cars:
            if 4 < car.distance[frame] < _FURTHEST:
                stage.add(
                    car.draw,
                    x=car.x,
                    z=float(car.distance[frame]),
                    colour=car.colour,
                    oncoming=car.oncoming,
                    lit=lit,
                )
        draw_sky(canvas, place, self._stream(14))
        draw_ground(canvas, place, np.random.default_rng([place.seed, 2]), travelled)
        stage.draw(canvas)
        if self._stream(15).random() < 0.3:
            with canvas.owned(""):
                draw_bonnet(canvas, (46, 48, 54))
        masks, _ = find_objects(canvas)
        label = int(masks.any(axis=0).mean() >= VISIBLE_SHARE)
        return develop(canvas, place, self._stream(16), self._stream(17)), label

    def _stream(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, number])


def plan_drive(seed: int, *, seconds: int = 240, width: int = 640, height: int = 360) -> Drive:
    """Set out a drive by lot; the same seed gives the same drive.

    Args:
        seed: of everything; not negative.
        seconds: frames, one each second.
        width: pixels.
        height: pixels.

    Raises:
        UsageError: a negative seed, or no frame.
    """
    if seed < 0 or seconds < 1:
        raise UsageError(
            f"seed {seed}, {seconds} frames of a drive: give a seed of 0 or more, and at least one "
            "frame a drive"
        )
    rng = np.random.default_rng([seed, 40])
    place = choose_place(int(rng.integers(1 << 40)))
    speeds = _speeds(place, rng, seconds)
    travelled = np.cumsum(speeds) - speeds[0]
    street = Street(place)
    _set_out_zones(street, rng, float(travelled[-1]), float(speeds.mean()))
    _set_out_kerbs(street, rng, float(travelled[-1]))
    return Drive(
        place=place,
        street=street,
        camera=make_camera(place, rng, (width, height)),
        cars=_traffic(place, rng, travelled),
        travelled=travelled,
        seed=seed,
    )


def _speeds(place: Place, rng: np.random.Generator, seconds: int) -> npt.NDArray[np.float64]:
    """Metres a second: another aim every 15 seconds; in towns the traffic stands now and then."""
    low, high = _SPEEDS[place.environment]
    aims = rng.uniform(low, high, seconds // 15 + 2)
    speeds = np.interp(np.arange(seconds), np.arange(len(aims)) * 15, aims)
    if place.environment in ("urban", "suburban"):
        for start in rng.integers(0, seconds, seconds // 100).tolist():
            speeds[start : start + int(rng.integers(4, 16))] = 0
    return speeds


def _set_out_zones(street: Street, rng: np.random.Generator, end: float, speed: float) -> None:
    spot = speed * rng.uniform(*_BETWEEN)
    while spot < end:
        for _ in range(int(rng.integers(1, _MOST_PARTS[street.place.environment] + 1))):
            street.start = spot
            add_work_zone(street, rng)
            spot += rng.uniform(25, 45)
        spot += speed * rng.uniform(*_BETWEEN)


def _set_out_kerbs(street: Street, rng: np.random.Generator, end: float) -> None:
    """Houses, trees, parked cars, people, and ordinary things that look like road works."""
    for block in range(math.ceil((end + _FURTHEST) / _BLOCK)):
        place = dataclasses.replace(street.place, seed=street.place.seed + block)
        part = Street(place, start=block * _BLOCK)
        add_roadside(part, 0.0, int(rng.integers(0, 2)))
        street.standing += [one for one in part.standing if one.z < part.start + _BLOCK]
    for stretch in range(math.ceil((end + _FURTHEST) / _STRETCH)):
        street.start = stretch * _STRETCH
        add_distractors(street, rng, int(rng.integers(0, 4)))
        add_parked(street, rng)
        add_pedestrians(street, rng)


def _traffic(
    place: Place, rng: np.random.Generator, travelled: npt.NDArray[np.float64]
) -> list[_Car]:
    """Vehicles that come towards the camera, and some that drive ahead of it for a while."""
    seconds = np.arange(len(travelled))
    low, high = _SPEEDS[place.environment]
    cars = []
    for moment in np.flatnonzero(rng.random(len(seconds)) < 0.2).tolist():
        if place.road.oncoming:
            speed, x = rng.uniform(low, high), pick(rng, place.road.oncoming)
            distance = travelled[moment] - travelled + speed * (moment - seconds)
            cars.append(_Car(pick(rng, MOVING), x, pick(rng, CAR_COLOURS), True, distance))
    bounds = np.cumsum(rng.uniform(10, 50, len(seconds) // 10 + 2)).tolist()
    for index, (first, last) in enumerate(itertools.pairwise(bounds)):
        gap, sway = rng.uniform(10, 45), rng.uniform(0, 0.3)
        distance = gap * (1 + sway * np.sin(seconds / 7 + rng.uniform(0, 6)))
        there = (seconds >= first) & (seconds < last) & (index % 2 == 0)
        draw, colour = pick(rng, MOVING), pick(rng, CAR_COLOURS)
        cars.append(_Car(draw, 0.0, colour, False, np.where(there, distance, 0)))
    return cars


def write_drives(
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    seconds: int = 240,
    width: int = 640,
    height: int = 360,
) -> Path:
    """Draw drives and write them as a data set; the same arguments give the same bytes.

    The folder gets ``images/*.jpg`` and ``manifest.parquet``; a drive is a group, with a frame each
    second. Drives go north, each a tenth of a degree further west.

    Args:
        folder: made if needed; files of the same names are replaced.
        count: drives.
        seed: of everything; not negative.
        seconds: frames of each drive.
        width: pixels.
        height: pixels.

    Returns:
        The path of the manifest.

    Raises:
        UsageError: fewer than one drive, a negative seed, or no frame.
        WorkzoneError: the folder cannot be written.
    """
    if count < 1 or seed < 0:
        raise UsageError(f"count {count}, seed {seed}: ask for at least 1 drive, of a seed from 0")
    samples: list[Sample] = []
    for number in range(count):
        lot = int(np.random.default_rng([seed, 41, number]).integers(1 << 40))
        drive = plan_drive(lot, seconds=seconds, width=width, height=height)
        samples += _write_drive(folder, drive, f"drive-{seed}-{number:03d}", number)
    path = folder / "manifest.parquet"
    write_manifest(Manifest(samples, folder), path)
    return path


def _write_drive(folder: Path, drive: Drive, group: str, number: int) -> list[Sample]:
    place, start = drive.place, start_time(drive.place, np.random.default_rng([drive.seed, 42]))
    samples = []
    for frame in track(range(len(drive.travelled)), f"drawing {group}"):
        image, label = drive.draw(frame)
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=_QUALITY)
        name = f"{group}-{frame:04d}"
        with writing(folder / f"images/{name}.jpg") as aside:
            aside.write_bytes(buffer.getvalue())
        samples.append(
            Sample(
                id=name,
                image=ImageRef(f"images/{name}.jpg"),
                label=label,
                group=group,
                latitude=CITY[0] + float(drive.travelled[frame]) / METRES_PER_DEGREE,
                longitude=CITY[1] - number % 1000 / 10,
                time=start + timedelta(seconds=frame),
                weather=place.weather,
                daytime=place.daytime,
                scene=place.environment,
                source="drawn",
                content_hash=content_hash(buffer.getvalue()),
            )
        )
    return samples
