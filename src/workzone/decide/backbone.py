"""The backbone of a bundle as it was published, with what it has learned."""

from __future__ import annotations

from pathlib import Path

from workzone.backbones.base import Backbone
from workzone.backbones.names import ANY_SIZE
from workzone.backbones.registry import load_backbone
from workzone.decide.bundle import Bundle
from workzone.errors import BackboneError, BundleError


def read_backbone(bundle: Bundle, *, weights: str | Path | None = None) -> Backbone:
    """The backbone of a bundle, with what it has learned if it was trained from pixels.

    Args:
        bundle: whose backbone.
        weights: of the backbone as published, where it is not the embedded one and not to be
            downloaded.

    Raises:
        BackboneError: the weights cannot be had.
        BundleError: what was learned does not fit these weights.
    """
    folder = bundle.provenance.get("backbone_folder")
    if weights is None and bundle.spec.backbone == ANY_SIZE:
        raise BackboneError(
            f"the model works on DINOv3 weights of a size of their own (hash "
            f"{bundle.spec.weight_hash}), which lay in a folder {folder!r}: name it with --weights"
        )
    backbone = load_backbone(bundle.spec.backbone, weights=weights)
    if bundle.backbone_weights:
        try:
            backbone.replace_weights(bundle.backbone_weights)
        except BackboneError as error:
            raise BundleError(f"the bundle's backbone.safetensors: {error}") from error
        if backbone.weight_hash != bundle.spec.weight_hash:
            raise BundleError(
                f"the bundle's backbone.safetensors was not learned on these weights of "
                f"{bundle.spec.backbone}; load the weights it was trained with (--weights)"
            )
    return backbone
