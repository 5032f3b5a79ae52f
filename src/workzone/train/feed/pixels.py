"""What is learned from pixels: images decoded anew for each batch, with their masks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from workzone.data.augmentation import recipe_of
from workzone.features.masks import MaskTargets, masks_of_copies, read_shares
from workzone.features.reading import square_boxes
from workzone.features.spec import FeatureSpec
from workzone.model.inputs import DetectorInput
from workzone.model.metadata.batch import MetadataBatch
from workzone.parallel import map_ahead
from workzone.train.feed.examples import Examples
from workzone.types import Views
from workzone.views import sample_bytes, sample_views


@dataclass(frozen=True, kw_only=True)
class PixelInput(DetectorInput):
    """``B`` images whose views the backbone has not read: ``features`` are ``[B, V, 0]``."""

    pixels: torch.Tensor  # uint8 [B, V, 3, S, S]


@dataclass(frozen=True, kw_only=True)
class PixelExamples(Examples):
    """Images to decode anew for each batch, beside what is stored of them.

    Copies other than the first are augmented, differently in each epoch: what a copy looks like
    depends on the seed of ``spec.augmentation``, the image's content, its number and the epoch.
    Masks are cropped, turned and flipped with their copies, as those of stored copies are. The
    stored features, of the images as they are, serve statistics alone.
    """

    root: Path  # of the samples' references
    spec: FeatureSpec
    epoch: int = 0

    @property
    def read_at_once(self) -> int:
        """Images judged at a time: their pixels are decoded at once."""
        return 32

    @classmethod
    def of(cls, stored: Examples, spec: FeatureSpec, root: Path, *, copies: int) -> Self:
        """The same images from pixels.

        Args:
            stored: with samples; only the first copy of each is taken.
            spec: of the stored features.
            root: of the samples' references.
            copies: augmented copies per image, among which, and the image as it is, each epoch
                draws one.
        """
        known = {f.name: getattr(stored, f.name) for f in dataclasses.fields(stored)}
        known["rows"] = stored.rows[:, :1].expand(-1, 1 + copies)
        return cls(**known, spec=spec, root=root)

    def at_epoch(self, epoch: int) -> Self:
        """The same with the augmented copies of an epoch, from 0."""
        return dataclasses.replace(self, epoch=epoch)

    def batch(
        self,
        images: torch.Tensor,
        copies: torch.Tensor | int = 0,
        metadata: MetadataBatch | None = None,
    ) -> PixelInput:
        """The views of some images, one copy of each, cut as for extraction.

        Raises:
            ImageError: an image is gone, or has changed, since its features were stored.
        """
        wanted = self._drawn(images, torch.as_tensor(copies).expand(len(images)))
        views = [made for _, made in map_ahead(self._views, wanted)]
        layout = self.spec.layout
        pixels = torch.stack([_in_square(one, layout.size) for one in views])
        return PixelInput(
            pixels=pixels,
            features=torch.zeros(*pixels.shape[:2], 0),
            boxes=torch.from_numpy(np.stack([square_boxes(one, layout) for one in views])),
            metadata=None if metadata is None else metadata[images],
        )

    def copy_masks(
        self, masks: MaskTargets, images: torch.Tensor, copies: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks of copies, cut as the pixels of `batch` are.

        Raises:
            ManifestError: a mask that is missing or cannot be read.
        """
        shares, annotated = masks.batch(images.numpy())
        drawn = self._drawn(images, copies)
        changed = [(row, *copy) for row, copy in enumerate(drawn) if copy[1] and annotated[row]]
        for (row, _, _), left in map_ahead(self._left, changed):
            annotated[row] = left is not None
            shares[row] = 0.0 if left is None else read_shares(left)
        return shares, annotated

    def _drawn(self, images: torch.Tensor, copies: torch.Tensor) -> list[tuple[int, int]]:
        """Images, and by which number their copies are drawn in this epoch; 0: as they are.

        A challenge that may have lost its road work gives way as among stored copies, see
        `workzone.train.feed.examples.copy_rows`.
        """
        augmented, untold = self.rows.shape[1] - 1, self._untold()
        numbers = torch.where(copies == 0, 0, copies + self.epoch * augmented)
        return [
            (image, self._told(number) if untold[image] else number)
            for image, number in zip(images.tolist(), numbers.tolist(), strict=True)
        ]

    def _told(self, number: int) -> int:
        """The copy itself, or the last one before it that keeps its road work."""
        recipe = self.spec.augmentation
        if not number or recipe_of(recipe, number) != "challenge":
            return number
        return 0 if recipe.recipe == "challenge" else number - 1

    def _untold(self) -> torch.Tensor:
        """Images, bool ``[n]``, of whose challenges no masks tell what is left; others' do."""
        shown = self.labels == 1
        if self.masks is None:
            return torch.zeros_like(shown)
        known = torch.from_numpy(self.masks.annotated[:, 0])
        return shown & ~known & (shown & known).any()

    def _views(self, wanted: tuple[int, int]) -> Views:
        image, number = wanted
        sample = self.samples[image]
        return sample_views(
            sample,
            sample_bytes(sample, self.root),
            self.spec.layout,
            augmentation=self.spec.augmentation,
            copy=number,
        )

    def _left(self, wanted: tuple[int, int, int]) -> npt.NDArray[np.uint8] | None:
        _, image, number = wanted
        assert self.masks is not None
        rows, columns = self.masks.covered.shape[-2:]
        (left,) = masks_of_copies(
            self.samples[image], self.root, (rows, columns), self.spec.augmentation, [number]
        )
        return left


def _in_square(views: Views, side: int) -> torch.Tensor:
    """Pixels ``[V, 3, S, S]``, black beside frames in their own shape."""
    pixels = torch.from_numpy(views.pixels)
    rows, columns = pixels.shape[2:]
    return F.pad(pixels, (0, side - columns, 0, side - rows))
