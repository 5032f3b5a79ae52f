"""Metadata of a batch as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy.typing as npt
import torch

from workzone.model.metadata.config import MetadataConfig
from workzone.model.metadata.rows import MISSING, empty_rows, encode_rows
from workzone.types import Sample

if TYPE_CHECKING:
    from workzone.features.text import TextVectors


@dataclass(frozen=True, kw_only=True)
class MetadataBatch:
    """What is known of ``B`` images. Values of what is missing are zero."""

    position: torch.Tensor  # float32 [B, 3], unit vectors; GeoCLIP's [B, 512]; never bfloat16
    has_position: torch.Tensor  # bool [B]
    weather: torch.Tensor  # int64 [B]: 0 missing, 1 unknown, 2... as in the configuration
    daytime: torch.Tensor  # int64 [B]
    scene: torch.Tensor  # int64 [B]
    text: torch.Tensor  # float32 [B, W], of unit length
    has_text: torch.Tensor  # bool [B]

    @classmethod
    def from_rows(cls, rows: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The tensors of the arrays of :mod:`workzone.model.metadata.rows`, in their memory."""
        return cls(**{name: torch.from_numpy(array) for name, array in rows.items()})

    def __len__(self) -> int:
        return len(self.weather)

    def known(self) -> torch.Tensor:
        """Of which images anything is known, bool ``[B]``; unknown categories count."""
        categories = torch.stack([self.weather, self.daytime, self.scene])
        return self.has_position | self.has_text | (categories != MISSING).any(dim=0)

    def __getitem__(self, rows: slice | torch.Tensor) -> MetadataBatch:
        """Some of the rows, by a slice, row numbers or a mask."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def to(self, device: torch.device | str) -> MetadataBatch:
        """The same on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})


torch.export.register_dataclass(MetadataBatch)


def no_metadata(rows: int, config: MetadataConfig) -> MetadataBatch:
    """A batch of ``rows`` images of which nothing is known."""
    return MetadataBatch.from_rows(empty_rows(rows, config))


def encode_samples(
    samples: Sequence[Sample], config: MetadataConfig, text_vectors: TextVectors | None = None
) -> MetadataBatch:
    """The metadata of ``samples`` as tensors, on the CPU.

    Args, Raises: see :func:`workzone.model.metadata.rows.encode_rows`.
    """
    return MetadataBatch.from_rows(encode_rows(samples, config, text_vectors))
