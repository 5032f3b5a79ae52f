"""Metadata of images as arrays, made from samples.

The arrays of ``B`` images, by name; values of what is missing are zero::

    position      float32  [B, 3]  unit vectors; GeoCLIP's [B, 512]
    has_position  bool     [B]
    weather       int64    [B]     0 missing, 1 unknown, 2... as in the configuration
    daytime       int64    [B]
    scene         int64    [B]
    text          float32  [B, W]  of unit length
    has_text      bool     [B]
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workzone.errors import StoreError, UsageError
from workzone.features.text_spec import clean
from workzone.model.metadata.config import CATEGORY_FIELDS, MIN_ROWS, MetadataConfig, category
from workzone.model.metadata.sphere import is_position, unit_vectors
from workzone.types import Sample

if TYPE_CHECKING:
    from workzone.features.text import TextVectors

Rows = dict[str, npt.NDArray[Any]]

MISSING = 0
UNKNOWN = 1
"""Category ids; the configuration's categories count on from 2."""


def empty_rows(count: int, config: MetadataConfig) -> Rows:
    """Rows of ``count`` images of which nothing is known."""
    rows: Rows = {
        "position": np.zeros((count, config.position_width), dtype=np.float32),
        "has_position": np.zeros(count, dtype=np.bool_),
    }
    for field in CATEGORY_FIELDS:
        rows[field] = np.full(count, MISSING, dtype=np.int64)
    rows["text"] = np.zeros((count, config.text), dtype=np.float32)
    rows["has_text"] = np.zeros(count, dtype=np.bool_)
    return rows


def anything_known(rows: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Of which images anything is known, ``[B]``; unknown categories count."""
    known: npt.NDArray[np.bool_] = rows["has_position"] | rows["has_text"]
    for field in CATEGORY_FIELDS:
        known = known | (rows[field] != MISSING)
    return known


def encode_rows(
    samples: Sequence[Sample], config: MetadataConfig, text_vectors: TextVectors | None = None
) -> Rows:
    """The metadata of ``samples``.

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
    rows = empty_rows(len(samples), config)
    if config.position:
        _fill_positions(rows, samples, config)
    for field in CATEGORY_FIELDS:
        if config.width_of(field):
            rows[field][:] = [
                _category_id(field, getattr(sample, field), config) for sample in samples
            ]
    if config.text:
        _fill_texts(rows, samples, config, text_vectors)
    return rows


def _fill_positions(rows: Rows, samples: Sequence[Sample], config: MetadataConfig) -> None:
    degrees = {
        row: (float(sample.latitude), float(sample.longitude))
        for row, sample in enumerate(samples)
        if sample.latitude is not None
        and sample.longitude is not None
        and is_position(sample.latitude, sample.longitude)
    }
    if not degrees:
        return
    numbers = list(degrees)
    rows["has_position"][numbers] = True
    if config.position_encoder == "geoclip":
        from workzone.model.metadata.position import geoclip_vectors

        rows["position"][numbers] = geoclip_vectors(list(degrees.values())).numpy()
    else:
        rows["position"][numbers] = unit_vectors(list(degrees.values()))


def _fill_texts(
    rows: Rows,
    samples: Sequence[Sample],
    config: MetadataConfig,
    text_vectors: TextVectors | None,
) -> None:
    texts = {row: clean(sample.text) for row, sample in enumerate(samples) if clean(sample.text)}
    numbers = list(texts)
    if not numbers:
        return
    if text_vectors is None:
        raise UsageError(
            f"sample {samples[numbers[0]].id!r} has a text, but there are no sentence vectors: "
            "make them with workzone.features.text.text_vectors, or switch the field off with "
            "text: 0"
        )
    if (text_vectors.width, text_vectors.spec.key()) != (config.text, config.text_key):
        raise UsageError(
            f"the sentence vectors are of {text_vectors.spec.model} "
            f"({text_vectors.width} wide, key {text_vectors.spec.key()}), the detector takes "
            f"{config.text} wide, key {config.text_key or 'none (call MetadataConfig.fitted)'}: "
            "use the text model it was trained with"
        )
    rows["has_text"][numbers] = True
    try:
        rows["text"][numbers] = text_vectors.get(list(texts.values())).numpy()
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
