"""A model that takes several looks, weighed by how familiar they are, fitted on unseen images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle
from workzone.decide.test_time import TestTimeConfig
from workzone.decide.test_time_fit import fit_look_temperature
from workzone.errors import ManifestError
from workzone.run.ensembles import backbones_of, extract_for
from workzone.run.evaluate import in_store
from workzone.run.stored_scores import look, stored_vectors

FEWEST = 25
"""Images of either label that the temperature is fitted on at least."""


def fit_looks(
    bundle: Bundle,
    manifest: Manifest,
    stores: Path,
    *,
    copies: int,
    margin: float = 0.0,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> tuple[Bundle, int]:
    """The bundle with familiar looks, and on how many images their temperature was fitted.

    Args:
        bundle: with statistics of what it learned from.
        manifest: labelled images; those that the bundle learned from are left out.
        stores: where feature stores lie.
        copies: beside the image itself.
        margin: of the early exit, in log-odds; 0: none.
        weights: of the backbone, where it is neither embedded nor to be downloaded.
        device: of the backbone.

    Raises:
        UsageError: the bundle has no statistics, or a number out of range.
        ManifestError: too few images that the bundle has not learned from.
    """
    config = TestTimeConfig(copies=copies, margin=margin).by("familiar")
    looking = dataclasses.replace(bundle, test_time=config)  # says what is missing
    unseen = [
        s for s in manifest if s.label is not None and s.content_hash not in bundle.training_images
    ]
    images = manifest.with_samples(unseen)
    backbones = backbones_of(bundle, weights=weights, device=device)
    store = extract_for(bundle, backbones, images, stores, copies=copies)
    samples = in_store(store, unseen)
    labels = np.array([s.label for s in samples], dtype=np.int64)
    found = min(int(labels.sum()), len(labels) - int(labels.sum()))
    if found < FEWEST:
        raise ManifestError(
            f"{len(samples)} images that the model has not learned from, {int(labels.sum())} of "
            f"them with road work: {FEWEST} of either kind are needed to weigh looks by"
        )
    numbers = range(1 + copies)
    assert bundle.familiarity is not None  # as checked above
    raw = [look(bundle, store, samples, copy=copy) for copy in numbers]
    distances = [
        bundle.familiarity.score(stored_vectors(bundle, store, samples, copy=copy))
        for copy in numbers
    ]
    fitted = fit_look_temperature(
        labels, np.stack(raw, axis=-1), np.stack(distances, axis=-1), config
    )
    return dataclasses.replace(looking, test_time=fitted), len(samples)
