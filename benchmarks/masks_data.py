"""What a mask head learns from and is judged on: drawn scenes, and photographs with boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from boxes import Box, read_boxes
from recipe import absolute, gather_photographs

from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest, read_manifest
from workzone.data.masks.merge import MIDDLE
from workzone.features.extract import Extraction, make_spec
from workzone.features.masks import FULL, UNKNOWN, MaskTargets, mask_targets
from workzone.features.store import FeatureStore, level_name
from workzone.model.presets import Preset
from workzone.scenes.write import write_scenes
from workzone.train.feed.examples import Examples, Rows
from workzone.types import OBJECT_CLASSES, Sample

SCENES = 60
"""Of one seed."""
SHARE = 0.75
"""Of them, with road work."""
PER_PHOTOGRAPH = 1
"""Photographs without road work for each with it."""


@dataclass(frozen=True)
class Data:
    """Rows to learn from, to stop by and to judge on, of one array of examples."""

    examples: Examples
    root: Path
    train: Rows
    validation: Rows
    scenes: Rows  # never learned from
    photographs: Rows  # with boxes, of groups never learned from

    @property
    def learned_photographs(self) -> int:
        """How many photographs are learned from."""
        return sum(self.examples.samples[row].source != "scenes" for row in self.train)


def drawn(work: Path, seed: int) -> list[Sample]:
    """The scenes of a seed, drawn unless they are there."""
    folder = work / "scenes" / str(seed)
    path = folder / "manifest.parquet"
    if not path.exists():
        write_scenes(folder, count=SCENES, seed=seed, positive_share=SHARE)
    manifest = read_manifest(path)
    return [absolute(s, manifest.root, source="scenes", extra={}) for s in manifest]


def boxed(photos: Path, work: Path) -> tuple[list[Sample], list[Sample], dict[str, list[Box]]]:
    """Photographs to learn from and, of other groups, with road work, to judge on; all boxes.

    Learned from is what weights that are passed on may learn from.
    """
    real, allowed = gather_photographs(photos, work)
    boxes = read_boxes(photos)
    permitted = [s for s in real if s.id in allowed]
    groups = {s.group for s in permitted}
    positive = [s for s in permitted if s.label == 1 and s.id in boxes]
    negative = [s for s in permitted if s.label == 0]
    step = max(1, len(negative) // (PER_PHOTOGRAPH * max(1, len(positive))))
    held_back = [s for s in real if s.label == 1 and s.group not in groups and s.id in boxes]
    return positive + negative[::step], held_back, boxes


def box_targets(boxes: Sequence[Box], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """What boxes tell of cells, uint8 ``[K, h, w]`` as `MaskTargets` holds them.

    The ellipse in the middle of a box is its object, the rest of the box is not known.
    """
    rows, columns = shape
    y, x = ((np.arange(count) + 0.5) / count for count in shape)
    targets = np.zeros((len(OBJECT_CLASSES), rows, columns), np.uint8)
    for kind, x0, y0, x1, y1 in boxes:
        across = np.abs(x - (x0 + x1) / 2) / max((x1 - x0) / 2, 0.5 / columns)
        down = np.abs(y - (y0 + y1) / 2) / max((y1 - y0) / 2, 0.5 / rows)
        inside = (across[None] <= 1) & (down[:, None] <= 1)
        core = across[None] ** 2 + down[:, None] ** 2 <= MIDDLE**2
        own = targets[kind]
        own[inside & (own != FULL)] = UNKNOWN
        own[core] = FULL
    return targets


def gather(
    preset: Preset,
    backbone: Backbone,
    work: Path,
    *,
    train: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int],
    photos: Path | None = None,
) -> Data:
    """Features and targets of all rows.

    Args:
        preset: whose views and levels.
        backbone: its.
        work: folder for scenes and features.
        train: seeds of scenes to learn from.
        validation: to stop by.
        test: to judge on.
        photos: folder of photographs; None: scenes alone.
    """
    parts: list[list[Sample]] = [
        [sample for seed in seeds for sample in drawn(work, seed)]
        for seeds in (train, validation, test)
    ]
    boxes: dict[str, list[Box]] = {}
    held_back: list[Sample] = []
    if photos is not None:
        learned, held_back, boxes = boxed(photos, work)
        parts[0] += learned
    parts.append(held_back)
    samples = [sample for part in parts for sample in part]
    ends = np.cumsum([0, *map(len, parts)])
    rows = [np.arange(a, b) for a, b in pairwise(ends)]
    layout = preset.layout
    spec = make_spec(
        backbone,
        layout=layout,
        pooling=preset.pooling,
        grid_views=preset.detector.grid_views(layout),
        levels=preset.detector.levels,
    )
    store = Extraction(Manifest(samples, work), backbone, spec, work / "features").run()
    shape = preset.detector.target_size(spec.grid_size, layout.size)
    assert shape is not None
    targets = mask_targets(samples, work, shape)
    for row, sample in enumerate(samples):
        if sample.source != "scenes":
            found = boxes.get(sample.id, []) if sample.label == 1 else []
            targets.covered[row, 0] = box_targets(found, shape)
            targets.annotated[row, 0] = True
    return Data(examples_of(samples, store, targets), work, *rows)


def examples_of(samples: Sequence[Sample], store: FeatureStore, targets: MaskTargets) -> Examples:
    """The stored features of samples with their targets."""
    return Examples(
        labels=torch.tensor([s.label for s in samples]),
        rows=torch.tensor([[store.row(s.content_hash or "")] for s in samples]),
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid(store.spec.grid_views),
        grid_size=store.spec.grid_size,
        levels={level: store.mapped(level_name(level)) for level in store.spec.levels},
        view_size=store.spec.layout.size,
        masks=targets,
        samples=samples,
    )
