"""DoRA: a frozen backbone whose last blocks learn a little (Liu et al. 2024, arXiv 2402.09353).

Beside each adapted weight stand two thin matrices, which turn it, and a vector of magnitudes, which
scales its rows. They start as the identity, and are merged into the weight once they are trained:
nothing is left of them in prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from workzone.backbones.base import Backbone
from workzone.backbones.blocks import (
    checkpoint_blocks,
    copy_owning,
    keep_values,
    last_blocks,
    pointwise_layers,
)
from workzone.errors import MissingExtraError, UsageError

_RANGES = {
    "rank": (1, 1024),
    "alpha": (1e-3, 1e4),
    "dropout": (0.0, 0.99),
    "blocks": (1, 1000),
}
"""What each setting may be, ends included."""


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Which of a backbone's weights learn, and how freely."""

    rank: int = 8  # of a weight's change of direction
    alpha: float = 16.0  # the change is scaled by alpha / rank
    dropout: float = 0.0  # of what the thin matrices see, while training
    blocks: int = 4  # the last ones of the backbone; all, where it has fewer
    checkpointing: bool = False  # recompute a block's values for its gradient instead of keeping

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={getattr(self, name)}, allowed: {low} to {high}"
            for name, (low, high) in _RANGES.items()
            if not low <= getattr(self, name) <= high  # NaN is in no range
        ]
        if wrong:
            raise UsageError(f"adapters: {'; '.join(wrong)}")


def require_peft() -> Any:
    """The package that makes the adapters.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", "train", "training from pixels") from error
    return peft


def adapt(backbone: Backbone, config: AdapterConfig) -> Backbone:
    """A backbone with adapters, equal to the given one as long as they are not trained.

    Linear layers and 1x1 convolutions of the last blocks are adapted: attention and feed-forward of
    transformers, expansion and projection of lite0. All other weights are shared with the given
    backbone, which stays as it is; nothing but the adapters requires a gradient. The thin matrices
    start from torch's global generator.

    Raises:
        MissingExtraError: peft is not installed.
        BackboneError: there is no block with such a layer.
    """
    peft = require_peft()
    blocks = last_blocks(backbone, config.blocks)
    targets = [f"{name}.{part}" for name, block in blocks for part, _ in pointwise_layers(block)]
    # Merging will change their weights in place, and peft renames them.
    adapted = copy_owning(backbone, [f"{target}.weight" for target in targets])
    settings = peft.LoraConfig(
        use_dora=True,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets,
    )
    peft.inject_adapter_in_model(settings, adapted.model)
    if config.checkpointing:
        checkpoint_blocks(adapted.model.get_submodule(name) for name, _ in blocks)
    return adapted.train()


def adapter_layers(backbone: Backbone) -> dict[str, Any]:
    """The adapted layers (peft's) by their names in the network; none of one without adapters."""
    if not hasattr(backbone.model, "peft_config"):
        return {}
    layer_type = require_peft().tuners.lora.LoraLayer
    modules = backbone.model.named_modules()
    return {name: module for name, module in modules if isinstance(module, layer_type)}


def merge(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Make an adapted backbone plain again, with what was learned merged into its weights.

    Its weight hash changes.

    Returns:
        The merged weights by name, for :meth:`Backbone.replace_weights` of the same backbone.
    """
    network = backbone.model
    weights = {}
    for name, layer in adapter_layers(backbone).items():
        layer.merge()
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, layer.get_base_layer())
        weights[f"{name}.weight"] = layer.get_base_layer().weight.detach()
    keep_values(network)
    del network.peft_config
    backbone.requires_grad_(False)
    backbone.replace_weights(weights)
    return weights
