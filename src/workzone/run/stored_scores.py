"""What a model says of images whose features are stored: scores, vectors, doubts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workzone.decide.ensemble import Ensemble
from workzone.decide.models import Model, bundles_of, leading_bundle
from workzone.decide.test_time import combine_looks
from workzone.features.store import FeatureStore
from workzone.model.metadata.batch import MetadataBatch
from workzone.run.ensembles import store_of
from workzone.run.mistakes import stored_inputs
from workzone.train.judging import predict_probabilities
from workzone.types import Sample

Scores = npt.NDArray[np.float64]


def raw_probabilities(
    model: Model,
    store: FeatureStore,
    samples: Sequence[Sample],
    metadata: MetadataBatch | None = None,
) -> Scores:
    """Probabilities ``[B]`` before calibration, of one look or of as many as the model takes.

    Args:
        model: a bundle or an ensemble.
        store: from :func:`workzone.run.ensembles.extract_for`.
        samples: ``B`` of its images.
        metadata: of the samples, for a bundle that takes some; None: the images alone.
    """
    test_time = model.test_time
    if test_time is None:
        return look(model, store, samples, metadata)
    copies = range(1 + test_time.copies)
    looks = [look(model, store, samples, metadata, copy=copy) for copy in copies]
    distances = None
    if test_time.choose == "familiar":
        assert model.familiarity is not None  # a Description checks that
        distances = np.stack(
            [
                model.familiarity.score(stored_vectors(model, store, samples, copy=copy))
                for copy in copies
            ],
            axis=-1,
        )
    calibration = model.calibration if metadata is None else model.metadata_calibration
    assert calibration is not None
    return combine_looks(
        np.stack(looks, axis=-1), test_time, cut=calibration.cut, distances=distances
    )


def look(
    model: Model,
    store: FeatureStore,
    samples: Sequence[Sample],
    metadata: MetadataBatch | None = None,
    *,
    copy: int = 0,
) -> Scores:
    """Probabilities ``[B]`` before calibration of one look; for arguments see above."""
    if isinstance(model, Ensemble):
        return model.mixture.apply(member_probabilities(model, store, samples, copy=copy))
    raw, done = [], 0
    for inputs in stored_inputs(model, store, samples, copy=copy):
        part = slice(done, done + len(inputs))
        done = part.stop
        given = inputs
        if metadata is not None:
            given = dataclasses.replace(inputs, metadata=metadata[part])
        raw.append(predict_probabilities(model.detector, given))
    return np.concatenate(raw)


def member_probabilities(
    ensemble: Ensemble, store: FeatureStore, samples: Sequence[Sample], *, copy: int = 0
) -> Scores:
    """Calibrated probabilities ``[B, M]`` of an ensemble's members.

    Args:
        ensemble: of bundles.
        store: from :func:`workzone.run.ensembles.extract_for`.
        samples: ``B`` of its images.
        copy: which look; 0: the image itself.
    """
    return np.stack(
        [
            member.calibration.apply(look(member, store_of(store, member), samples, copy=copy))
            for member in bundles_of(ensemble)
        ],
        axis=-1,
    )


def stored_vectors(
    model: Model, store: FeatureStore, samples: Sequence[Sample], *, copy: int = 0
) -> npt.NDArray[np.float32]:
    """What images look like ``[B, D']`` (`AnyDetector.scene`), to a leading member of several."""
    bundle = leading_bundle(model)
    own = store_of(store, bundle)
    vectors = [
        bundle.detector.scene(inputs).numpy()
        for inputs in stored_inputs(bundle, own, samples, copy=copy)
    ]
    return np.concatenate(vectors)
