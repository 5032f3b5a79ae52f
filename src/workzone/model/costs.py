"""What the presets cost: figures counted by :mod:`workzone.model.cost` and written down here.

Counting takes torch and a while; `benchmarks/preset_costs.py` does it and writes ``costs.json``.
"""

from __future__ import annotations

import importlib.resources
import json
from dataclasses import dataclass

from workzone.model.presets import Preset

TRAINING_BATCH = 64  # images


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The figures of one preset. Memory is in bytes and counts tensors, not what a library needs
    inside an operation; activations are float32.
    """

    frozen_parameters: int  # the backbone's published weights
    trainable_parameters: int  # the detector
    flops: int  # for one image: the backbone on the views it reads, and the detector
    backbone_flops: int  # the backbone's part
    weights_float32: int  # bytes of both, as they are held
    weights_bfloat16: int  # the same at two bytes a number
    predict_activations: int  # most that is alive at once for one image, beside the weights
    train_step: int  # most that is alive at once in a step on stored features, weights included

    @property
    def predict_memory(self) -> int:
        """Bytes for predicting one image in float32: weights and activations."""
        return self.weights_float32 + self.predict_activations


def views_read(preset: Preset) -> int:
    """How many views of an image the backbone reads in prediction: k where there is a glance."""
    return preset.detector.views_read(preset.layout.count)


def preset_costs() -> dict[str, Cost]:
    """The costs of all presets, by name."""
    text = (importlib.resources.files("workzone") / "model" / "costs.json").read_text("utf-8")
    return {name: Cost(**figures) for name, figures in json.loads(text).items()}
