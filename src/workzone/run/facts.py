"""What is said of the rows and the model beside the figures of an evaluation."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workzone.data.passed_over import counted
from workzone.decide.ensemble import Ensemble
from workzone.decide.log_odds import expit
from workzone.decide.models import Model, bundles_of
from workzone.model.metadata.batch import MetadataBatch
from workzone.types import Sample


def manifest_facts(
    samples: list[Sample], unreadable: list[Sample], metadata: MetadataBatch | None
) -> dict[str, Any]:
    """What is to be said of the rows that are judged."""
    facts = {
        "images": len(samples),
        "with road work": sum(s.label == 1 for s in samples),
        "groups": len({s.group for s in samples if s.group is not None}),
        "without a group": sum(s.group is None for s in samples),
        "with a position": sum(s.latitude is not None for s in samples),
        "splits": dict(Counter(str(s.split) for s in samples)),
        "sources": dict(Counter(str(s.source) for s in samples).most_common(20)),
        "unreadable, left out": len(unreadable),
    }
    if metadata is not None:
        facts["with metadata that the model takes"] = int(metadata.known().sum())
    return facts


def model_facts(bundle: Model) -> dict[str, Any]:
    """What is to be said of the model."""
    spec, metadata = bundle.spec, bundle.metadata
    calibration = bundle.metadata_calibration
    facts = {
        "backbone": spec.backbone,
        "backbone weights": spec.weight_hash,
        "pooling": spec.pooling,
        "views": spec.layout.told(),
        "feature key": spec.key(),
        "engine": "torch",  # of stored features, and of what judges them
        "precision": spec.precision,
        "looks at an image": 1 + (bundle.test_time.copies if bundle.test_time else 0),
        "trainable parameters": sum(
            p.numel() for one in bundles_of(bundle) for p in one.detector.parameters()
        ),
        "threshold mapped onto 0.5": float(expit(bundle.calibration.cut)),
        "slope of the calibration": bundle.calibration.slope,
        "images it knows itself to have learned from": bundle.familiarity
        and bundle.familiarity.rows,
        "holds for a share of road work of": bundle.calibration.share,
        "provenance": dict(bundle.provenance),
    }
    if isinstance(bundle, Ensemble):
        facts["members"] = {
            member.name: round(weight, 4)
            for member, weight in zip(bundle.members, bundle.mixture.weights, strict=True)
        }
    if metadata is not None and calibration is not None:
        facts["metadata fields"] = list(metadata.fields)
        facts["metadata fed although they leak"] = list(metadata.allow_leaking)
        facts["with metadata, threshold mapped onto 0.5"] = float(expit(calibration.cut))
        facts["with metadata, slope of the calibration"] = calibration.slope
    return facts


def warnings_of(bundle: Model, samples: list[Sample], unreadable: list[Sample]) -> list[str]:
    """What is to be read before the figures, a sentence each."""
    warnings = []
    seen = sum(s.content_hash in bundle.training_images for s in samples)
    if seen:
        warnings.append(
            f"{seen} of {len(samples)} images were in training or validation: these figures say "
            "nothing about new images."
        )
    shared = {s.group for s in samples if s.group is not None} & bundle.training_groups
    if shared:
        warnings.append(
            f"{len(shared)} groups were also in training, {min(shared)} among them: frames of one "
            "sequence look alike, so these figures are too good."
        )
    positives = sum(s.label == 1 for s in samples)
    if min(positives, len(samples) - positives) < 10:
        warnings.append(
            f"Only {positives} images with road work and {len(samples) - positives} without: "
            "the intervals are wide, and they count more than the figures."
        )
    if bundle.provenance.get("threshold", {}).get("guarded"):
        warnings.append(f"Threshold: {bundle.provenance['threshold']['reason']}.")
    threshold = bundle.provenance.get("metadata_threshold") or {}
    if threshold.get("guarded"):
        warnings.append(f"Threshold of scores with metadata: {threshold['reason']}.")
    warnings += bundle.provenance.get("warnings", [])
    if unreadable:
        warnings.append(f"{counted(len(unreadable), 'image')} could not be read: left out.")
    return warnings
