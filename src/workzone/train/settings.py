"""Every setting of training, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass, field

from workzone.backbones.adapters import AdapterConfig
from workzone.errors import UsageError
from workzone.features.text_model import DEFAULT_TEXT_MODEL
from workzone.model.detector import DetectorConfig
from workzone.model.glance import GlanceConfig
from workzone.train.optimizers import OptimizerConfig
from workzone.train.sampling import SamplingConfig
from workzone.train.schedules import ScheduleConfig

_RANGES = {
    "seed": (0, 2**63 - 1),
    "ema": (0.0, 0.999999),
    "gradient_clip": (0.0, 1e6),
    "batch": (1, 1_000_000),
    "epochs": (1, 1_000_000),
    "patience": (1, 1_000_000),
    "classifier_penalty": (0.0, 1e6),
    "attention_penalty": (0.0, 1e6),
    "balance_weight": (0.0, 1e3),
    "mask_weight": (0.0, 1e3),
}
"""What each setting may be, ends included."""


@dataclass(frozen=True)
class TrainConfig:
    """How the detector is trained."""

    seed: int = 0
    detector: DetectorConfig = field(default_factory=lambda: DetectorConfig(glance=GlanceConfig()))
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    ema: float = 0.0  # decay of the weights' moving average, such as 0.99; 0: none
    gradient_clip: float = 0.0  # largest norm of a step's gradient; 0: any
    sampling: SamplingConfig = field(default_factory=SamplingConfig)  # which rows, how often
    batch: int = 64  # images
    epochs: int = 60  # at most
    patience: int = 8  # epochs without a better validation loss before stopping
    classifier_penalty: float = 0.4  # L2 on the classifier's weights, added to the loss
    attention_penalty: float = 0.3  # L2 on the gate of "attention+maximum", added to the loss
    balance_weight: float = 0.01  # of the experts' load-balancing loss
    mask_weight: float = 1.0  # of the masks' loss, where there are masks to learn
    adapters: AdapterConfig | None = None  # of the backbone, from pixels; None: stored features
    text_model: str = DEFAULT_TEXT_MODEL  # for the metadata's texts

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in _RANGES}
        wrong = [
            f"{name}={value}, allowed: {low} to {high}"
            for name, value in values.items()
            for low, high in [_RANGES[name]]
            if not low <= value <= high  # NaN is in no range
        ]
        if self.optimizer.averages_itself:
            try:
                self.schedule.check_self_averaging(self.optimizer.name)
            except UsageError as error:
                wrong.append(str(error))
            if self.ema:
                wrong.append(f"ema={self.ema}: {self.optimizer.name} averages weights itself")
        if wrong:
            raise UsageError(f"training: {'; '.join(wrong)}")
