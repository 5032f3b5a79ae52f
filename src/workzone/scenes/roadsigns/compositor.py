"""Signs in photographs: of road works in one twin, other ones in their places in the other."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from workzone.scenes.composite import find_horizon
from workzone.scenes.compositor import Composite, PlacedObject
from workzone.scenes.exposure import after_dark, brightness_of
from workzone.scenes.roadsigns.drawings import Drawing, Drawings
from workzone.scenes.roadsigns.meanings import DIGGERS
from workzone.scenes.roadsigns.mounting import Mount, Mounted, choose_mounts, draw_mounted
from workzone.scenes.roadsigns.plates import make_plate
from workzone.types import OBJECT_CLASSES, Box

Pixels = npt.NDArray[np.float32]

OTHER = "other sign"
"""What a sign that does not mean road work is called in a composite's objects."""
_MOST = 4
"""Signs in a picture."""
_DIGGER_SHARE, _SAME_SHAPE, _WARNINGS = 0.55, 0.6, 0.5
"""Of road-work signs, those with a digging man or machine; of signs in their place, those of the
same shape; of all others, those that warn."""
_HIDDEN = 0.25
"""Of signs: something is before them."""
_SHADE = 0.25
"""Of signs: they stand in the shade."""
_THROWN_BACK = (0.05, 0.5)
"""Of a sign's light by day, what headlights bring of it after dark."""
_SEEN = 0.5
"""Of a sign's largest cover: pixels with more belong to it, also where it is a few blurred ones."""


@dataclass(frozen=True, slots=True)
class SignObjects:
    """A `Compositor` of traffic signs.

    Twins share photograph, places, sizes, posts, dirt and light. In the one with label 1 one or
    two of up to four signs are of road works, in the other there are other signs in their places:
    only the faces tell the twins apart.
    """

    drawings: Drawings
    twins: ClassVar[bool] = True

    @property
    def version(self) -> str:
        """By the drawings' contents."""
        return f"signs 3 {self.drawings.digest}"

    def compose(
        self, photo: npt.NDArray[np.uint8], seed: tuple[int, ...], *, label: int
    ) -> Composite:
        """Put signs into a photograph; see `Compositor.compose`."""
        street = np.random.default_rng([*seed, 1])
        height, width = photo.shape[:2]
        horizon = find_horizon(photo)
        mounts = choose_mounts(street, (width, height), horizon, int(street.integers(1, _MOST + 1)))
        of_work = 1 if street.random() < 0.7 else 2
        scene = _Street(photo, street)
        for place, mount in enumerate(mounts):
            wanted = place < of_work
            shown = self._choose(np.random.default_rng([*seed, 2, place]), wanted, label)
            faces = np.random.default_rng([*seed, 3, place])
            wear = np.random.default_rng([*seed, 4, place])
            plate = make_plate(shown, faces, wear)
            scene.add(draw_mounted(plate, mount, (width, height), wear), shown, mount, wear)
        row = height * (0.5 if horizon is None else horizon)
        return scene.finish(row, np.random.default_rng([*seed, 5]))

    def _choose(self, rng: np.random.Generator, wanted: bool, label: int) -> Drawing:
        """For a place: the same draw decides in both twins where it is not of road works."""
        work = self._draw_work(rng)
        if wanted and label == 1:
            return work
        if wanted and rng.random() < _SAME_SHAPE:
            return _any(self.drawings.like(work.shape), rng)
        warnings = tuple(d for d in self.drawings.others if d.name.startswith("warning"))
        return _any(
            warnings if rng.random() < _WARNINGS and warnings else self.drawings.others, rng
        )

    def _draw_work(self, rng: np.random.Generator) -> Drawing:
        """Diggers most often, triangles and diamonds of them alike; else any kind."""
        diggers = [d for d in self.drawings.work if d.name.startswith(DIGGERS)]
        if rng.random() < _DIGGER_SHARE and diggers:
            shape = ("triangle", "diamond")[int(rng.integers(2))]
            return _any([d for d in diggers if d.shape == shape] or diggers, rng)
        return _any(self.drawings.work, rng)


def _any(drawings: tuple[Drawing, ...] | list[Drawing], rng: np.random.Generator) -> Drawing:
    return drawings[int(rng.integers(len(drawings)))]


def _inside(cover: Pixels) -> npt.NDArray[np.bool_]:
    """The pixels ``[h, w]`` that belong to a sign, of its cover ``[h, w, 1]``."""
    inside: npt.NDArray[np.bool_] = cover[..., 0] > _SEEN * cover.max()
    return inside


class _Street:
    """A photograph that signs are put into, one by one."""

    def __init__(self, photo: npt.NDArray[np.uint8], rng: np.random.Generator) -> None:
        self.photo = photo
        self.picture: Pixels = photo.astype(np.float32)
        self.share: Pixels = np.zeros((*photo.shape[:2], 1), np.float32)  # of objects, by pixel
        self.masks = np.zeros((len(OBJECT_CLASSES), *photo.shape[:2]), np.bool_)
        self.objects: list[PlacedObject] = []
        self.brightness = brightness_of(photo)
        self.softness = rng.uniform(0.2, 1.0) * max(photo.shape[:2]) / 800
        self.motion = int(rng.integers(2, 6)) if rng.random() < 0.25 else 0
        self.gain = min(max(self.brightness, 0.3), 1.2) * rng.uniform(0.75, 1.15)
        self.cast: Pixels = rng.normal(1, 0.04, 3).astype(np.float32)
        self.noise = rng.uniform(0, 4)

    def add(self, mounted: Mounted, shown: Drawing, mount: Mount, rng: np.random.Generator) -> None:
        """Put a sign in."""
        post, sign = (self._softened(layer) for layer in (mounted.post, mounted.sign))
        light = self.gain * (rng.uniform(0.4, 0.75) if rng.random() < _SHADE else 1.0)
        thrown_back = 1.0
        if self.brightness < 0.5 and rng.random() < 0.6:  # headlights on its foil
            thrown_back = rng.uniform(1.0, 2.5)
        seen: Pixels = sign[..., 3:] / np.float32(255)
        front = post * (1 - seen)
        colour = front[..., :3] * light + sign[..., :3] * (light * thrown_back)
        colour *= self.cast
        cover = front[..., 3:] / np.float32(255) + seen
        window = (mounted.rows, mounted.columns)
        behind = self.picture[window]
        hidden = self._hiding(seen, mount, rng)
        noise = rng.standard_normal(behind.shape, np.float32) * np.float32(self.noise)
        merged = behind * (1 - cover) + (colour + noise * cover)
        if hidden is not None:
            patch, cut = hidden
            merged = merged * (1 - cut) + patch * cut
            seen = seen * (1 - cut)
            cover = cover * (1 - cut)
        self.picture[window] = merged
        self.share[window] = np.maximum(self.share[window], cover)
        self._note(_inside(seen), mounted, shown)

    def _softened(self, layer: Pixels) -> Pixels:
        """As sharp as the photograph, and blurred by motion along the rows."""
        picture = Image.fromarray(layer.clip(0, 255).astype(np.uint8))
        soft = picture.filter(ImageFilter.GaussianBlur(self.softness))
        blurred: Pixels = np.asarray(soft, np.float32)
        if self.motion:
            steps = [np.roll(blurred, step, axis=1) for step in range(-1, self.motion - 1)]
            blurred = np.mean(steps, axis=0, dtype=np.float32)
        return blurred

    def _hiding(
        self, seen: Pixels, mount: Mount, rng: np.random.Generator
    ) -> tuple[Pixels, Pixels] | None:
        """A piece of the photograph before a part of the sign, and its cover; None: nothing."""
        height, width = self.photo.shape[:2]
        rows, columns = seen.shape[:2]
        drawn, share = rng.random(), rng.uniform(0.1, 0.4)
        places = zip(rng.random(2), (height - rows, width - columns), strict=True)
        top, left = (int(place * (free + 1)) for place, free in places)
        coarse = Image.fromarray(rng.standard_normal((5, 5), np.float32))
        if drawn >= _HIDDEN or not seen.any():
            return None
        inside = np.argwhere(_inside(seen))
        (row0, column0), (row1, column1) = inside.min(axis=0), inside.max(axis=0) + 1
        blob = np.full((rows, columns), -9.0, np.float32)
        size = (int(column1 - column0), int(row1 - row0))
        blob[row0:row1, column0:column1] = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC))
        edge = np.quantile(blob[row0:row1, column0:column1], 1 - share)
        sharpness = max(2.0, mount.height / 6)
        cut = np.clip((blob - edge) * sharpness, 0, 1)[..., None].astype(np.float32)
        patch = self.photo[top : top + rows, left : left + columns].astype(np.float32)
        return patch, cut

    def _note(self, inside: npt.NDArray[np.bool_], mounted: Mounted, shown: Drawing) -> None:
        if not inside.any():
            return
        height, width = self.photo.shape[:2]
        rows = np.flatnonzero(inside.any(axis=1)) + mounted.rows.start
        columns = np.flatnonzero(inside.any(axis=0)) + mounted.columns.start
        box: Box = (
            float(columns[0]) / width,
            float(rows[0]) / height,
            float(columns[-1] + 1) / width,
            float(rows[-1] + 1) / height,
        )
        kind = "sign" if shown.label else OTHER
        self.objects.append(PlacedObject(kind, box, shown.name))
        if shown.label:
            mask = self.masks[OBJECT_CLASSES.index("sign")]
            mask[mounted.rows, mounted.columns] |= inside

    def finish(self, horizon: float, rng: np.random.Generator) -> Composite:
        """Some become dark; all are coded."""
        picture, darkened = after_dark(self.picture, self.share, horizon, self.brightness, rng)
        if darkened:  # foil throws headlights back from beside the road too
            picture = picture + self.share * self.picture * np.float32(rng.uniform(*_THROWN_BACK))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(
            buffer, format="JPEG", quality=int(rng.integers(60, 96))
        )
        return Composite(buffer.getvalue(), self.masks, self.objects, darkened)
