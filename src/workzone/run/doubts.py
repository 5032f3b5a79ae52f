"""Which of the images that a bundle is judged on are in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workzone.decide.bundle import Bundle
from workzone.errors import ManifestError
from workzone.features.store import FeatureStore
from workzone.run.mistakes import stored_inputs
from workzone.types import Sample


def doubtful_images(
    bundle: Bundle,
    store: FeatureStore,
    samples: Sequence[Sample],
    raw: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_] | None:
    """Images that are unlike training, or undecided, bool ``[B]``; None: the model cannot tell."""
    if bundle.familiarity is None and bundle.conformal is None:
        return None
    doubtful = np.zeros(len(samples), dtype=np.bool_)
    if bundle.conformal is not None:
        doubtful |= bundle.conformal.undecided(raw)
    if bundle.familiarity is not None:
        vectors = [
            bundle.detector.scene(inputs).numpy()
            for inputs in stored_inputs(bundle, store, samples, copy=0)
        ]
        doubtful |= bundle.familiarity.score(np.concatenate(vectors)) > 1
    return doubtful


def decided_images(
    samples: Sequence[Sample],
    probabilities: npt.NDArray[np.float64],
    doubtful: npt.NDArray[np.bool_],
) -> tuple[list[Sample], npt.NDArray[np.float64]]:
    """What is left.

    Raises:
        ManifestError: nothing.
    """
    if doubtful.all():
        raise ManifestError(
            f"all {len(samples)} images are unlike training or undecided, so nothing is left to "
            "judge: leave out --unsure abstain, or look at them"
        )
    kept = [sample for sample, left in zip(samples, doubtful, strict=True) if not left]
    return kept, probabilities[~doubtful]
