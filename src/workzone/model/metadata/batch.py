"""Metadata of a batch as tensors, made from samples."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import torch

from workzone.errors import StoreError, UsageError
from workzone.features.text import TextVectors, clean
from workzone.model.metadata.config import CATEGORY_FIELDS, MIN_ROWS, MetadataConfig, category
from workzone.model.metadata.position import (
    geoclip_vectors,
    is_position,
    unit_vectors,
)
from workzone.types import Sample

MISSING = 0
UNKNOWN = 1
"""Category ids; the configuration's categories count on from 2."""


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
    return MetadataBatch(
        position=torch.zeros(rows, config.position_width),
        has_position=torch.zeros(rows, dtype=torch.bool),
        weather=torch.full((rows,), MISSING),
        daytime=torch.full((rows,), MISSING),
        scene=torch.full((rows,), MISSING),
        text=torch.zeros(rows, config.text),
        has_text=torch.zeros(rows, dtype=torch.bool),
    )


def encode_samples(
    samples: Sequence[Sample], config: MetadataConfig, text_vectors: TextVectors | None = None
) -> MetadataBatch:
    """The metadata of ``samples`` as tensors, on the CPU.

    A coordinate that is missing, NaN or off the globe makes the position missing; blank values are
    missing; a category that training did not know is ``UNKNOWN``, with one warning for each value.

    Args:
        samples: ``B`` samples.
        config: as fitted to the training rows.
        text_vectors: with the texts of these samples; not needed where none has a text.

    Raises:
        UsageError: there are texts but no vectors, or vectors of another model than in training.
        StoreError: a text has no vector.
    """
    batch = no_metadata(len(samples), config)
    if config.position:
        _fill_positions(batch, samples, config)
    for field in CATEGORY_FIELDS:
        if config.width_of(field):
            ids = [_category_id(field, getattr(sample, field), config) for sample in samples]
            getattr(batch, field).copy_(torch.tensor(ids, dtype=torch.int64))
    if config.text:
        _fill_texts(batch, samples, config, text_vectors)
    return batch


def _fill_positions(
    batch: MetadataBatch, samples: Sequence[Sample], config: MetadataConfig
) -> None:
    degrees = {
        row: (float(sample.latitude), float(sample.longitude))
        for row, sample in enumerate(samples)
        if sample.latitude is not None
        and sample.longitude is not None
        and is_position(sample.latitude, sample.longitude)
    }
    rows = list(degrees)
    batch.has_position[rows] = True
    if config.position_encoder == "geoclip":
        batch.position[rows] = geoclip_vectors(list(degrees.values()))
    else:
        places = torch.tensor(list(degrees.values()), dtype=torch.float64)
        batch.position[rows] = unit_vectors(places.reshape(-1, 2))


def _fill_texts(
    batch: MetadataBatch,
    samples: Sequence[Sample],
    config: MetadataConfig,
    text_vectors: TextVectors | None,
) -> None:
    texts = {row: clean(sample.text) for row, sample in enumerate(samples) if clean(sample.text)}
    rows = list(texts)
    if not rows:
        return
    if text_vectors is None:
        raise UsageError(
            f"sample {samples[rows[0]].id!r} has a text, but there are no sentence vectors: make "
            "them with workzone.features.text.text_vectors, or switch the field off with text: 0"
        )
    if (text_vectors.width, text_vectors.spec.key()) != (config.text, config.text_key):
        raise UsageError(
            f"the sentence vectors are of {text_vectors.spec.model} "
            f"({text_vectors.width} wide, key {text_vectors.spec.key()}), the detector takes "
            f"{config.text} wide, key {config.text_key or 'none (call MetadataConfig.fitted)'}: "
            "use the text model it was trained with"
        )
    batch.has_text[rows] = True
    try:
        batch.text[rows] = text_vectors.get(list(texts.values()))
    except StoreError as error:
        missing = next(row for row, text in texts.items() if text not in text_vectors)
        raise StoreError(f"sample {samples[missing].id!r}: {error}") from error


def _category_id(field: str, value: str | None, config: MetadataConfig) -> int:
    name, known = category(value), config.values_of(field)
    if not name:
        return MISSING
    if name in known:
        return known.index(name) + 2
    _warn_unknown(field, name, known)
    return UNKNOWN


@lru_cache(maxsize=4096)  # so that it warns once, not once for each row
def _warn_unknown(field: str, name: str, known: tuple[str, ...]) -> None:
    warnings.warn(
        f"{field} {name!r} is in fewer than {MIN_ROWS} training rows, so counts as unknown; "
        f"known: {', '.join(known) or 'none'}",
        stacklevel=4,
    )
