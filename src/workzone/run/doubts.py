"""Which of the images that a bundle is judged on are in doubt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from workzone.decide.ensemble import Ensemble
from workzone.decide.models import Model
from workzone.errors import ManifestError
from workzone.features.store import FeatureStore
from workzone.run.stored_scores import member_probabilities, stored_vectors
from workzone.types import Sample


def doubtful_images(
    model: Model,
    store: FeatureStore,
    samples: Sequence[Sample],
    raw: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_] | None:
    """Images that are unlike training, undecided, or that members judge differently, bool ``[B]``.

    Args:
        model: a bundle or an ensemble.
        store: from :func:`workzone.run.ensembles.extract_for`.
        samples: ``B`` of its images.
        raw: their probabilities before calibration.

    Returns:
        None: the model cannot tell.
    """
    found: npt.NDArray[np.bool_] = np.zeros(len(samples), dtype=np.bool_)
    known = False
    if model.conformal is not None:
        found, known = found | model.conformal.undecided(raw), True
    if model.familiarity is not None:
        vectors = stored_vectors(model, store, samples)
        found, known = found | (model.familiarity.score(vectors) > 1), True
    if isinstance(model, Ensemble) and model.disagreement_cut is not None:
        found, known = found | model.disagree(member_probabilities(model, store, samples)), True
    return found if known else None


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
            f"all {len(samples)} images are in doubt, so nothing is left to "
            "judge: leave out --unsure abstain, or look at them"
        )
    kept = [sample for sample, left in zip(samples, doubtful, strict=True) if not left]
    return kept, probabilities[~doubtful]
