"""What a detector learns from: stored features, labels, and what else is known of the images."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from workzone.data.augmentation import recipe_of
from workzone.data.split_proof import APART
from workzone.features.masks import MaskTargets, lost
from workzone.features.store import FeatureStore
from workzone.features.text import TextVectors
from workzone.model.config import DetectorConfig
from workzone.model.inputs import DetectorInput
from workzone.model.metadata.batch import MetadataBatch, encode_samples
from workzone.types import Sample

Rows = npt.NDArray[np.int64]

MOST_AT_ONCE = 256
"""Images judged at a time."""
GRID_NUMBERS = 2**26
"""Of the grids judged at a time: 256 MB in float32."""


def images_at_once(grid_numbers: int) -> int:
    """How many images to judge at a time, of grids of so many numbers each."""
    return max(1, min(MOST_AT_ONCE, GRID_NUMBERS // max(1, grid_numbers)))


def rows_apart(samples: Sequence[Sample], fold: Rows) -> Rows:
    """The rows that are not in ``fold``, nor bound to its split, as ``not-val`` is to ``val``."""
    bound = {APART + str(samples[row].split) for row in fold}
    free = np.array([row for row, s in enumerate(samples) if s.split not in bound], np.int64)
    return np.setdiff1d(free, fold)


def copy_rows(
    store: FeatureStore, samples: Sequence[Sample], masks: MaskTargets | None, *, copies: int
) -> torch.Tensor:
    """Where the features of samples and of their copies lie, int64 ``[n, C]``.

    A copy that could not be made repeats the image. A challenge may have cut the road work away:
    where masks tell that of some samples, those with road work and without masks repeat the copy
    before it, rather than teach that nothing is road work. Where masks tell of none, all are taken:
    only road work would never look like a challenge.

    Args:
        store: that holds them.
        samples: in the order wanted.
        masks: of the samples and their copies, if any; those of copies that could not be made are
            marked as not known.
        copies: augmented copies of each.
    """
    hashes = [s.content_hash or "" for s in samples]
    images = np.array([[store.rows[name, 0]] for name in hashes], np.int64)
    made = [[store.rows.get((name, copy), -1) for copy in range(1 + copies)] for name in hashes]
    missing = np.array(made) < 0
    rows = np.where(missing, images, made)
    if masks is None:
        return torch.from_numpy(rows)
    masks.annotated[missing] = False
    recipe = store.spec.augmentation
    shown = np.array([s.label == 1 for s in samples], np.bool_)
    if recipe is not None and masks.annotated[shown].any():
        for copy in range(1, 1 + copies):
            if recipe_of(recipe, copy) == "challenge":
                untold = shown & ~masks.annotated[:, copy]
                rows[untold, copy] = rows[untold, copy - 1]
    return torch.from_numpy(rows)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is known of ``B`` images, or of copies of theirs."""

    labels: torch.Tensor  # int64 [B], 0 or 1; a copy whose road work is cut away shows none
    masks: torch.Tensor | None = None  # shares [B, K, h, w], 0..1, of what copies show
    annotated: torch.Tensor | None = None  # bool [B], of which masks are known
    teacher: torch.Tensor | None = None  # [B] log-odds of road work; NaN where it says nothing

    def __getitem__(self, rows: torch.Tensor) -> Truth:
        """Some of the images, by number."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Truth(**{name: value[rows] for name, value in values.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Examples:
    """``n`` images with ``C`` copies of each; the first copy is the image as it is.

    Features, boxes and grids are rows of a store, mapped or in memory: a batch reads its own.
    """

    labels: torch.Tensor  # int64 [n], 0 or 1
    rows: torch.Tensor  # int64 [n, C], of each image's copies in the arrays that follow
    features: torch.Tensor  # [R, V, D], any floating type
    boxes: torch.Tensor | None = None  # [R, V, 4] in fractions
    grid: torch.Tensor | None = None  # as in DetectorInput, with R rows for its B images
    grid_size: tuple[int, int] = (0, 0)
    levels: Mapping[int, torch.Tensor] | None = None  # [R, C, h, w] of the first view, by level
    view_size: int = 0  # pixels, a side
    masks: MaskTargets | None = None  # of the images, and of their copies
    teacher: torch.Tensor | None = None  # [n] log-odds by a teacher of images as they are, or NaN
    samples: Sequence[Sample] = ()  # n, for their metadata
    text_vectors: TextVectors | None = None  # of their texts

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def stored_at_once(self) -> int:
        """Images whose features are read at a time: as many as keep grids small in memory."""
        held = [] if self.grid is None else [self.grid, *(self.levels or {}).values()]
        return images_at_once(sum(array[0].numel() for array in held))

    @property
    def read_at_once(self) -> int:
        """Images judged at a time."""
        return self.stored_at_once

    def all_but(self, fold: Rows) -> Rows:
        """The rows to train on while ``fold`` validates, see `rows_apart`."""
        return (
            rows_apart(self.samples, fold)
            if self.samples
            else np.setdiff1d(np.arange(len(self)), fold)
        )

    def sized(self, config: DetectorConfig, training: Rows) -> DetectorConfig:
        """The configuration with what is learned from training rows before training starts.

        Without metadata where no training row has any.
        """
        config = config.sized(
            width=self.features.shape[-1],
            grid_width=0 if self.grid is None else self.grid.shape[-1],
            grid_size=self.grid_size,
            view_size=self.view_size,
            level_shapes={level: maps.shape[1:] for level, maps in (self.levels or {}).items()},
        )
        if config.metadata is None:
            return config
        known = [self.samples[row] for row in training]
        metadata = config.metadata.fitted(known, self.text_vectors)
        return dataclasses.replace(config, metadata=metadata if metadata.fields else None)

    def metadata(self, config: DetectorConfig) -> MetadataBatch | None:
        """Of all images, for a detector of this configuration; None where it takes none."""
        if config.metadata is None:
            return None
        with warnings.catch_warnings(action="ignore"):  # rare values, see MetadataConfig.fitted
            return encode_samples(self.samples, config.metadata, self.text_vectors)

    def ids(self, images: torch.Tensor) -> list[str]:
        """Of some images; their numbers where there are no samples."""
        return [self.samples[i].id if self.samples else str(i) for i in images.tolist()]

    def names(self, images: torch.Tensor, most: int = 5) -> str:
        """Some images by id, or by number where there are no samples, for messages."""
        shown = self.ids(images[:most])
        more = len(images) - len(shown)
        return f"images {', '.join(shown)}" + (f" and {more} more" if more else "")

    def at_epoch(self, epoch: int) -> Self:
        """What an epoch, from 0, learns from: stored features are always the same."""
        return self

    def truth(self, images: torch.Tensor, copies: torch.Tensor) -> Truth:
        """What is known of some images, one copy of each.

        A copy whose road work is cut away shows none, and is not what a teacher spoke of.
        """
        labels = self.labels[images]
        teacher = None if self.teacher is None else self.teacher[images]
        if self.masks is None:
            return Truth(labels=labels, teacher=teacher)
        masks, annotated = self.copy_masks(self.masks, images, copies)
        away = annotated & lost(self.masks.batch(images.numpy())[0], masks)
        return Truth(
            labels=labels.masked_fill(away, 0),
            masks=masks,
            annotated=annotated,
            teacher=None if teacher is None else teacher.masked_fill(away, torch.nan),
        )

    def copy_masks(
        self, masks: MaskTargets, images: torch.Tensor, copies: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks of copies, and whether they are known, see `MaskTargets.batch`."""
        return masks.batch(images.numpy(), copies.numpy())

    def batch(
        self,
        images: torch.Tensor,
        copies: torch.Tensor | int = 0,
        metadata: MetadataBatch | None = None,
    ) -> DetectorInput:
        """What the detector is given of some images, one copy of each."""
        return self.stored(images, copies, metadata)

    def stored(
        self,
        images: torch.Tensor,
        copies: torch.Tensor | int = 0,
        metadata: MetadataBatch | None = None,
    ) -> DetectorInput:
        """What is stored of some images, one copy of each, in float32."""
        rows = self.rows[images, copies]
        return DetectorInput(
            features=self.features[rows].float(),
            boxes=None if self.boxes is None else self.boxes[rows].float(),
            metadata=None if metadata is None else metadata[images],
            grid=None if self.grid is None else self.grid[rows].float(),
            grid_size=None if self.grid is None else self.grid_size,
            levels=self.levels
            and {level: maps[rows].float() for level, maps in self.levels.items()},
        )
