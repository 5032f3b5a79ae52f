"""Images to compare an exported program on: a manifest's, or drawn scenes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from workzone.data.manifest import read_manifest
from workzone.decide.description import Description
from workzone.engine.gate import GateImage
from workzone.engine.program import Seen
from workzone.errors import ImageError
from workzone.progress import track
from workzone.scenes.scene import draw_scene
from workzone.views import ViewLayout, preprocess, sample_bytes


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
    images = _drawn(layout, count) if manifest is None else _listed(layout, manifest, count)
    return list(track(images, "reading images to compare on", total=count))


def _listed(layout: ViewLayout, path: Path, count: int) -> Iterator[GateImage]:
    manifest = read_manifest(path)
    samples = [sample for sample in manifest if sample.split == "val"] or list(manifest)
    step = max(1, len(samples) // count)
    for sample in samples[::step][:count]:
        try:
            views = preprocess(sample_bytes(sample, manifest.root), layout)
        except ImageError:
            continue  # the audit tells of them
        yield GateImage(sample.id, Seen(views.pixels, views.boxes), sample.label)


def _drawn(layout: ViewLayout, count: int) -> Iterator[GateImage]:
    for seed in range(count):
        scene = draw_scene(seed, label=seed % 2)
        buffer = io.BytesIO()
        Image.fromarray(scene.image).save(buffer, format="JPEG", quality=90)
        views = preprocess(buffer.getvalue(), layout)
        yield GateImage(f"drawn scene {seed}", Seen(views.pixels, views.boxes), scene.label)
