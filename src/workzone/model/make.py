"""The one place that knows which kinds of detectors there are."""

from __future__ import annotations

from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.detector import Detector


def make_detector(config: DetectorConfig, *, backbone: str = "") -> AnyDetector:
    """An untrained detector of the kind that a configuration asks for.

    Args:
        config: its shape.
        backbone: whose end a tail starts as; "": ImageNet's of that width.

    Raises:
        UsageError: the configuration lacks a width.
    """
    return DenseDetector(config, backbone=backbone) if config.dense else Detector(config)
