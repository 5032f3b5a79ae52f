"""Which of the images that a bundle is judged on are in doubt, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workzone.cores import core_count
from workzone.data.manifest import Manifest
from workzone.data.quality import IN_WORDS, FaultName, fault_in_view
from workzone.decide.ensemble import Ensemble
from workzone.decide.models import Model
from workzone.decide.unsure import CONTRADICTED, UNDECIDED, UNLIKE
from workzone.errors import ImageError, ManifestError
from workzone.features.store import FeatureStore
from workzone.parallel import map_ahead
from workzone.progress import track
from workzone.run.stored_scores import member_probabilities, stored_vectors
from workzone.types import Sample
from workzone.views import ViewLayout, sample_bytes, whole_view

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Doubts:
    """Images with a reason for doubt; each may have several."""

    by_reason: Mapping[str, Bools]  # [B] each, in the words of a prediction's `reason`
    unseen: int = 0  # images that are gone or changed since their features were stored


def find_doubts(
    model: Model,
    manifest: Manifest,
    store: FeatureStore,
    raw: npt.NDArray[np.float64],
) -> Doubts:
    """The images that predictions would name a reason for doubt of.

    Args:
        model: a bundle or an ensemble.
        manifest: ``B`` images of the store; each is read, to see whether it shows enough.
        store: from :func:`workzone.run.ensembles.extract_for`.
        raw: their probabilities before calibration.
    """
    samples = list(manifest)
    found: dict[str, Bools] = {}
    unseen = 0
    if model.spec.layout.global_view:
        faults = list(_faults(samples, manifest.root, model.spec.layout))
        unseen = sum(isinstance(one, ImageError) for one in faults)
        for name, words in IN_WORDS.items():
            found[words] = np.array([one == name for one in faults], dtype=np.bool_)
    if model.familiarity is not None:
        found[UNLIKE] = model.familiarity.score(stored_vectors(model, store, samples)) > 1
    if model.conformal_sets is not None:
        found[UNDECIDED] = model.conformal_sets.undecided(raw)
    if isinstance(model, Ensemble) and model.disagreement_cut is not None:
        found[CONTRADICTED] = model.disagree(member_probabilities(model, store, samples))
    return Doubts(found, unseen)


def _faults(
    samples: Sequence[Sample], root: Path, layout: ViewLayout
) -> Iterator[FaultName | ImageError | None]:
    """What is wrong with each picture; an error: it cannot be seen any more."""

    def look(sample: Sample) -> FaultName | ImageError | None:
        try:
            data = sample_bytes(sample, root)
            return fault_in_view(whole_view(data, layout, name=str(sample.image)))
        except ImageError as error:
            return error

    with closing(map_ahead(look, samples, threads=core_count())) as results:
        for _, found in track(results, "looking at pictures", total=len(samples)):
            yield found


def decided_images(
    samples: Sequence[Sample],
    probabilities: npt.NDArray[np.float64],
    doubtful: Bools,
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
