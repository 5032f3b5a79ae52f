"""Fine-tuning: a backbone's own weights learn, those far from its end more slowly.

Layer-wise learning rates: Howard & Ruder 2018 (ULMFiT, arXiv 1801.06146), for vision transformers
Bao et al. 2022 (BEiT, arXiv 2106.08254).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from workzone.backbones.base import Backbone
from workzone.backbones.blocks import (
    blocks_of,
    checkpoint_blocks,
    copy_owning,
    keep_values,
    last_blocks,
)
from workzone.errors import UsageError

_RANGES = {
    "blocks": (1, 1000),
    "rate": (1e-6, 10.0),
    "layer_decay": (0.01, 1.0),
}
"""What each setting may be, ends included."""


@dataclass(frozen=True, kw_only=True)
class FineTuneConfig:
    """Which of a backbone's own weights learn, and how fast."""

    blocks: int | None = None  # the last ones; None: all, and what comes before the first, the stem
    rate: float = 0.1  # of the last block, as a share of optimizer.learning_rate
    layer_decay: float = 0.8  # of a block's rate, from one to the one before it; 1: all alike
    checkpointing: bool = False  # recompute a block's values for its gradient instead of keeping

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in _RANGES}
        wrong = [
            f"{name}={value}, allowed: {_RANGES[name][0]} to {_RANGES[name][1]}"
            for name, value in values.items()
            if value is not None and not _RANGES[name][0] <= value <= _RANGES[name][1]
        ]
        if wrong:
            raise UsageError(f"fine_tuning: {'; '.join(wrong)}")


def unfreeze(backbone: Backbone, config: FineTuneConfig) -> Backbone:
    """A backbone whose last blocks learn, equal to the given one as long as they have not.

    What learns is copied; all other weights are shared with the given backbone, which stays as it
    is. Statistics of batch normalisations stay as they are.

    Raises:
        BackboneError: it has no blocks, see `workzone.backbones.blocks.blocks_of`.
    """
    blocks = last_blocks(backbone, config.blocks)
    furthest = len(blocks) if config.blocks is None else len(blocks) - 1
    names = [name for name, d in _distances(backbone.model).items() if d <= furthest]
    tuned = copy_owning(backbone, names)
    for name in names:
        tuned.model.get_parameter(name).requires_grad_(True)
    if config.checkpointing:
        checkpoint_blocks(tuned.model.get_submodule(name) for name, _ in blocks)
    return tuned


def learning_rates(backbone: Backbone, config: FineTuneConfig) -> dict[str, float]:
    """The rates of what learns, as shares of the learning rate, by name in the network.

    A block's is ``rate * layer_decay ** d``, d being how many blocks come after it.
    """
    distances = _distances(backbone.model)
    return {
        name: config.rate * config.layer_decay ** distances[name]
        for name in _learning(backbone.model)
    }


def freeze(backbone: Backbone) -> dict[str, torch.Tensor]:
    """Make a backbone that has learned plain again; its weight hash changes.

    Returns:
        The weights that have learned by name, for :meth:`Backbone.replace_weights` of the backbone
        as published.
    """
    weights = {name: value.detach() for name, value in _learning(backbone.model).items()}
    keep_values(backbone.model)
    backbone.requires_grad_(False)
    backbone.replace_weights(weights)
    return weights


def _learning(network: nn.Module) -> dict[str, nn.Parameter]:
    return {name: value for name, value in network.named_parameters() if value.requires_grad}


def _distances(network: nn.Module) -> dict[str, int]:
    """How many blocks come after each parameter, by its name.

    In the order in which a network holds them: what lies between two blocks goes with the one after
    it, what follows the last with the last; the stem is one further than the first.
    """
    blocks = [name for name, _ in reversed(blocks_of(network))]
    names = [name for name, _ in network.named_parameters()]
    first = next(n for n, name in enumerate(names) if name.startswith(f"{blocks[-1]}."))
    distances, distance = {}, 0
    for number, name in reversed(list(enumerate(names))):
        inside = [after for after, block in enumerate(blocks) if name.startswith(f"{block}.")]
        distance = inside[0] if inside else distance
        distances[name] = len(blocks) if number < first else distance
    return distances
