"""Every setting of training, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from workzone.backbones.adapters import AdapterConfig
from workzone.backbones.fine_tuning import FineTuneConfig
from workzone.data.weather import WeatherConfig
from workzone.decide.calibration_fit import MethodChoice
from workzone.decide.test_time import TestTimeConfig
from workzone.errors import UsageError, nearest
from workzone.features.text_spec import DEFAULT_TEXT_MODEL
from workzone.model.config import DetectorConfig
from workzone.model.views.config import GlanceConfig
from workzone.train.feed.augment import AugmentConfig
from workzone.train.feed.sampling import SamplingConfig
from workzone.train.optim.optimizers import OptimizerConfig
from workzone.train.optim.schedules import ScheduleConfig

_RANGES = {
    "seed": (0, 2**63 - 1),
    "ema": (0.0, 0.999999),
    "gradient_clip": (0.0, 1e6),
    "batch": (1, 1_000_000),
    "accumulate": (1, 1_000_000),
    "epochs": (1, 1_000_000),
    "patience": (1, 1_000_000),
    "classifier_penalty": (0.0, 1e6),
    "attention_penalty": (0.0, 1e6),
    "balance_weight": (0.0, 1e3),
    "mask_weight": (0.0, 1e3),
    "cell_weight": (0.0, 1e3),
}
"""What each setting may be, ends included."""


PrecisionName = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How a training is carried out; none of it changes what is learned."""

    workers: int = 0  # processes that read batches ahead; 0: none
    checkpoint_seconds: float = 60.0  # from one checkpoint to the next; 0: after every step
    checkpoints: int = 3  # newest that are kept, beside the best

    def __post_init__(self) -> None:
        mistakes = [
            f"{name}={getattr(self, name)}, allowed: {low} to {high}"
            for name, low, high in (
                ("workers", 0, 256),
                ("checkpoint_seconds", 0, 86_400),
                ("checkpoints", 1, 1000),
            )
            if not low <= getattr(self, name) <= high
        ]
        if mistakes:
            raise UsageError(f"run: {'; '.join(mistakes)}")


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """A trained model whose word on an image is learned beside its label."""

    teacher: str  # folder of a bundle
    backbone: str | None = None  # its backbone's weights, where not embedded nor to be downloaded
    weight: float = 1.0  # of the distillation loss
    temperature: float = 2.0  # by which both models' log-odds are divided; higher: softer

    def __post_init__(self) -> None:
        mistakes = [
            f"{name}={getattr(self, name)}, allowed: {low} to {high}"
            for name, low, high in (("weight", 1e-6, 1e3), ("temperature", 0.1, 100.0))
            if not low <= getattr(self, name) <= high  # NaN is in no range
        ]
        if mistakes:
            raise UsageError(f"distill: {'; '.join(mistakes)}")


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
    batch: int = 64  # images of a step, over all processes
    accumulate: int = 1  # passes that a step's batch is cut into, where memory is short
    precision: PrecisionName = "float32"  # bfloat16: mixed, weights stay float32
    compile: bool = False  # with torch.compile
    augment: AugmentConfig = field(default_factory=AugmentConfig)  # of a batch, and of the loss
    epochs: int = 60  # at most
    patience: int = 8  # epochs without a better validation loss, of masks too, before stopping
    classifier_penalty: float = 0.4  # L2 on the classifier's weights, added to the loss
    attention_penalty: float = 0.3  # L2 on the gate of "attention+maximum", added to the loss
    balance_weight: float = 0.01  # of the experts' load-balancing loss
    mask_weight: float = 1.0  # of the masks' loss, where there are masks to learn
    cell_weight: float = 0.5  # of the loss of the dense head's cells whose truth is known
    choose_cut: bool = True  # on validation rows, for the highest MCC; false: 0.5 as it comes
    calibration: MethodChoice = "temperature"  # on validation rows; auto: by log loss held out
    weather: WeatherConfig = field(default_factory=WeatherConfig)  # over pixels
    adapters: AdapterConfig | None = None  # on the backbone, from pixels; None: none
    fine_tuning: FineTuneConfig | None = None  # of the backbone, from pixels; None: it is frozen
    distill: DistillConfig | None = None  # a teacher's word beside the labels; None: labels alone
    text_model: str = DEFAULT_TEXT_MODEL  # for the metadata's texts
    test_time: TestTimeConfig | None = None  # how the bundle predicts; None: from one look
    run: RunConfig = field(default_factory=RunConfig)

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
        if self.precision not in get_args(PrecisionName):
            hint = nearest(str(self.precision), get_args(PrecisionName))
            wrong.append(f"precision={self.precision!r} is not known; {hint}")
        if self.calibration not in get_args(MethodChoice):
            hint = nearest(str(self.calibration), get_args(MethodChoice))
            wrong.append(f"calibration={self.calibration!r} is not known; {hint}")
        if self.accumulate > self.batch:
            wrong.append(f"accumulate={self.accumulate}: more passes than batch={self.batch}")
        if self.adapters is not None and self.fine_tuning is not None:
            wrong.append("adapters, fine_tuning: a backbone learns in one of the two ways")
        if self.from_pixels and (self.augment.mixup or self.augment.cutmix):
            wrong.append(
                "augment: mixup and cutmix mix stored features; leave adapters and fine_tuning out"
            )
        if self.distill is not None and (self.augment.mixup or self.augment.cutmix):
            wrong.append("distill: the teacher judges whole images; leave mixup and cutmix out")
        if self.detector.dense and (self.augment.mixup or self.augment.cutmix):
            wrong.append("augment: mixup and cutmix mix vectors of views; detector.cells read none")
        if not self.from_pixels and self.weather != WeatherConfig():
            wrong.append(
                "weather: stored features have seen theirs; train from pixels (adapters: {} or "
                "fine_tuning: {}), or store copies that have (--augment)"
            )
        if self.compile and self.optimizer.second_derivatives_every:
            wrong.append(
                f"compile: {self.optimizer.name} needs second derivatives, which compiled code "
                "has not; leave one of the two out"
            )
        if wrong:
            raise UsageError(f"training: {'; '.join(wrong)}")

    @property
    def tuning(self) -> AdapterConfig | FineTuneConfig | None:
        """How the backbone learns with the detector; None: it does not."""
        return self.adapters or self.fine_tuning

    @property
    def from_pixels(self) -> bool:
        """Whether images are decoded for each batch; otherwise stored features are read."""
        return self.tuning is not None
