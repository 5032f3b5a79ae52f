"""The detectors that `ablation.py` compares: two bases, and each with one part switched."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from workzone.model.config import DetectorConfig
from workzone.model.encoder.config import EncoderConfig
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.metadata.config import MetadataConfig
from workzone.model.views.config import GlanceConfig, PrunerConfig

SMALL = "small"
FULL = "full, 128 wide"
FLOOR = "logistic regression, global + maximum"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A detector, how it is trained, and on what."""

    part: str  # of which part of the detector it tells
    base: str  # the variant that it differs from in one part
    detector: DetectorConfig = dataclasses.field(default_factory=DetectorConfig)
    training: dict[str, Any] | None = None  # fields of TrainConfig; None: logistic regression
    on_photographs: bool = True
    on_scenes: bool = True
    leak: bool = False  # whether a column of its metadata tells the label
    seeds: int = 5
    left_out_seeds: int = 3

    @property
    def needs_grid(self) -> bool:
        """Whether patch grids must be in memory."""
        return self.detector.needs_grid


AS_SHIPPED: dict[str, Any] = {}  # the defaults of TrainConfig
FOR_FULL: dict[str, Any] = {
    "optimizer": {"learning_rate": 3e-3, "weight_decay": 0.05},
    "classifier_penalty": 0.0,
    "patience": 3,
    "epochs": 30,
}
"""Chosen by validation loss on one more split of the photographs (seed 100): of learning rates
1e-4 to 6e-3, more dropout, more weight decay, and a penalty on the classifier."""


def reference(*, width: int, depth: int, feed_forward: int, **changes: Any) -> DetectorConfig:
    """The reference detector without metadata and masks, at any width."""
    parts: dict[str, Any] = {
        "projection": width,
        "pruner": PrunerConfig(keep=8),
        "encoder": EncoderConfig(width=width, depth=depth, feed_forward=feed_forward),
        "fusion": "gated",
        "head": (width, width // 2),
        "dropout": 0.1,
    }
    return DetectorConfig(**(parts | changes))


def full(encoder: dict[str, Any] | None = None, **changes: Any) -> DetectorConfig:
    """The base that parts are switched in: the reference, a quarter as wide, half as deep."""
    shape = {"width": 128, "depth": 2, "feed_forward": 512} | (encoder or {})
    return reference(
        width=128, depth=2, feed_forward=512, encoder=EncoderConfig(**shape), **changes
    )


def _variants() -> dict[str, Variant]:
    small, whole = DetectorConfig(), full()
    masks = MaskHeadConfig()
    variants = {
        FLOOR: Variant(part="floor", base=SMALL, training=None),
        SMALL: Variant(part="small", base=SMALL, detector=small, training=AS_SHIPPED),
        FULL: Variant(part="full", base=SMALL, detector=whole, training=FOR_FULL, left_out_seeds=1),
    }

    def of_small(name: str, part: str, detector: DetectorConfig, **more: Any) -> None:
        variants[f"small, {name}"] = Variant(
            part=part, base=SMALL, detector=detector, training=AS_SHIPPED, **more
        )

    def of_full(name: str, part: str, detector: DetectorConfig, **more: Any) -> None:
        variants[f"full, {name}"] = Variant(
            part=part,
            base=FULL,
            detector=detector,
            training=FOR_FULL,
            **({"left_out_seeds": 1} | more),
        )

    for keep in (1, 2, 4, 6, 8):
        of_small(
            f"{keep} of 12 views read",
            "views read",
            dataclasses.replace(small, glance=GlanceConfig(keep=keep)),
        )
    of_small(
        "what masks show",
        "masks",
        dataclasses.replace(small, masks=masks, mask_evidence=True),
        on_photographs=False,  # no photograph has masks
    )
    metadata = MetadataConfig(position=16, weather=16, daytime=16, scene=16, text=0)
    of_small(
        "metadata",
        "metadata",
        dataclasses.replace(small, metadata=metadata),
        on_photographs=False,
    )
    leaking = dataclasses.replace(metadata, allow_leaking=("scene",))
    of_small(
        "metadata that leak",
        "metadata",
        dataclasses.replace(small, metadata=leaking),
        on_photographs=False,
        leak=True,
    )
    of_small("mean of views", "fusion", dataclasses.replace(small, fusion="mean"))
    of_small(
        "8 of 12 views kept", "pruning", dataclasses.replace(small, pruner=PrunerConfig(keep=8))
    )

    of_full("every view kept", "pruning", full(pruner=None))
    of_full("4 views kept", "pruning", full(pruner=PrunerConfig(keep=4)))
    of_full("depth 0", "depth", full({"depth": 0}))
    of_full("depth 4", "depth", full({"depth": 4}))
    of_full("no gate", "gate", full({"gate": "none"}))
    of_full("gate per head", "gate", full({"gate": "head"}))
    of_full("4 experts of 256, top 2", "experts", full({"experts": 4, "expert_width": 256}))
    of_full("no positions", "positions", full({"positions": "none"}))
    of_full("learned positions", "positions", full({"positions": "learned"}))
    of_full("RoPE", "positions", full({"positions": "rope"}))
    of_full("mean of views", "fusion", full(fusion="mean"))
    of_full("attention + maximum", "fusion", full(fusion="attention+maximum"))
    of_full("masks beside", "masks", full(masks=masks), on_photographs=False)
    of_full("what masks show", "masks", full(masks=masks, mask_evidence=True), on_photographs=False)
    of_full("metadata", "metadata", full(metadata=metadata), on_photographs=False)
    of_full(
        "metadata that leak", "metadata", full(metadata=leaking), on_photographs=False, leak=True
    )
    of_full("4 of 12 views read", "views read", full(pruner=None, glance=GlanceConfig(keep=4)))
    variants["reference size, 512 wide"] = Variant(
        part="full",
        base=SMALL,
        detector=reference(width=512, depth=4, feed_forward=2048),
        training=FOR_FULL | {"optimizer": {"learning_rate": 1e-3, "weight_decay": 0.05}},
        seeds=1,
        on_scenes=False,
        left_out_seeds=1,
    )
    return variants


VARIANTS = _variants()
