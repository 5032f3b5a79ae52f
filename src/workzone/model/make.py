"""The one place that knows which kinds of detectors there are."""

from __future__ import annotations

from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.detector import Detector


def make_detector(config: DetectorConfig) -> AnyDetector:
    """An untrained detector of the kind that a configuration asks for.

    Raises:
        UsageError: the configuration lacks a width.
    """
    return DenseDetector(config) if config.dense else Detector(config)
