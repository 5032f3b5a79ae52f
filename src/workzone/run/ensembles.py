"""What a bundle, or every member of an ensemble, works on: backbones, and stored features."""

from __future__ import annotations

from pathlib import Path

from workzone.backbones.base import Backbone
from workzone.backbones.names import VARIANTS
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle
from workzone.decide.ensemble import Ensemble
from workzone.decide.models import Model, bundles_of
from workzone.errors import UsageError
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
        weights: of backbones that are neither embedded nor to be downloaded. Where members work on
            several such, a folder that holds those of each in a folder of the member's name.
        device: such as ``cpu`` or ``cuda``.
        precision: see :func:`workzone.run.backbone.bundle_backbone`.

    Raises:
        BackboneError, BundleError, UsageError, MissingExtraError: see `bundle_backbone`.
        UsageError: one set of weights is named, and members work on several.
    """
    each = bundles_of(model)
    named = _weights_of_members(model, Path(weights)) if weights and len(each) > 1 else {}
    found: dict[str, Backbone] = {}
    for bundle in each:
        key = bundle.spec.weight_hash
        if key not in found:
            own = named.get(key) if len(each) > 1 else weights
            found[key] = bundle_backbone(bundle, weights=own, device=device, precision=precision)
    return [found[bundle.spec.weight_hash] for bundle in each]


def _weights_of_members(model: Model, weights: Path) -> dict[str, Path]:
    """By hash, where the weights of members' backbones are that are not embedded.

    Raises:
        UsageError: there are several such, and one set of weights.
    """
    assert isinstance(model, Ensemble)
    members: dict[str, list[str]] = {}
    for member in model.members:
        if member.model.spec.backbone not in _EMBEDDED:
            members.setdefault(member.model.spec.weight_hash, []).append(member.name)
    own = {
        key: weights / name
        for key, names in members.items()
        for name in reversed(names)
        if (weights / name).exists()
    }
    if own or len(members) < 2:
        return own or dict.fromkeys(members, weights)
    apart = " and ".join(names[0] for names in members.values())
    raise UsageError(
        f"--weights {weights}: the members work on {len(members)} different sets of weights: name "
        f"a folder that holds each of them in a folder of its member's name ({apart}; a link will "
        "do)"
    )


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
