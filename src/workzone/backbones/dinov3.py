"""DINOv3 (Siméoni et al. 2025, arXiv 2508.10104) through transformers: ViT and ConvNeXt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workzone.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from workzone.backbones.dinov3_folder import (
    RGB,
    architecture,
    check_tensors,
    model_class,
    read_folder,
    read_weights,
)
from workzone.backbones.hub import hub_failure
from workzone.backbones.names import ANY_SIZE, SIZES, ViTSize, hub_id
from workzone.errors import BackboneError

LICENCE = "DINOv3 License"
DEFAULT_SIZE = 224


class DINOv3ViT(Backbone):
    """Wraps ``transformers.DINOv3ViTModel``; its tokens are class, registers, patches."""

    def __init__(
        self, model: nn.Module, name: str, *, mean: RGB = IMAGENET_MEAN, std: RGB = IMAGENET_STD
    ) -> None:
        config: Any = model.config
        super().__init__(
            model,
            name=name,
            width=config.hidden_size,
            multiple=config.patch_size,
            mean=mean,
            std=std,
            default_size=_default_size(config.patch_size),
            licence=LICENCE,
            has_cls=True,
            architecture=_beside_weights(name, config),
        )
        self._prefix = 1 + config.num_register_tokens

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Class token ``[M, D]`` and patch tokens ``[M, N, D]``, after the final norm."""
        hidden = self.model(normalised).last_hidden_state
        return hidden[:, 0], hidden[:, self._prefix :]

    @property
    def level_widths(self) -> Mapping[int, int]:
        """Of each layer, from 1; patch tokens as the layer gives them, without the final norm."""
        config: Any = self.model.config
        return dict.fromkeys(range(1, config.num_hidden_layers + 1), self.width)

    def tokens_and_levels(
        self, normalised: torch.Tensor, levels: Sequence[int]
    ) -> tuple[torch.Tensor | None, torch.Tensor, dict[int, torch.Tensor]]:
        """See `Backbone.tokens_and_levels`; maps have the grid's rows and columns."""
        if not levels:
            return *self.tokens(normalised), {}
        output = self.model(normalised, output_hidden_states=True)
        size = tuple(side // self.multiple for side in normalised.shape[2:])
        maps = {
            level: output.hidden_states[level][:, self._prefix :].transpose(1, 2).unflatten(2, size)
            for level in levels
        }
        hidden = output.last_hidden_state
        return hidden[:, 0], hidden[:, self._prefix :], maps


class DINOv3ConvNeXt(Backbone):
    """Wraps ``transformers.DINOv3ConvNextModel``.

    Its ``pooler_output`` is the norm of the mean of the cells; that is not a class token, and not
    the mean of the normed cells that ``mean`` pooling gives here.
    """

    def __init__(
        self, model: nn.Module, name: str, *, mean: RGB = IMAGENET_MEAN, std: RGB = IMAGENET_STD
    ) -> None:
        config: Any = model.config
        multiple = 4 * 2 ** (len(config.hidden_sizes) - 1)  # the stem, then each further stage
        super().__init__(
            model,
            name=name,
            width=config.hidden_sizes[-1],
            multiple=multiple,
            mean=mean,
            std=std,
            default_size=_default_size(multiple),
            licence=LICENCE,
            has_cls=False,
            channels_last=True,
            architecture=_beside_weights(name, config),
        )

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """No class token; cells ``[M, N, D]`` after the final norm."""
        return None, self.model(normalised).last_hidden_state[:, 1:]


def _default_size(multiple: int) -> int:
    """The multiple next below `DEFAULT_SIZE`, which all published models take."""
    return max(1, DEFAULT_SIZE // multiple) * multiple


def _beside_weights(name: str, config: Any) -> str:
    """What a weight hash has to know of the architecture: all, where the name does not tell it."""
    return json.dumps(architecture(config), sort_keys=True) if name == ANY_SIZE else ""


def random_model(name: str) -> nn.Module:
    """The true architecture with random weights, on the current default device."""
    kind = model_class(SIZES[name].model_type)
    model: nn.Module = kind(_published(name))
    return model


def _published(name: str) -> Any:
    """The configuration behind a canonical name."""
    size = SIZES[name]
    return model_class(size.model_type).config_class(**size.configuration())


def load_dinov3(name: str, *, weights: Path | None = None, random: bool = False) -> Backbone:
    """A DINOv3 backbone by its canonical name, or of the size that its folder tells.

    Args:
        name: a key of :data:`SIZES`, or :data:`ANY_SIZE`. A folder of a published size gets that
            size's name either way.
        weights: a folder with ``config.json`` and safetensors; None for the hub or its cache.
        random: random weights instead; not of :data:`ANY_SIZE`.

    Raises:
        BackboneError: the weights cannot be had, are incomplete, or are of another size.
    """
    if weights is not None:
        return _from_folder(name, weights)
    if name == ANY_SIZE:
        raise BackboneError(
            f"backbone {name!r} may be of any size: name the folder with its config.json and "
            "model.safetensors with --weights"
        )
    model = random_model(name) if random else _from_hub(name)
    return _wrap(model, name)


def _wrap(model: nn.Module, name: str, **normalisation: RGB) -> Backbone:
    config: Any = model.config
    kind = DINOv3ViT if config.model_type == ViTSize.model_type else DINOv3ConvNeXt
    return kind(model, name, **normalisation)


def _from_folder(name: str, path: Path) -> Backbone:
    folder = read_folder(path)
    if name == ANY_SIZE:
        found = architecture(folder.config)
        same = (known for known in SIZES if architecture(_published(known)) == found)
        name = next(same, ANY_SIZE)
    else:
        _check_architecture(name, folder.config, str(path))
    backbone = _wrap(read_weights(folder), name, mean=folder.mean, std=folder.std)
    backbone.source = path.resolve().name
    return backbone


def _from_hub(name: str) -> nn.Module:
    source = hub_id(name)
    try:
        # float32 whatever the file holds, and never a pickle
        model, loading = model_class(SIZES[name].model_type).from_pretrained(
            source,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, with a way out
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise hub_failure(name, source, error) from error
    _check_architecture(name, model.config, source)
    check_tensors(model, loading, source)
    network: nn.Module = model
    return network


def _check_architecture(name: str, config: Any, source: str) -> None:
    """Compare with the table, so that a folder of another size is not taken for this one."""
    other = f"give --backbone {source} to take it as it is, or another folder"
    if config.model_type != SIZES[name].model_type:
        raise BackboneError(f"{source} is not {name!r}: it is a {config.model_type}; {other}")
    for field, expected in architecture(_published(name)).items():
        found = getattr(config, field)
        if found != expected:
            raise BackboneError(
                f"{source} is not {name!r}: its {field} is {found}, expected {expected}; {other}"
            )
