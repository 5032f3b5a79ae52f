"""What a report says of the model that it judges."""

from __future__ import annotations

from typing import Any

from workzone.decide.ensemble import Ensemble
from workzone.decide.log_odds import expit
from workzone.decide.models import Model, bundles_of


def model_facts(bundle: Model) -> dict[str, Any]:
    """As plain values, by what they are called on the page."""
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
