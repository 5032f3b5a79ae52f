"""Images to compare an exported program on, and to measure int8 on: a manifest's, or drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from workzone.data.manifest import Manifest, read_manifest
from workzone.decide.description import Description
from workzone.engine.gate import GateImage
from workzone.engine.program import Seen
from workzone.errors import ImageError
from workzone.progress import track
from workzone.scenes.scene import draw_scene
from workzone.types import Sample
from workzone.views import ViewLayout, preprocess, sample_bytes

_APART = 100_000
"""Seeds from here on draw scenes to measure on, those below draw scenes to compare on."""


def gate_images(description: Description, manifest: Path | None, *, count: int) -> list[GateImage]:
    """Images as a model's views.

    Args:
        description: of the model.
        manifest: whose images are taken: those of split ``val`` where it has some, else any; None:
            scenes are drawn, half of them with road work.
        count: at most so many.

    Raises:
        ManifestError: there is no manifest, or it is damaged.
    """
    layout = description.spec.layout
    if manifest is None:
        images = _drawn(layout, range(count))
    else:
        listed = read_manifest(manifest)
        images = _listed(layout, listed, _compared(listed), count)
    return list(track(images, "reading images to compare on", total=count))


def calibration_images(
    description: Description,
    manifest: Path | None,
    compared: Sequence[GateImage],
    *,
    count: int,
) -> list[Seen]:
    """Images as a model's views, to measure the ranges of int8 on; none of those compared on.

    Args:
        description: of the model.
        manifest: whose images are taken: those of split ``train`` where it has some, else any; None
            or none left: scenes are drawn.
        compared: from :func:`gate_images`.
        count: at most so many.

    Raises:
        ManifestError: there is no manifest, or it is damaged.
    """
    layout, taken = description.spec.layout, {image.name for image in compared}
    images: Iterator[GateImage] = iter(())
    if manifest is not None:
        listed = read_manifest(manifest)
        left = [sample for sample in listed if sample.id not in taken]
        train = [sample for sample in left if sample.split == "train"]
        images = _listed(layout, listed, train or left, count)
    alike = {image.seen.pixels.tobytes() for image in compared}  # under other names, too
    found = [
        image.seen
        for image in track(images, "reading images to measure on", total=count)
        if image.seen.pixels.tobytes() not in alike
    ]
    return found or [image.seen for image in _drawn(layout, range(_APART, _APART + count))]


def _compared(manifest: Manifest) -> list[Sample]:
    return [sample for sample in manifest if sample.split == "val"] or list(manifest)


def _listed(
    layout: ViewLayout, manifest: Manifest, samples: Sequence[Sample], count: int
) -> Iterator[GateImage]:
    step = max(1, len(samples) // count)
    for sample in samples[::step][:count]:
        try:
            views = preprocess(sample_bytes(sample, manifest.root), layout)
        except ImageError:
            continue  # the audit tells of them
        yield GateImage(sample.id, Seen(views.pixels, views.boxes), sample.label)


def _drawn(layout: ViewLayout, seeds: range) -> Iterator[GateImage]:
    for seed in seeds:
        scene = draw_scene(seed, label=seed % 2)
        buffer = io.BytesIO()
        Image.fromarray(scene.image).save(buffer, format="JPEG", quality=90)
        views = preprocess(buffer.getvalue(), layout)
        yield GateImage(f"drawn scene {seed}", Seen(views.pixels, views.boxes), scene.label)
