"""Bundles whose weights are averaged: one model, as fast as each of them.

Wortsman et al. 2022, "Model soups", arXiv 2203.05482: where all were tuned from the same weights,
the mean is often better than each model.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch

import workzone
from workzone.backbones.registry import load_backbone
from workzone.config import differences
from workzone.decide.backbone import read_backbone
from workzone.decide.bundle import Bundle
from workzone.decide.bundle_json import describe
from workzone.errors import BundleError, UsageError
from workzone.features.spec import FeatureSpec
from workzone.model.make import make_detector

Tensors = Mapping[str, torch.Tensor]


def average(bundles: Mapping[str, Bundle], *, weights: str | Path | None = None) -> Bundle:
    """The bundle whose weights, of the detector and of the backbone, are the mean of several.

    Bundles hold no predictions of validation rows, so that nothing can be fitted anew: calibration,
    and looks at an image, are those of the first, and a warning of its provenance says so; it has
    no statistics of what it learned from (`workzone.run.familiarise`). What any of them has learned
    from counts as seen.

    Args:
        bundles: two or more, by name.
        weights: of the backbone as published, where it has learned and is not the embedded one.

    Raises:
        UsageError: fewer than two.
        BundleError: they differ in more than weights and calibration; all differences are named.
        BackboneError: the backbone's published weights cannot be had.
    """
    if len(bundles) < 2:
        raise UsageError("an average is of two models or more: name others beside the first")
    (first_name, first), *others = bundles.items()
    found = [
        f"{first_name} and {name}: {difference}"
        for name, other in others
        for difference in _differences(first, other)
    ]
    if found:
        raise BundleError("these models cannot be averaged:\n  " + "\n  ".join(found))
    each = list(bundles.values())
    detector = make_detector(first.config)
    detector.load_state_dict(_mean([bundle.detector.state_dict() for bundle in each]))
    learned = _mean([bundle.backbone_weights for bundle in each])
    spec = first.spec if not learned else _spec(each, learned, weights)
    return dataclasses.replace(
        first,
        detector=detector.eval(),
        backbone_weights=learned,
        spec=spec,
        familiarity=None,  # of what each of them sees, not of this one
        conformal=None,
        provenance=_provenance(bundles),
        training_images=frozenset(chain(*(bundle.training_images for bundle in each))),
        training_groups=frozenset(chain(*(bundle.training_groups for bundle in each))),
    )


def _differences(first: Bundle, other: Bundle) -> Iterator[str]:
    """In what two bundles differ beside weights and calibration, as ``a.b: 1 -> 2``."""
    yield from differences(_shape(first), _shape(other))
    for file, one, two in (
        ("detector", first.detector.state_dict(), other.detector.state_dict()),
        ("backbone", first.backbone_weights, other.backbone_weights),
    ):
        before, after = _described(one), _described(two)
        if not before or not after:
            continue  # the hash of the features' weights tells it
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield f"{file}.{name}: {before.get(name, 'none')} -> {after.get(name, 'none')}"
            elif not one[name].is_floating_point() and not torch.equal(one[name], two[name]):
                yield f"{file}.{name}: other numbers, which cannot be averaged"


def _shape(bundle: Bundle) -> dict[str, Any]:
    """What the bundles must agree on, as plain values."""
    described = describe(bundle)
    parts = {name: described[name] for name in ("detector", "features", "text_model")}
    if bundle.backbone_weights:  # the hash goes by what was learned; see `_spec`
        parts["features"] = {**parts["features"], "weight_hash": "learned from pixels"}
    return parts


def _described(tensors: Tensors) -> dict[str, str]:
    return {name: f"{value.dtype} {list(value.shape)}" for name, value in tensors.items()}


def _mean(states: Sequence[Tensors]) -> dict[str, torch.Tensor]:
    """The mean of each tensor, summed in float64; of integers, the first's, which all have."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


def _spec(bundles: Sequence[Bundle], learned: Tensors, weights: str | Path | None) -> FeatureSpec:
    """The features of the averaged backbone."""
    for bundle in bundles:
        read_backbone(bundle, weights=weights)  # all were learned on the same published weights
    spec = bundles[0].spec
    backbone = load_backbone(spec.backbone, weights=weights)
    backbone.replace_weights(learned)
    return dataclasses.replace(spec, weight_hash=backbone.weight_hash)


def _provenance(bundles: Mapping[str, Bundle]) -> dict[str, Any]:
    first_name, first = next(iter(bundles.items()))
    each = [bundle.provenance for bundle in bundles.values()]
    sources = {source for provenance in each for source in provenance.get("sources", ())}
    warnings = [warning for provenance in each for warning in provenance.get("warnings", ())]
    warnings.append(
        f"Calibration: that of {first_name}, the first of {len(bundles)} averaged models; it was "
        "not fitted anew."
    )
    kept = ("inputs", "backbone_folder", "threshold", "metadata_threshold")
    return {name: first.provenance[name] for name in kept if name in first.provenance} | {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "workzone": workzone.__version__,
        "torch": torch.__version__,
        "sources": sorted(sources),
        "warnings": list(dict.fromkeys(warnings)),
        "averaged": [
            {"model": name, "identity": bundle.identity(), "provenance": dict(bundle.provenance)}
            for name, bundle in bundles.items()
        ],
    }
