"""Weights of a backbone's linear layers in 8 or 4 bits; what goes through them stays in floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workzone.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from workzone.backbones.base import Backbone

WEIGHT_PRECISIONS = ("int8-weights", "nf4-weights")
"""``int8-weights``: whole numbers of 8 bits, symmetric, a scale per row. ``nf4-weights``: 4 bits as
16 quantiles of a normal distribution, a scale per 64 weights (NF4 of QLoRA, arXiv 2305.14314)."""

NF4_MULTIPLE = 64 * 256
"""How many weights share a scale, and how many such scales share one: a matrix holds a multiple."""

_KINDS = {"Int8Tensor": "int8-weights", "NF4Tensor": "nf4-weights"}
"""By the type of tensor that torchao keeps a weight in."""


def quantise_weights(
    backbone: Backbone, precision: str, device: torch.device | str | None = None
) -> None:
    """Store the weights of all linear layers in fewer bits, in place.

    Convolutions, norms, biases and tokens stay as they are. The weight hash stays that of the
    published weights. Nothing is done where the weights are of that precision already.

    Args:
        backbone: in floats.
        precision: one of :data:`WEIGHT_PRECISIONS`.
        device: to take each layer to before its turn, so that a GPU never holds all of them in
            floats; None: where they are.

    Raises:
        MissingExtraError: torchao is not installed.
        UsageError: the backbone has no linear layers, one that NF4 cannot hold, or weights that
            are quantised otherwise.
    """
    from torch import nn

    there = weight_precision(backbone)
    if there == precision:
        return
    if there is not None:
        raise UsageError(
            f"the weights of backbone {backbone.name!r} are in {there} already; load it anew for "
            f"{precision}"
        )
    layers = _linear_layers(backbone)
    if not layers:
        raise UsageError(
            f"precision {precision} is of linear layers, as vision transformers have them; "
            f"backbone {backbone.name!r} has none. For int8 write a program of the model: "
            "workzone export MODEL -o FOLDER --precision int8"
        )
    try:
        from torchao.quantization import Int8Tensor, PerRow, to_nf4
    except ModuleNotFoundError as error:
        raise MissingExtraError("torchao", "quantize", f"precision {precision}") from error
    if precision == "nf4-weights":
        for name, layer in layers.items():
            if layer.weight.numel() % NF4_MULTIPLE:
                raise UsageError(
                    f"layer {name} of backbone {backbone.name!r} has {layer.weight.numel():,} "
                    f"weights, no multiple of {NF4_MULTIPLE:,}: take precision int8-weights"
                )
    _ = backbone.weight_hash, backbone.parameter_count  # of the published weights, from here on
    for layer in layers.values():
        weight = layer.to(device).weight.data if device is not None else layer.weight.data
        small = (
            to_nf4(weight) if precision == "nf4-weights" else Int8Tensor.from_hp(weight, PerRow())
        )
        layer.weight = nn.Parameter(small, requires_grad=False)


def weight_precision(module: nn.Module) -> str | None:
    """What the weights of a module's linear layers are in; None: floats, or there are none.

    Raises:
        UsageError: they are not all alike.
    """
    layers = _linear_layers(module)
    found = {_KINDS.get(type(layer.weight).__name__) for layer in layers.values()}
    if len(found) > 1:
        raise UsageError(f"some of {len(layers)} linear layers have other weights than the rest")
    return found.pop() if found else None


def _linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    from torch import nn

    return {name: each for name, each in module.named_modules() if isinstance(each, nn.Linear)}
