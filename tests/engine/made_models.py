"""Tiny models of every kind, with weights at random: what is exported in tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from transformers import (
    DINOv3ConvNextConfig,
    DINOv3ConvNextModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
)

from workzone.backbones.base import Backbone
from workzone.backbones.dinov3 import DINOv3ConvNeXt, DINOv3ViT
from workzone.backbones.lite import load_trunk
from workzone.backbones.names import LITE0, Variant
from workzone.decide.bundle import Bundle
from workzone.decide.calibration import Calibration
from workzone.engine.gate import GateImage
from workzone.engine.program import Array, Seen
from workzone.features.extract import make_spec
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.encoder.config import EncoderConfig
from workzone.model.make import make_detector
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.batch import encode_samples
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig, PrunerConfig
from workzone.types import ImageRef, Sample
from workzone.views import ViewLayout, view_boxes

ENCODER = EncoderConfig(width=32, depth=1, heads=4, kv_heads=2, feed_forward=64)
METADATA = MetadataConfig(
    **{"position": 8, "weather": 4, "daytime": 4, "scene": 4, "text": 0},
    weather_values=("clear", "rain"),
    daytime_values=("day", "night"),
    scene_values=("urban",),
)
DENSE = ViewLayout(size=128, keep_aspect=True, tiles=0, squares=("left", "right"), halves=True)
FRAME = ViewLayout(size=256, shorter=128, tiles=0, squares=(), halves=True)
FRAMES = ((64, 80), (96, 64), (40, 120), (160, 48))
"""Width and height of the frames that views are of; in `FRAME` each has a shape of its own."""


def tiny_vit(**changes: Any) -> Backbone:
    """DINOv3's vision transformer, 48 wide."""
    torch.manual_seed(0)
    fields = {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_register_tokens": 4,
    }
    config = DINOv3ViTConfig(**(fields | changes))
    return DINOv3ViT(DINOv3ViTModel(config), "tiny-vit")


def tiny_convnext() -> Backbone:
    """DINOv3's convolutional network, as wide and of as many cells as the transformer."""
    torch.manual_seed(0)
    config = DINOv3ConvNextConfig(hidden_sizes=[8, 16, 48], depths=[1, 2, 3])
    return DINOv3ConvNeXt(DINOv3ConvNextModel(config), "tiny-convnext")


def tiny_trunk(variant: Variant = LITE0) -> Backbone:
    """An embedded network's trunk with a block or two in each stage, as wide as it is."""
    torch.manual_seed(0)
    stages = tuple(stage._replace(blocks=stage.blocks // 4 + 1) for stage in variant.stages)
    return load_trunk(dataclasses.replace(variant, stages=stages), random=True)


CASES: Mapping[str, tuple[Callable[[], Backbone], ViewLayout, DetectorConfig]] = {
    "dense": (
        tiny_trunk,
        DENSE,
        DetectorConfig(cells=CellHeadConfig(tail=True, hidden=0, mix_style=0.5)),
    ),
    "frames in their own shape": (
        tiny_trunk,
        FRAME,
        DetectorConfig(cells=CellHeadConfig(tail=True, hidden=0, mix_style=0.5)),
    ),
    "masks of layers": (
        tiny_vit,
        ViewLayout(size=32, tiles=1),
        DetectorConfig(masks=MaskHeadConfig(hidden=16, levels=(1, 2))),
    ),
    "glance, masks that decide": (
        tiny_convnext,
        ViewLayout(size=32, tiles=2),
        DetectorConfig(
            glance=GlanceConfig(keep=3), masks=MaskHeadConfig(hidden=16), mask_evidence=True
        ),
    ),
    "rope, metadata": (
        tiny_vit,
        ViewLayout(size=32, tiles=1),
        DetectorConfig(
            projection=32,
            encoder=dataclasses.replace(ENCODER, positions="rope"),
            fusion="gated",
            head=(16,),
            metadata=METADATA,
        ),
    ),
    "pruned, gated SwiGLU": (
        lambda: tiny_vit(use_gated_mlp=True, hidden_act="silu"),
        ViewLayout(size=32, tiles=2),
        DetectorConfig(
            pruner=PrunerConfig(keep=4),
            fusion="gated",
            head=(16,),
            masks=MaskHeadConfig(hidden=16, canvas=8),
        ),
    ),
    "linear attention, learned places": (
        tiny_convnext,
        ViewLayout(size=32, tiles=0),
        DetectorConfig(
            projection=32,
            encoder=dataclasses.replace(ENCODER, mixer="linear", positions="learned"),
            fusion="mean",
        ),
    ),
    "convolutions": (
        tiny_convnext,
        ViewLayout(size=32, tiles=0),
        DetectorConfig(fusion="mean", head=(16,)),
    ),
}
"""Each part in one of them; experts and ALiBi are in the presets, see `test_export_presets.py`."""


def made(case: str) -> tuple[Bundle, Backbone]:
    """A bundle of one of `CASES`, and its backbone."""
    make_backbone, layout, config = CASES[case]
    return made_of(make_backbone(), layout, config, pooling="mean" if config.cells else None)


def made_of(
    backbone: Backbone, layout: ViewLayout, config: DetectorConfig, *, pooling: str | None
) -> tuple[Bundle, Backbone]:
    """A bundle with weights at random, and its backbone."""
    grids = config.grid_views(layout)
    spec = make_spec(backbone, layout=layout, pooling=pooling, grid_views=grids)
    torch.manual_seed(1)
    detector = make_detector(
        config.sized(
            width=spec.width,
            grid_width=backbone.width if grids else 0,
            grid_size=backbone.grid_size(layout.size),
            view_size=layout.size,
            level_shapes={
                level: (backbone.level_widths[level], *2 * (layout.size // stride,))
                for level in config.levels
                for stride in [backbone.level_stride(level)]
            },
        )
    )
    for name, value in detector.state_dict().items():
        if value.is_floating_point() and "scale" not in name and "norm" not in name:
            torch.nn.init.normal_(value, std=0.2)
    if config.cells is not None:  # of logits around 60 nothing could be told apart
        detector.cells.classifier.weight.data.mul_(0.05)
        detector.cells.classifier.bias.data.fill_(-3.0)
    told = None if config.metadata is None else Calibration(0.4)
    bundle = Bundle(
        detector=detector.eval().requires_grad_(False),
        spec=spec,
        calibration=Calibration(0.45, 1.2),
        metadata_calibration=told,
        backbone_licence="none: random weights",
    )
    return bundle, backbone


def images(bundle: Bundle, count: int = 12) -> list[GateImage]:
    """Views of noise and plain colours, some of them alike; every other one with metadata.

    Frames in their own shape come in several of them.
    """
    layout, rng = bundle.spec.layout, np.random.default_rng(3)
    found = []
    for number in range(count):
        width, height = FRAMES[number % len(FRAMES)]
        rows, columns = layout.shape(width, height)
        pixels = rng.integers(0, 256, (layout.count, 3, rows, columns), dtype=np.uint8)
        pixels[:, :, : rows // 2] = rng.integers(0, 256, (layout.count, 3, 1, 1))
        if layout.count > 1:
            pixels[-1] = pixels[-2]
        metadata = _metadata(bundle, number) if number % 2 else None
        seen = Seen(pixels, view_boxes(layout, width, height), metadata)
        found.append(GateImage(f"image {number}", seen, number % 2))
    return found


def _metadata(bundle: Bundle, number: int) -> Mapping[str, Array] | None:
    if bundle.metadata is None:
        return None
    sample = Sample("a", ImageRef("a"), latitude=50.0 + number, longitude=4.0, daytime="night")
    return {name: v.numpy() for name, v in vars(encode_samples([sample], bundle.metadata)).items()}
