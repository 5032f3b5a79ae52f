"""DINOv3 (Siméoni et al. 2025, arXiv 2508.10104) through transformers: ViT and ConvNeXt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from workzone.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone
from workzone.backbones.hub import hub_failure
from workzone.errors import BackboneError

LICENCE = "DINOv3 License"
DEFAULT_SIZE = 224


@dataclass(frozen=True, slots=True)
class ViTSize:
    """The numbers that tell one DINOv3 ViT from another."""

    width: int
    hidden: int  # of the feed-forward network
    layers: int
    heads: int
    gated: bool = False  # SwiGLU instead of GELU
    query_value_bias: bool = True
    multiple = 16

    def configuration(self) -> dict[str, Any]:
        """As fields of ``DINOv3ViTConfig``."""
        return {
            "hidden_size": self.width,
            "intermediate_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "use_gated_mlp": self.gated,
            "hidden_act": "silu" if self.gated else "gelu",
            "query_bias": self.query_value_bias,
            "value_bias": self.query_value_bias,
            "num_register_tokens": 4,
        }


@dataclass(frozen=True, slots=True)
class ConvNeXtSize:
    """The numbers that tell one DINOv3 ConvNeXt from another."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    multiple = 32

    @property
    def width(self) -> int:
        """Of the last stage."""
        return self.widths[-1]

    def configuration(self) -> dict[str, Any]:
        """As fields of ``DINOv3ConvNextConfig``."""
        return {"hidden_sizes": list(self.widths), "depths": list(self.depths)}


SIZES: dict[str, ViTSize | ConvNeXtSize] = {
    "dinov3-vits16": ViTSize(384, 1536, 12, 6),
    "dinov3-vits16plus": ViTSize(384, 1536, 12, 6, gated=True),
    "dinov3-vitb16": ViTSize(768, 3072, 12, 12),
    "dinov3-vitl16": ViTSize(1024, 4096, 24, 16),
    "dinov3-vith16plus": ViTSize(1280, 5120, 32, 20, gated=True),
    "dinov3-vit7b16": ViTSize(4096, 8192, 40, 32, gated=True, query_value_bias=False),
    "dinov3-convnext-tiny": ConvNeXtSize((96, 192, 384, 768), (3, 3, 9, 3)),
    "dinov3-convnext-small": ConvNeXtSize((96, 192, 384, 768), (3, 3, 27, 3)),
    "dinov3-convnext-base": ConvNeXtSize((128, 256, 512, 1024), (3, 3, 27, 3)),
    "dinov3-convnext-large": ConvNeXtSize((192, 384, 768, 1536), (3, 3, 27, 3)),
}


def hub_id(name: str) -> str:
    """The hub repository of a canonical name."""
    return f"facebook/{name}-pretrain-lvd1689m"


class DINOv3ViT(Backbone):
    """Wraps ``transformers.DINOv3ViTModel``; its tokens are class, registers, patches."""

    def __init__(self, model: nn.Module, name: str) -> None:
        config: Any = model.config
        super().__init__(
            model,
            name=name,
            width=config.hidden_size,
            multiple=config.patch_size,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            default_size=DEFAULT_SIZE,
            licence=LICENCE,
            has_cls=True,
        )
        self._prefix = 1 + config.num_register_tokens

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Class token ``[M, D]`` and patch tokens ``[M, N, D]``, after the final norm."""
        hidden = self.model(normalised).last_hidden_state
        return hidden[:, 0], hidden[:, self._prefix :]


class DINOv3ConvNeXt(Backbone):
    """Wraps ``transformers.DINOv3ConvNextModel``.

    Its ``pooler_output`` is the norm of the mean of the cells; that is not a class token, and not
    the mean of the normed cells that ``mean`` pooling gives here.
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        config: Any = model.config
        super().__init__(
            model,
            name=name,
            width=config.hidden_sizes[-1],
            multiple=32,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            default_size=DEFAULT_SIZE,
            licence=LICENCE,
            has_cls=False,
            channels_last=True,
        )

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """No class token; cells ``[M, N, D]`` after the final norm."""
        return None, self.model(normalised).last_hidden_state[:, 1:]


def random_model(name: str) -> nn.Module:
    """The true architecture with random weights, on the current default device."""
    from transformers import (
        DINOv3ConvNextConfig,
        DINOv3ConvNextModel,
        DINOv3ViTConfig,
        DINOv3ViTModel,
    )

    size = SIZES[name]
    model: nn.Module
    if isinstance(size, ViTSize):
        model = DINOv3ViTModel(DINOv3ViTConfig(**size.configuration()))
    else:
        model = DINOv3ConvNextModel(DINOv3ConvNextConfig(**size.configuration()))
    return model


def load_dinov3(name: str, *, weights: Path | None = None, random: bool = False) -> Backbone:
    """A DINOv3 backbone by its canonical name.

    Args:
        name: a key of :data:`SIZES`.
        weights: a folder with ``config.json`` and safetensors; None for the hub or its cache.
        random: random weights instead.

    Raises:
        BackboneError: the weights cannot be had, are incomplete, or are of another size.
    """
    is_vit = isinstance(SIZES[name], ViTSize)
    model = random_model(name) if random else _pretrained(name, weights)
    return DINOv3ViT(model, name) if is_vit else DINOv3ConvNeXt(model, name)


def _pretrained(name: str, weights: Path | None) -> nn.Module:
    from transformers import DINOv3ConvNextModel, DINOv3ViTModel

    source = hub_id(name)
    if weights is not None:
        if not (weights / "config.json").is_file():
            raise BackboneError(
                f"no weights of {name!r} at {weights}: a folder with config.json and "
                "model.safetensors is needed (as downloaded from the hub)"
            )
        source = str(weights)
    kind = DINOv3ViTModel if isinstance(SIZES[name], ViTSize) else DINOv3ConvNextModel
    try:
        # float32 whatever the file holds, and never a pickle
        model, loading = kind.from_pretrained(
            source,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, with a way out
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        if weights is None:
            raise hub_failure(name, source, error) from error
        raise BackboneError(
            f"the weights of {name!r} at {weights} cannot be read: {error}. "
            "Download the folder again."
        ) from error
    _check_architecture(name, model, source)
    mismatched = [key for key, *_ in loading["mismatched_keys"]]
    wrong = sorted([*loading["missing_keys"], *mismatched])
    if wrong:
        raise BackboneError(
            f"{source} does not hold the weights of {name!r}: {len(wrong)} tensors are missing or "
            f"of another shape, the first is {wrong[0]}. Download the folder again."
        )
    network: nn.Module = model
    return network


def _check_architecture(name: str, model: Any, source: str) -> None:
    """Compare with the table, so that a folder of another size is not taken for this one."""
    for field, expected in SIZES[name].configuration().items():
        found = getattr(model.config, field)
        if found != expected:
            raise BackboneError(
                f"{source} is not {name!r}: its {field} is {found}, expected {expected}. "
                "Name the backbone that it is, or give another folder."
            )
