"""What is known of an image beside its pixels: checked, and encoded for a bundle's detector."""

from __future__ import annotations

import math
import numbers
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workzone.decide.description import Description
from workzone.errors import BundleError, UsageError, nearest, needing_train
from workzone.features.text_spec import clean
from workzone.model.metadata.rows import Rows, anything_known, encode_rows
from workzone.types import ImageRef, Sample

if TYPE_CHECKING:  # texts need torch and transformers, all else does not
    from workzone.features.text import TextVectors
    from workzone.features.text_model import SentenceModel

POSITION_KEYS = ("latitude", "longitude")
WORD_KEYS = ("weather", "daytime", "scene", "text")
KEYS = POSITION_KEYS + WORD_KEYS
"""What may be said of an image: fields of `Sample`."""


def sample_from(metadata: Mapping[str, Any], name: str) -> Sample:
    """A sample that holds what a mapping says; None and NaN are missing.

    Args:
        metadata: values by `KEYS`: numbers in degrees, and words.
        name: of the image, for messages.

    Raises:
        UsageError: no mapping, an unknown key, or a value of the wrong type.
    """
    if not isinstance(metadata, Mapping):
        raise UsageError(
            f"image {name}: its metadata is {type(metadata).__name__}; give a mapping such as "
            "{'weather': 'rain'}, or {} where nothing is known"
        )
    known: dict[str, Any] = {}
    for key, value in metadata.items():
        if key not in KEYS:
            raise UsageError(
                f"image {name}: metadata {key!r} is not known; {nearest(str(key), KEYS)}"
            )
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
            continue
        if key in POSITION_KEYS and not number:
            raise UsageError(f"image {name}: {key} is {value!r}; give a number of degrees or None")
        if key in WORD_KEYS and not isinstance(value, str):
            raise UsageError(f"image {name}: {key} is {value!r}; give a text or None")
        known[key] = value
    return Sample(id=name, image=ImageRef(name), **known)


def mapping_of(sample: Sample) -> dict[str, Any]:
    """What a sample says of its image, by `KEYS`."""
    return {key: getattr(sample, key) for key in KEYS}


def says_anything(sample: Sample) -> bool:
    """Whether any of `KEYS` holds a value."""
    return any(value is not None for value in mapping_of(sample).values())


class SampleEncoder:
    """Encodes samples, one at a time, for a bundle's detector.

    The sentence model is loaded when the first text comes. Threads may share an encoder: one text
    is read at a time, since tokenizers may not be used by two threads at once.
    """

    def __init__(self, description: Description) -> None:
        self._description = description
        self._sentences: SentenceModel | None = None
        self._reading = threading.Lock()

    def encode(self, sample: Sample | None) -> Rows | None:
        """Rows of one; None where nothing is known that the detector takes.

        Raises:
            BundleError: the sentence model is not the one that the detector was trained with.
            BackboneError: the sentence model cannot be had.
        """
        config = self._description.metadata
        if config is None or sample is None:
            return None
        vectors = self._vectors(clean(sample.text)) if config.text else None
        rows = encode_rows([sample], config, vectors)
        return rows if anything_known(rows).any() else None

    def _vectors(self, text: str) -> TextVectors | None:
        if not text:
            return None
        with self._reading:
            if self._sentences is None:
                self._sentences = load_text_model(self._description)
            from workzone.features.text import TextVectors, text_hash

            vectors = self._sentences.encode([text])
        return TextVectors(self._sentences.spec, vectors, {text_hash(text): 0})


def load_text_model(description: Description) -> SentenceModel:
    """The sentence model whose vectors a bundle's detector takes.

    Raises:
        BundleError: the model of that name has other weights or settings now.
        BackboneError: it cannot be had.
        UsageError: the detector takes no text.
    """
    spec = description.text_model
    if spec is None:
        raise UsageError("the detector takes no text, so it has no sentence model")
    with needing_train("judging by texts beside images"):
        from workzone.features.text_model import load_sentence_model

    model = load_sentence_model(spec.model)
    if model.spec.key() != spec.key():
        raise BundleError(
            f"the detector was trained with the sentence model {spec.model!r} of weights "
            f"{spec.weight_hash} (key {spec.key()}), this one has {model.spec.weight_hash} "
            f"(key {model.spec.key()}): get the same files again, or train again"
        )
    return model


def bundle_text_vectors(
    bundle: Description, samples: Iterable[Sample], root: Path
) -> TextVectors | None:
    """Sentence vectors of the samples' texts, for a bundle's detector; None where it takes none.

    Vectors stored below ``root`` are read; the sentence model is loaded only if some are missing.

    Raises:
        BundleError: the sentence model is not the one that the detector was trained with.
        BackboneError: it cannot be had.
        StoreError: a stored part is damaged.
    """
    spec = bundle.text_model
    texts = {text for text in (clean(sample.text) for sample in samples) if text}
    if spec is None or not texts:
        return None
    from workzone.features.text import read_text_vectors, text_vectors

    folder = spec.folder(root)
    if any(folder.glob("part-*.safetensors")):
        stored = read_text_vectors(folder)
        if all(text in stored for text in texts):
            return stored
    return text_vectors(texts, root, load_text_model(bundle))
