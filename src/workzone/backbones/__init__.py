"""Frozen feature extractors behind one small interface."""

from workzone.backbones.base import (
    POOLINGS,
    Backbone,
    check_pooling,
    pool,
    pooled_width,
    run,
)
from workzone.backbones.registry import (
    BACKBONES,
    EMBEDDED,
    BackboneInfo,
    canonical_name,
    list_backbones,
    load_backbone,
)

__all__ = [
    "BACKBONES",
    "EMBEDDED",
    "POOLINGS",
    "Backbone",
    "BackboneInfo",
    "canonical_name",
    "check_pooling",
    "list_backbones",
    "load_backbone",
    "pool",
    "pooled_width",
    "run",
]
