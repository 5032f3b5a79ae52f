"""The blocks that a network repeats, and copies of a backbone with some weights of their own."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from workzone.backbones.base import Backbone
from workzone.errors import BackboneError


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
        if not isinstance(block, lists) and any(part for part, _ in pointwise_layers(block))
    }
    return [
        (name, block)
        for name, block in entries.items()
        if not any(other.startswith(f"{name}.") for other in entries)
    ]


def last_blocks(backbone: Backbone, count: int | None) -> list[tuple[str, nn.Module]]:
    """The last ``count`` of a backbone's blocks, see :func:`blocks_of`; None: all.

    Raises:
        BackboneError: it has none.
    """
    blocks = blocks_of(backbone.model)
    if not blocks:
        raise BackboneError(
            f"backbone {backbone.name!r} has no blocks with linear layers or 1x1 convolutions that "
            "could learn: choose another one, or train on stored features (adapters: null, "
            "fine_tuning: null)"
        )
    return blocks if count is None else blocks[-count:]


def pointwise_layers(block: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The linear layers and 1x1 convolutions of a block.

    Grouped convolutions are left out: adapters of theirs could not be merged.
    """
    for name, module in block.named_modules():
        pointwise = (
            isinstance(module, nn.Conv2d)
            and math.prod(module.kernel_size) == 1
            and module.groups == 1
        )
        if pointwise or isinstance(module, nn.Linear):
            yield name, module


def copy_owning(backbone: Backbone, names: Collection[str]) -> Backbone:
    """A copy that shares all tensors of a backbone but some parameters, named as in its network."""
    _ = backbone.weight_hash  # of the weights as published: taken before any of them moves
    own = {id(backbone.model.get_parameter(name)) for name in names}
    kept = [
        value for value in (*backbone.parameters(), *backbone.buffers()) if id(value) not in own
    ]
    return copy.deepcopy(backbone, {id(value): value for value in kept})


def checkpoint_blocks(blocks: Iterable[nn.Module]) -> None:
    """Have blocks keep their inputs alone, and compute the rest again for the gradient."""
    for block in blocks:
        block.forward = _Checkpointed(block.forward)


def keep_values(network: nn.Module) -> None:
    """Undo :func:`checkpoint_blocks`."""
    for module in network.modules():
        if isinstance(vars(module).get("forward"), _Checkpointed):
            del module.forward


class _Checkpointed:
    """A block's forward that keeps its input alone, and computes the rest again for the gradient.

    transformers' own switch does nothing in evaluation mode, in which a backbone always is.
    """

    def __init__(self, forward: Any) -> None:
        self.forward = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return checkpoint(self.forward, *arguments, use_reentrant=False, **named)
