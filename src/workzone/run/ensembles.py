"""What a bundle, or every member of an ensemble, works on: backbones, and stored features."""

from __future__ import annotations

from pathlib import Path

from workzone.backbones.base import Backbone
from workzone.backbones.names import VARIANTS
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle
from workzone.decide.models import Model, bundles_of
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.run.backbone import bundle_backbone

_EMBEDDED = {name for variant in VARIANTS for name in (variant.name, variant.trunk)}


def backbones_of(
    model: Model,
    *,
    weights: str | Path | None = None,
    device: str = "cpu",
    precision: str | None = None,
) -> list[Backbone]:
    """The backbone of a bundle, or of each member; members on the same weights share one.

    Args:
        model: a bundle or an ensemble.
        weights: of backbones that are neither embedded nor to be downloaded.
        device: such as ``cpu`` or ``cuda``.
        precision: see :func:`workzone.run.backbone.bundle_backbone`.

    Raises:
        BackboneError, BundleError, UsageError, MissingExtraError: see `bundle_backbone`.
    """
    each = bundles_of(model)
    found: dict[str, Backbone] = {}
    for bundle in each:
        if bundle.spec.weight_hash not in found:
            embedded = len(each) > 1 and bundle.spec.backbone in _EMBEDDED
            found[bundle.spec.weight_hash] = bundle_backbone(
                bundle, weights=None if embedded else weights, device=device, precision=precision
            )
    return [found[bundle.spec.weight_hash] for bundle in each]


def extract_for(
    model: Model, backbones: list[Backbone], samples: Manifest, folder: Path, *, copies: int = 0
) -> FeatureStore:
    """The features of some images for a bundle, or for each member of an ensemble.

    Args:
        model: a bundle or an ensemble.
        backbones: from `backbones_of`.
        samples: of the images.
        folder: where stores lie.
        copies: augmented copies of each image, beside the image itself.

    Returns:
        That of a bundle, or of the leading member, with the others' as its ``siblings``.
    """
    stores: dict[str, FeatureStore] = {}
    for bundle, backbone in zip(bundles_of(model), backbones, strict=True):
        if bundle.spec.key() not in stores:
            made = Extraction(samples, backbone, bundle.spec, folder, copies=copies).run()
            stores[bundle.spec.key()] = made
    first = stores[model.spec.key()]
    first.siblings = stores
    return first


def store_of(store: FeatureStore, bundle: Bundle) -> FeatureStore:
    """Of stores from `extract_for`, the one with a member's features."""
    return store.siblings.get(bundle.spec.key(), store)
