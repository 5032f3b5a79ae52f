"""A manifest's images before a teacher, into the mask store: resumable, with an estimate first."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from workzone.data.images import decode_pixels
from workzone.data.manifest import Manifest
from workzone.data.masks.adding import refer_samples
from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource
from workzone.data.masks.store import MaskStore, MaskWriter
from workzone.errors import ImageError, TeacherError, UsageError
from workzone.parallel import in_batches, map_ahead
from workzone.progress import bar
from workzone.teach.exemplars import ByImage, check_in_frames, within
from workzone.teach.findings import Findings
from workzone.teach.teacher import CONVERSION_VERSION, Picture, Teacher
from workzone.teach.tiles import Tiling, merged
from workzone.types import Sample
from workzone.views import sample_bytes

FLUSH_SECONDS = 30.0
"""After which images that wait are written: the most, beside one batch, that a stop can lose."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do, by the first image; others are taken to be of its size."""

    images: int  # left, the first left out
    present: int  # in the store already
    looks: int  # at the first image: the frame and its tiles
    seconds: float  # of the first image, its start-up included
    weights: int  # bytes
    memory: int  # bytes, at the most so far; of a GPU: of its memory

    def __str__(self) -> str:
        """One line for people."""
        minutes = math.ceil(self.seconds * self.images / 60)
        left = f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
        return (
            f"the first image took {self.seconds:.1f} s in {self.looks} looks, with "
            f"{self.weights / 1e9:.2f} GB of weights and {self.memory / 1e9:.2f} GB of memory at "
            f"the most; {self.images:,} images are left ({self.present:,} in the store), if alike "
            f"up to {left}"
        )


@dataclass(frozen=True)
class Taught:
    """What a run did.

    ``objects``: how many there are of each class in the images looked at; ``failed``: why others
    were not, by id; they are tried again by the next run.
    """

    key: str  # of the source in the store
    images: int
    present: int  # in the store already
    objects: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


class MaskJob:
    """One run of a teacher over a manifest into a store."""

    def __init__(
        self,
        manifest: Manifest,
        teacher: Teacher,
        store: Path,
        *,
        tiling: Tiling,
        exemplars: ByImage | None = None,
        batch: int = 4,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            manifest: which images.
            teacher: who is asked.
            store: folder of the mask store.
            tiling: how large frames are cut.
            exemplars: boxes to show beside the phrases.
            batch: pictures (frames and tiles) that are encoded together.

        Raises:
            UsageError: exemplars that the teacher cannot use.
        """
        if exemplars and not teacher.takes_exemplars:
            raise UsageError(
                f"{teacher.about.name} takes no exemplars; leave them out, or use sam3"
            )
        if batch < 1:
            raise UsageError(f"a batch has at least one picture, not {batch}")
        self._manifest, self._teacher, self._store = manifest, teacher, store
        self._tiling, self._exemplars, self._batch = tiling, exemplars or {}, batch
        self.source = mask_source(teacher, tiling, self._exemplars)

    def run(self, estimated: Callable[[Estimate], bool] = lambda _: True) -> Taught:
        """Ask for what is pending and keep it.

        Args:
            estimated: told once, after the first image, what is to come; False: stop there, the
                first image being kept.

        Raises:
            StoreError: another process writes to this source, or the store is damaged.
            TeacherError: answers that cannot be used.
            UsageError: exemplars outside of their images; nothing was looked at then.
        """
        check_in_frames(self._exemplars, self._manifest)
        objects = dict.fromkeys(self._teacher.prompts.classes, 0)
        failed: dict[str, str] = {}
        images = 0
        with MaskWriter(self._store, self.source) as writer:
            pending = [sample for sample in self._manifest if sample.id not in writer.done]
            present = len(self._manifest) - len(pending)
            told, flushed = False, time.monotonic()
            with bar(f"masks by {self._teacher.about.name}", len(pending)) as progress:
                frames = map_ahead(self._frame, pending, ahead=2 * self._batch)
                with closing(frames):
                    for batch in _first_alone(frames, self._batch):
                        readable = [(s, f) for s, f in batch if not isinstance(f, str)]
                        failed |= {s.id: f for s, f in batch if isinstance(f, str)}
                        start = time.monotonic()
                        for masks in self._masks(readable):
                            writer.add(masks)
                            images += 1
                            for item in masks.objects:
                                objects[item.name] = objects.get(item.name, 0) + 1
                        now = time.monotonic()
                        progress.advance(len(batch))
                        if readable and not told:
                            told = True
                            left = len(pending) - images - len(failed)
                            size = readable[0][1].shape
                            if not estimated(self._estimate(now - start, size, left, present)):
                                break
                        if now - flushed > FLUSH_SECONDS:
                            writer.flush()
                            flushed = now
        return Taught(self.source.key, images, present, objects, failed)

    def manifest(self) -> Manifest:
        """The manifest with references to the store for those of its rows that are in it.

        What other stores say of these rows is copied into this one.
        """
        known = {image.id for image in MaskStore(self._store).images(self.source.key)}
        return refer_samples(self._manifest, self._store, known, self.source)

    def _frame(self, sample: Sample) -> Picture | str:
        """The upright frame of a sample, or why there is none."""
        try:
            data = sample_bytes(sample, self._manifest.root)
            return decode_pixels(data, name=str(sample.image))
        except ImageError as error:
            return str(error)

    def _masks(self, batch: Sequence[tuple[Sample, Picture]]) -> Iterator[ImageMasks]:
        """Of some images, their windows looked at in batches of pictures."""
        pictures, shown, windows = [], [], []
        for sample, frame in batch:
            height, width = frame.shape[:2]
            boxes = self._exemplars.get(sample.id, ())
            windows.append(self._tiling.windows(width, height))
            for window in windows[-1]:
                left, top, right, bottom = window
                pictures.append(frame[top:bottom, left:right].copy())
                shown.append(within(boxes, window))
        looks: list[Findings] = []
        for start in range(0, len(pictures), self._batch):
            end = start + self._batch
            try:
                looks += self._teacher.look(pictures[start:end], shown[start:end])
            except TeacherError as error:
                names = ", ".join(repr(sample.id) for sample, _ in batch)
                raise TeacherError(f"{error} (images {names})") from error
        rest, filled = iter(looks), self._teacher.about.gives == "boxes"
        for (sample, frame), there in zip(batch, windows, strict=True):
            found = merged([(window, next(rest)) for window in there], boxes=filled)
            yield image_masks(sample.id, frame.shape, found)

    def _estimate(
        self, seconds: float, shape: tuple[int, ...], left: int, present: int
    ) -> Estimate:
        about = self._teacher.about
        size = {"float32": 4, "bfloat16": 2}[str(about.settings["precision"])]
        looks = len(self._tiling.windows(shape[1], shape[0]))
        return Estimate(left, present, looks, seconds, size * about.parameters, _peak_memory())


def mask_source(teacher: Teacher, tiling: Tiling, exemplars: ByImage) -> MaskSource:
    """What the masks of a job depend on: another key where any of it differs."""
    about, prompts = teacher.about, teacher.prompts
    settings: dict[str, str | float | int | bool | None] = {
        "conversion": CONVERSION_VERSION,
        "gives": about.gives,
        "side": about.side,
        "tile": tiling.side,
        "overlap": tiling.overlap,
        **about.settings,
    }
    for name in prompts.classes:
        settings[f"threshold.{name}"] = prompts.of(name).threshold
        settings[f"mask_threshold.{name}"] = prompts.of(name).mask_threshold
    if exemplars:
        boxes = repr(sorted((name, tuple(shown)) for name, shown in exemplars.items()))
        settings["exemplars"] = hashlib.blake2b(boxes.encode(), digest_size=8).hexdigest()
    return MaskSource(
        "pseudo",
        about.name,
        about.weights,
        {name: prompts.of(name).phrases for name in prompts.classes},
        settings,
    )


def image_masks(image_id: str, size: tuple[int, ...], found: Findings) -> ImageMasks:
    """What a teacher found in a frame of ``size`` (height, width), as the store holds it.

    An object's box is that of its mask. A class's semantic mask is an object of its own, a crowd,
    whose score is the presence.
    """
    height, width = size[:2]
    objects = [
        MaskObject.from_mask(
            item.name,
            "pseudo",
            item.area.in_frame(height, width),
            score=item.score,
            category=item.phrase,
        )
        for item in found.instances
    ]
    for name, area in found.regions.items():
        mask = area.in_frame(height, width)
        score = found.presence[name]
        objects.append(MaskObject.from_mask(name, "pseudo", mask, score=score, crowd=True))
    return ImageMasks(image_id, height, width, found.presence, tuple(objects))


def _first_alone(
    items: Iterator[tuple[Sample, Picture | str]], size: int
) -> Iterator[list[tuple[Sample, Picture | str]]]:
    """Batches; the first ends with the first image that can be read, which is timed alone."""
    first = []
    for item in items:
        first.append(item)
        if not isinstance(item[1], str):
            break
    if first:
        yield first
        yield from in_batches(items, size)


def _peak_memory() -> int:
    """Bytes: of the GPU where one is in use, else of this process."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
