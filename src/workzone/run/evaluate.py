"""Evaluation of a bundle on the rows of a manifest that it has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from workzone.data.manifest import Manifest
from workzone.data.passed_over import counted
from workzone.decide.calibration import apply_where_known
from workzone.decide.models import Model, leading_bundle
from workzone.decide.share import BALANCED, estimate_share
from workzone.decide.threshold import HALF
from workzone.decide.unsure import UnsureName
from workzone.errors import ManifestError
from workzone.features.store import FeatureStore
from workzone.features.text import TextVectors
from workzone.model.metadata.batch import encode_samples
from workzone.report.bootstrap import weighted_figures
from workzone.report.challenge import ChallengeReport
from workzone.report.html import EvaluationReport
from workzone.report.metrics import (
    FIGURES,
    MINIMUM_GROUPS,
    MINIMUM_PER_CLASS,
    Confusion,
    Figure,
    Metrics,
    Slice,
    summarise,
    summarise_by,
)
from workzone.report.selective import Selective, selective
from workzone.run.doubts import Bools, decided_images, find_doubts
from workzone.run.facts import manifest_facts, model_facts, warnings_of
from workzone.run.mistakes import with_objects, worst
from workzone.run.predictor import Predictor
from workzone.run.stored_scores import raw_probabilities
from workzone.types import Sample

SLICED_BY = ("group", "daytime", "weather", "source")
"""Manifest fields whose values the figures are given for."""
RESAMPLES = 1000
MINIMUM_ROWS = 30
"""A slice with fewer rows has no figure but its accuracy."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The report, and the rows it is of."""

    report: EvaluationReport
    samples: list[Sample]

    def with_challenge(self, challenge: ChallengeReport) -> Evaluation:
        """The same with the figures of challenge images beside its own."""
        return Evaluation(dataclasses.replace(self.report, challenge=challenge), self.samples)

    def with_objects(self, predictor: Predictor, manifest: Manifest) -> Evaluation:
        """The same with the objects on its mistakes outlined, see `with_objects`."""
        mistakes = with_objects(self.report.mistakes, predictor, manifest)
        return Evaluation(dataclasses.replace(self.report, mistakes=mistakes), self.samples)

    def to_json(self) -> dict[str, Any]:
        """Figures, slices, facts and warnings as plain values.

        ``image_only`` stands first; ``with_metadata`` is None where the model takes none,
        ``challenge`` where it was not asked for.
        """
        report, with_metadata = self.report, self.report.metadata_metrics
        return {
            "title": report.title,
            "image_only": report.metrics.to_json(),
            "with_metadata": None if with_metadata is None else with_metadata.to_json(),
            "before_calibration": report.before_metrics and report.before_metrics.to_json(),
            "slices": {
                name: [part.to_json() for part in parts] for name, parts in report.slices.items()
            },
            "challenge": None if report.challenge is None else report.challenge.to_json(),
            "selective": None if report.chances is None else report.chances.to_json(),
            "warnings": list(report.warnings),
            "manifest": dict(report.manifest_facts),
            "model": dict(report.model_facts),
        }


def evaluate(
    bundle: Model,
    manifest: Manifest,
    store: FeatureStore,
    *,
    title: str = "Evaluation",
    text_vectors: TextVectors | None = None,
    image_only: bool = False,
    unsure: UnsureName = "off",
) -> Evaluation:
    """Score the labelled rows of a manifest from stored features.

    All that is shown is of the image alone: figures, slices, charts, mistakes. Of a model that
    takes metadata, the same rows are scored once more with theirs; those without any
    keep the score of the image alone, as in prediction.

    Args:
        bundle: the model.
        manifest: the rows to judge on, usually ``manifest.in_split("test")``.
        store: with the features of its images, and of as many copies as the bundle looks at;
            unreadable images are counted, not judged.
        title: of the report.
        text_vectors: of the rows' texts, where the model takes text; see
            :func:`workzone.run.metadata.bundle_text_vectors`.
        image_only: leave out what the model says with metadata.
        unsure: warn tells of images with a reason for doubt, and what they cost; abstain leaves
            them out of all other figures as well. Images are read once more for that, to tell of
            pictures that show too little.

    Raises:
        ManifestError: no labelled row with features, or none that is decided.
        UsageError: the model takes text and rows have some, but there are no vectors, or others.
    """
    labelled = [s for s in manifest if s.label is not None]
    unreadable = [s for s in labelled if (s.content_hash or "", 0) not in store.rows]
    samples = [s for s in labelled if (s.content_hash or "", 0) in store.rows]
    if not samples:
        raise ManifestError(
            "no labelled row to evaluate on "
            f"({len(manifest)} rows, {len(unreadable)} of them labelled but unreadable); "
            "give the manifest labels"
        )
    config = bundle.metadata
    metadata = None
    if config is not None and not image_only:
        metadata = encode_samples(samples, config, text_vectors)
    raw = raw_probabilities(bundle, store, samples)
    probabilities = bundle.calibration.apply(raw)
    warnings = warnings_of(bundle, samples, unreadable)
    doubts = None
    if unsure != "off":
        judged = find_doubts(bundle, manifest.with_samples(samples), store, raw)
        doubts = judged.by_reason or None
        if judged.unseen:
            warnings.append(
                f"Doubts: {counted(judged.unseen, 'image')} changed or gone since features were "
                "stored: whether these pictures show enough is not known."
            )
        if bundle.doubt_note():
            warnings.append(f"Doubts: {bundle.doubt_note()}.")
    chances = _selective(samples, probabilities, doubts)
    if unsure == "abstain" and doubts:
        doubtful = np.any(list(doubts.values()), axis=0)
        samples, probabilities = decided_images(samples, probabilities, doubtful)
        raw = raw[~doubtful]
        warnings.append(
            f"{counted(int(doubtful.sum()), 'image')} of {len(doubtful)} left undecided: all "
            "figures but those by coverage, and of challenge images, are of the others."
        )
        if metadata is not None:
            metadata = metadata[torch.from_numpy(np.flatnonzero(~doubtful))]
    labels = np.array([s.label for s in samples])
    groups = [s.group for s in samples]
    whole = summarise(labels, probabilities, groups, resamples=RESAMPLES)
    metadata_metrics: Metrics | None = None
    if metadata is not None:
        assert bundle.metadata_calibration is not None  # a Bundle checks that
        with_metadata = apply_where_known(
            bundle.metadata_calibration,
            raw_probabilities(bundle, store, samples, metadata),
            known=metadata.known().numpy(),
            otherwise=probabilities,
        )
        metadata_metrics = summarise(labels, with_metadata, groups, resamples=RESAMPLES)
    report = judged_report(
        bundle,
        manifest.with_samples(samples),
        store,
        whole,
        probabilities,
        title=title,
        manifest_facts=manifest_facts(samples, unreadable, metadata),
        warnings=warnings,
        metadata_metrics=metadata_metrics,
        chances=chances,
    )
    before = summarise(labels, raw, groups, resamples=RESAMPLES)
    return Evaluation(dataclasses.replace(report, before=raw, before_metrics=before), samples)


def _selective(
    samples: Sequence[Sample],
    probabilities: npt.NDArray[np.float64],
    doubts: Mapping[str, Bools] | None = None,
) -> Selective:
    """Figures by coverage."""
    values = {name: [getattr(s, name) for s in samples] for name in SLICED_BY}
    return selective(
        np.array([s.label for s in samples]),
        probabilities,
        doubts=doubts,
        slices={name: of for name, of in values.items() if len(set(of)) > 1},
    )


def judged_report(
    bundle: Model,
    manifest: Manifest,
    store: FeatureStore,
    metrics: Metrics,
    probabilities: npt.NDArray[np.float64],
    *,
    title: str,
    manifest_facts: Mapping[str, Any],
    warnings: Sequence[str],
    metadata_metrics: Metrics | None = None,
    chances: Selective | None = None,
) -> EvaluationReport:
    """The report on rows whose probabilities are known: with slices and the worst mistakes.

    Args:
        bundle: the model; which views it looks at is shown of the mistakes.
        manifest: the rows, all of them labelled and in ``store``.
        store: of their features.
        metrics: of all rows.
        probabilities: ``[B]``, of the rows.
        title: of the report.
        manifest_facts: what is to be said of the rows.
        warnings: sentences, shown first.
        metadata_metrics: of all rows with their metadata.
        chances: figures by coverage; None: of the rows, of which none is in doubt.
    """
    samples = list(manifest)
    labels = np.array([s.label for s in samples])
    groups = [s.group for s in samples]
    slices: dict[str, list[Slice]] = {}
    for name in SLICED_BY:
        values = [getattr(s, name) for s in samples]
        if len(set(values)) > 1:
            slices[name] = _slices(metrics, labels, probabilities, groups, values)
    return EvaluationReport(
        title=title,
        metrics=metrics,
        labels=labels,
        probabilities=probabilities,
        metadata_metrics=metadata_metrics,
        slices=slices,
        manifest_facts=manifest_facts,
        model_facts=model_facts(bundle),
        warnings=warnings,
        mistakes=worst(leading_bundle(bundle), manifest, samples, labels, probabilities, store),
        chances=chances or _selective(samples, probabilities),
    )


def image_only_probabilities(
    bundle: Model, store: FeatureStore, samples: Sequence[Sample]
) -> npt.NDArray[np.float64]:
    """Calibrated probabilities ``[B]`` of samples whose features are stored, from images alone."""
    return bundle.calibration.apply(raw_probabilities(bundle, store, samples))


def in_store(store: FeatureStore, samples: Iterable[Sample]) -> list[Sample]:
    """Those whose features are there: whose images could be read."""
    return [s for s in samples if (s.content_hash or "", 0) in store.rows]


def with_estimated_share(bundle: Model, store: FeatureStore, readable: Sequence[Sample]) -> Model:
    """The bundle for the share of road work that images speak for; labels are not looked at.

    Raises:
        ManifestError: there are no samples.
    """
    if not readable:
        raise ManifestError("no image could be read, so the share of road work is not to be found")
    balanced = bundle.with_share(BALANCED)
    return bundle.with_share(estimate_share(image_only_probabilities(balanced, store, readable)))


def _slices(
    whole: Metrics,
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    groups: Sequence[str | None],
    values: Sequence[str | None],
) -> list[Slice]:
    """What `summarise_by` gives, fast for the thousands of slices with too few groups to resample.

    Args:
        whole: the figures of all rows.
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.
        groups: ``[B]``.
        values: ``[B]``, of the field to slice by.
    """
    rows_of: dict[str | None, list[int]] = {}
    for row, value in enumerate(values):
        rows_of.setdefault(value, []).append(row)
    slices, resampled = [], []
    for value, rows in rows_of.items():
        count = len({row if groups[row] is None else groups[row] for row in rows})
        if count < MINIMUM_GROUPS:
            metrics = _without_intervals(whole, labels[rows], probabilities[rows], count)
            slices.append(Slice(value, metrics))
        else:
            resampled += rows
    if resampled:
        slices += summarise_by(
            labels[resampled],
            probabilities[resampled],
            [groups[row] for row in resampled],
            [values[row] for row in resampled],
            minimum_rows=MINIMUM_ROWS,
            resamples=RESAMPLES,
        )
    return sorted(slices, key=lambda s: (s.value is None, -s.metrics.rows, s.value or ""))


def _without_intervals(
    whole: Metrics,
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    groups: int,
) -> Metrics:
    rows, positives = len(labels), int(labels.sum())
    figures = weighted_figures(labels, probabilities, np.ones((1, rows), dtype=np.int64))
    small = rows < MINIMUM_ROWS or min(positives, rows - positives) < MINIMUM_PER_CLASS
    shown = {name: float(figures[name][0]) for name in (["accuracy"] if small else FIGURES)}
    called = probabilities > HALF
    hits, called_rows = int(labels[called].sum()), int(called.sum())
    return dataclasses.replace(
        whole,
        rows=rows,
        positives=positives,
        groups=groups,
        confusion=Confusion(
            true_positives=hits,
            false_positives=called_rows - hits,
            false_negatives=positives - hits,
            true_negatives=rows - called_rows - (positives - hits),
        ),
        figures={name: Figure(v if np.isfinite(v) else None) for name, v in shown.items()},
    )
