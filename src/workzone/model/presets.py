"""Named configurations: which backbone looks at which views, and the detector after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workzone.backbones import names
from workzone.errors import UsageError, nearest
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.encoder.config import EncoderConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig, PrunerConfig
from workzone.views import ViewLayout


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One point on the way from a laptop to the reference."""

    name: str
    backbone: str  # canonical name
    layout: ViewLayout
    pooling: str | None = None  # None: the backbone's own
    detector: DetectorConfig  # its width is filled in
    training: Mapping[str, Any]  # of TrainConfig as plain values, where not its defaults
    summary: str  # one sentence


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        UsageError: there is none of that name, with the nearest right spelling.
    """
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; {nearest(name, PRESETS)}")
    return PRESETS[name]


def _reference(
    backbone: str,
    pooling: str | None,
    *,
    width: int = 512,
    depth: int = 4,
    heads: int = 8,
    feed_forward: int = 2048,
    experts: int = 0,
) -> DetectorConfig:
    """The reference detector, or a smaller one of its shape, on a backbone's features."""
    cell_width, cell_pixels = _cells(backbone)
    return DetectorConfig(
        width=_pooled_width(cell_width, pooling),
        projection=width,
        pruner=PrunerConfig(keep=8),
        encoder=EncoderConfig(
            width=width,
            depth=depth,
            heads=heads,
            kv_heads=2,
            feed_forward=feed_forward,
            experts=experts,
            expert_width=feed_forward // 2,  # two experts per token: as much as one dense layer
            experts_per_token=2,
            gate="element",
            positions="alibi",
        ),
        fusion="gated",
        metadata=MetadataConfig(),
        head=(width, width // 2),
        dropout=0.1,
        masks=MaskHeadConfig(width=cell_width, hidden=128, stride=cell_pixels),
    )


def _cells(backbone: str) -> tuple[int, int]:
    """Width of a backbone's grid cell, and its side in pixels."""
    if backbone == names.LITE0.name:
        return names.HEAD_WIDTH, names.LITE_MULTIPLE
    size = names.SIZES[backbone]
    return size.width, size.multiple


def _pooled_width(cell_width: int, pooling: str | None) -> int:
    """Of a view's vector; each backbone's own pooling joins two parts."""
    parts = 2 if pooling is None else len(pooling.split("+"))
    return cell_width * parts


def _pair(
    name: str,
    backbone: str,
    *,
    size: int,
    summary: str,
    pooling: str | None = None,
    plain: DetectorConfig | None = None,
    **shape: int,
) -> tuple[Preset, Preset]:
    """A preset and its variant with a mixture of experts.

    Args:
        name: of the first; the second's ends in ``-moe``.
        backbone: canonical name.
        size: of a view, pixels.
        summary: of the first.
        pooling: None for the backbone's own.
        plain: the first's detector; None for that of `_reference`.
        shape: arguments of `_reference`, where they differ from the reference.
    """
    first = Preset(
        name=name,
        backbone=backbone,
        layout=ViewLayout(size=size),
        pooling=pooling,
        detector=plain or _reference(backbone, pooling, **shape),
        training={} if plain else _WIDE,
        summary=summary,
    )
    second = dataclasses.replace(
        first,
        name=f"{name}-moe",
        detector=_reference(backbone, pooling, experts=4, **shape),
        training=_WIDE,
        summary=f"The features of {name}, and the reference's detector with experts in its blocks.",
    )
    return first, second


_WIDE: dict[str, Any] = {"optimizer": {"weight_decay": 0.05}, "classifier_penalty": 0.0}
"""How the reference's detector is trained: it is regularised by decay, not by its classifier."""


def _phase(number: int, *, summary: str, experts: int = 0, **training: Any) -> Preset:
    """A stage of training: the reference's detector on any backbone's features.

    The backbone is only where none is named: the embedded one.
    """
    steady = {"schedule": {"name": "cosine"}, "gradient_clip": 1.0}
    return Preset(
        name=f"phase{number}",
        backbone=names.LITE0.name,
        layout=ViewLayout(size=224),
        detector=_reference(names.LITE0.name, None, experts=experts),
        training=_WIDE | steady | training,
        summary=summary,
    )


PHASES = (
    _phase(
        1,
        summary="The dense start: the reference's detector, AdamW, a cosine; for any backbone.",
    ),
    _phase(
        2,
        experts=4,
        # The rate that did best of three for Sophia, see docs/experiments/optimizers.md.
        optimizer={"name": "sophia", "learning_rate": 3e-4, "weight_decay": 0.05},
        test_time={"copies": 4, "keep": 0.5},
        summary="Experts, Sophia and filtered test-time augmentation; for any backbone.",
    ),
    _phase(
        3,
        experts=4,
        ema=0.999,
        precision="bfloat16",
        compile=True,
        summary="Experts, an average of weights, bfloat16, compiled: for long runs on GPUs.",
    ),
)


# The whole frame in its own shape: 1280 x 720 px are seen at 896 x 512 and at half of it.
_FRAME = ViewLayout(size=896, shorter=512, tiles=0, squares=(), halves=True)
# The subnet's squares of 224 px, enlarged: a cell is 25 of their pixels.
_SMALL_SQUARE = ViewLayout(size=288, tiles=0, squares=())


def _dense(
    name: str,
    variant: names.Variant,
    *,
    layout: ViewLayout = _FRAME,
    rate: float = 1e-3,
    epochs: int = 2,
    summary: str,
) -> Preset:
    """The dense head on one of the embedded backbones, whose end learns too."""
    width = variant.trunk_width
    return Preset(
        name=name,
        backbone=variant.trunk,
        layout=layout,
        pooling="mean",
        detector=DetectorConfig(
            width=width, cells=CellHeadConfig(width=width, tail=True, hidden=0, mix_style=0.5)
        ),
        training={
            "optimizer": {"learning_rate": rate, "weight_decay": 0.05},
            "schedule": {"name": "cosine", "warmup": 0.1},
            "sampling": {"class_balance": True, "source_balance": 0.5},
            "batch": 8,
            # With copies; of frames a third costs accuracy on new sources:
            # docs/experiments/recipe.md.
            "epochs": epochs,
            "classifier_penalty": 0.0,
            "choose_cut": False,  # what is best on sources seen is not on others
        },
        summary=summary,
    )


DENSE = (
    _dense(
        "dense",
        names.LITE0_ROAD,
        summary="Every cell of the sharp whole frame is judged; the backbone's end learns too.",
    ),
    _dense(
        "dense2",
        names.LITE2,
        summary="The same on a larger embedded backbone: better on distorted near things.",
    ),
    _dense(
        "dense-224",
        names.LITE0_ROAD,
        layout=_SMALL_SQUARE,
        epochs=6,
        summary="The same for the subnet's squares of 224 px, at less than half of the work.",
    ),
)

# What a street camera's frame of 16:9 holds of small things, at half the work of `_FRAME`.
_MASKS_FRAME = ViewLayout(size=640, shorter=384, tiles=0, squares=())

MASKS = dataclasses.replace(
    _dense("masks", names.LITE0_ROAD, layout=_MASKS_FRAME, rate=3e-3, epochs=14, summary=""),
    detector=DetectorConfig(
        width=names.LITE0_ROAD.trunk_width,
        cells=CellHeadConfig(
            width=names.LITE0_ROAD.trunk_width, tail=True, hidden=0, mix_style=0.5
        ),
        masks=MaskHeadConfig(
            width=names.HEAD_WIDTH,
            hidden=192,
            stride=names.LITE_MULTIPLE,
            levels=(4, 8, 16),
            level_widths=(24, 40, 112),
            level_strides=(4, 8, 16),
        ),
    ),
    summary="The dense head, and outlines of six kinds of objects at half of its pixels.",
)

# Sizes: with 3x3 tiles the frame is seen at 2.5 times a view's side. 224 px (560 px a side) keeps
# small and base within what a CPU does in seconds; 384 px (960) is about all that a 1280x720 frame
# holds, and a third of what 512 px (1280), the reference for larger frames, would cost `large`.
PRESETS = {
    entry.name: entry
    for entries in (
        _pair(
            "lite",
            names.LITE0.name,
            size=224,
            plain=DetectorConfig(
                width=_pooled_width(names.HEAD_WIDTH, None),
                glance=GlanceConfig(width=names.HEAD_WIDTH),
            ),
            summary="The default: the embedded backbone reads four of twelve views; no download.",
        ),
        _pair(
            "small",
            "dinov3-vits16",
            size=224,
            width=256,
            depth=2,
            heads=4,
            feed_forward=1024,
            summary="The smallest DINOv3 with a narrower, shallower detector; for a CPU.",
        ),
        _pair(
            "base",
            "dinov3-vitb16",
            size=224,
            summary="DINOv3 ViT-B with the reference's detector; for a CPU with patience.",
        ),
        _pair(
            "large",
            "dinov3-vitl16",
            size=384,
            summary="DINOv3 ViT-L at the resolution of 720p frames; for a GPU.",
        ),
        _pair(
            "huge",
            "dinov3-vith16plus",
            size=512,
            pooling="cls",  # the class token alone: the reference's D = 1280
            summary="The reference: DINOv3 ViT-H+ at 512 px; for a GPU.",
        ),
        DENSE,
        (MASKS,),
        PHASES,
    )
    for entry in entries
}
"""All presets by name."""
