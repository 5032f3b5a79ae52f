"""The worst mistakes of a model, with what it looked at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from workzone.data.images import decode_pixels, read_bytes
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle
from workzone.errors import ImageError
from workzone.features.store import FeatureStore
from workzone.model.inputs import DetectorInput
from workzone.report.answer import NO_OBJECT, evidence
from workzone.report.html import Mistake
from workzone.report.metrics import worst_mistakes
from workzone.report.outlines import outlined_thumbnail
from workzone.report.overlay import thumbnail
from workzone.run.predictor import Predictor
from workzone.run.sources import Item
from workzone.train.feed.examples import images_at_once
from workzone.types import Sample

MISTAKES_SHOWN = 24


def stored_input(bundle: Bundle, store: FeatureStore, rows: Sequence[int]) -> DetectorInput:
    """What the detector is given of stored images, without metadata."""
    views = bundle.detector.config.grid_views(store.spec.layout)
    grid = store.grid(views)[rows].float() if views else None
    return DetectorInput(
        features=store.read("pooled", rows),
        boxes=store.read("boxes", rows),
        grid=grid,
        grid_size=store.spec.grid_size,
    )


def stored_inputs(
    bundle: Bundle, store: FeatureStore, samples: Sequence[Sample], *, copy: int
) -> Iterator[DetectorInput]:
    """Of samples, as many at a time as memory is meant for."""
    rows = [store.row(s.content_hash or "", copy) for s in samples]
    spec = bundle.spec
    grids = len(bundle.detector.config.grid_views(spec.layout))
    step = images_at_once(grids * spec.grid_cells * spec.grid_width)
    for i in range(0, len(rows), step):
        yield stored_input(bundle, store, rows[i : i + step])


def worst(
    bundle: Bundle,
    manifest: Manifest,
    samples: list[Sample],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    store: FeatureStore,
) -> list[Mistake]:
    """The rows furthest from their label, at most `MISTAKES_SHOWN`.

    Args:
        bundle: the model; which views it looks at is shown.
        manifest: for where images are.
        samples: ``B`` rows.
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.
        store: of their features.
    """
    chosen = worst_mistakes(labels, probabilities, MISTAKES_SHOWN)
    if not len(chosen):
        return []
    rows = [store.row(samples[row].content_hash or "") for row in chosen]
    given = stored_input(bundle, store, rows)
    weights = bundle.detector.view_shares(given, views=store.spec.layout.count).numpy()
    assert given.boxes is not None
    mistakes = []
    for row, view_weights, view_boxes in zip(chosen, weights, given.boxes.numpy(), strict=True):
        sample = samples[row]
        note = ", ".join(str(v) for v in (sample.group, sample.daytime, sample.weather) if v)
        try:
            frame = decode_pixels(read_bytes(sample.image, manifest.root), enough_side=256)
        except ImageError as error:  # its features are stored, so it is judged all the same
            frame, note = np.full((64, 64, 3), 127, dtype=np.uint8), f"not shown: {error}"
        mistakes.append(
            Mistake(
                id=sample.id,
                label=int(labels[row]),
                probability=float(probabilities[row]),
                thumbnail=thumbnail(frame),
                view_weights=view_weights,
                boxes=view_boxes.clip(0, 1),  # that of a whole frame may reach beyond it
                note=note,
            )
        )
    return mistakes


def with_objects(
    mistakes: Sequence[Mistake], predictor: Predictor, manifest: Manifest
) -> list[Mistake]:
    """The same with the objects in them found, outlined as `workzone predict --masks` does.

    Args:
        mistakes: of `worst`.
        predictor: the model, which has a mask head.
        manifest: for where the images are.
    """
    samples = {sample.id: sample for sample in manifest}
    images = [(one.id, Item(samples[one.id].image, manifest.root)) for one in mistakes]
    found = []
    for mistake, (_, result) in zip(
        mistakes, predictor.outline_stream(images, Item.load), strict=True
    ):
        if isinstance(result, ImageError):  # it is shown as such already
            found.append(dataclasses.replace(mistake, objects=NO_OBJECT))
            continue
        frame = decode_pixels(read_bytes(samples[mistake.id].image, manifest.root))
        picture = outlined_thumbnail(frame, result.objects)
        told = evidence(result.objects) or NO_OBJECT
        found.append(dataclasses.replace(mistake, thumbnail=picture, objects=told))
    return found
