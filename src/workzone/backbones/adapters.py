"""DoRA: a frozen backbone whose last blocks learn a little (Liu et al. 2024, arXiv 2402.09353).

Beside each adapted weight stand two thin matrices, which turn it, and a vector of magnitudes, which
scales its rows. They start as the identity, and are merged into the weight once they are trained:
nothing is left of them in prediction.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from workzone.backbones.base import Backbone
from workzone.errors import BackboneError, MissingExtraError, UsageError

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
    _ = backbone.weight_hash  # of the weights as published; taken here, as peft renames them
    kept = [*backbone.parameters(), *backbone.buffers()]
    adapted = copy.deepcopy(backbone, {id(value): value for value in kept})
    blocks = blocks_of(adapted.model)[-config.blocks :]
    if not blocks:
        raise BackboneError(
            f"backbone {backbone.name!r} has no blocks with linear layers or 1x1 convolutions to "
            "adapt: choose another one, or train on stored features (adapters: null)"
        )
    targets = [f"{name}.{part}" for name, block in blocks for part, _ in _adaptable(block)]
    for target in targets:  # merging will change these in place
        layer = adapted.model.get_submodule(target)
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        layer.weight = nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
    settings = peft.LoraConfig(
        use_dora=True,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets,
    )
    peft.inject_adapter_in_model(settings, adapted.model)
    if config.checkpointing:
        for _, block in blocks:
            block.forward = _Checkpointed(block.forward)
    return adapted.train()


def adapter_layers(backbone: Backbone) -> dict[str, Any]:
    """The adapted layers (peft's) by their names in the network."""
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
    for module in network.modules():
        if isinstance(vars(module).get("forward"), _Checkpointed):
            del module.forward
    del network.peft_config
    backbone.requires_grad_(False)
    backbone.replace_weights(weights)
    return weights


def blocks_of(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The blocks that a network repeats, in order, with their names.

    A block is an entry of a list of layers that holds linear layers or 1x1 convolutions, and no
    further list with such entries.
    """
    lists = (nn.Sequential, nn.ModuleList)
    entries = {
        f"{name}.{number}" if name else number: block
        for name, module in network.named_modules()
        if isinstance(module, lists)
        for number, block in module.named_children()
        if not isinstance(block, lists) and any(part for part, _ in _adaptable(block))
    }
    return [
        (name, block)
        for name, block in entries.items()
        if not any(other.startswith(f"{name}.") for other in entries)
    ]


def _adaptable(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers and 1x1 convolutions of a block.

    A grouped convolution is left out: its adapters could not be merged.
    """
    for name, module in block.named_modules():
        pointwise = (
            isinstance(module, nn.Conv2d)
            and math.prod(module.kernel_size) == 1
            and module.groups == 1
        )
        if pointwise or isinstance(module, nn.Linear):
            yield name, module


class _Checkpointed:
    """A block's forward that keeps its input alone, and computes the rest again for the gradient.

    transformers' own switch does nothing in evaluation mode, in which a backbone always is.
    """

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return checkpoint(self.forward, *arguments, use_reentrant=False, **named)
