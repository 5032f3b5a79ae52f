"""What one step is given: batches of images, cut alike for any number of processes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from workzone.data.weather import WeatherConfig, weather, weather_seed
from workzone.model.inputs import DetectorInput
from workzone.model.metadata.batch import MetadataBatch
from workzone.train.feed.augment import augment_batch
from workzone.train.feed.examples import Examples
from workzone.train.feed.pixels import PixelInput
from workzone.train.settings import TrainConfig

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which images a process takes in one pass: of a step's batch, its share."""

    step_images: torch.Tensor  # int64 [n], row numbers of the whole step's batch
    step_copies: torch.Tensor  # int64 [n], which copy of each
    places: torch.Tensor  # int64 [b], which of them these are
    counted: torch.Tensor  # bool [b], False for padding
    padded: float  # rows of the step's batch with its padding, over those without: 1 or more

    @property
    def images(self) -> torch.Tensor:
        """Row numbers, int64 ``[b]``."""
        return self.step_images[self.places]

    @property
    def copies(self) -> torch.Tensor:
        """Which copy of each, int64 ``[b]``."""
        return self.step_copies[self.places]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A part with what the detector is given of it."""

    part: Part
    given: DetectorInput
    targets: torch.Tensor  # [b, 2], shares of the classes
    masks: torch.Tensor | None = None  # [b, K, h, w]
    annotated: torch.Tensor | None = None  # bool [b], rows whose masks are known
    teacher: torch.Tensor | None = None  # [b] log-odds by a teacher, or NaN


def cut(images: torch.Tensor, copies: torch.Tensor, parts: int) -> list[Part]:
    """Cut a step's batch into equal parts, row by row in turn.

    The last rows are padded with the first image, which then does not count: each process goes the
    same way, and the sum over parts does not depend on their number.
    """
    size = math.ceil(len(images) / parts)
    places = torch.arange(size * parts)
    counted = places < len(images)
    places = places.where(counted, 0)
    return [
        Part(
            step_images=images,
            step_copies=copies,
            places=places[number::parts],
            counted=counted[number::parts],
            padded=size * parts / len(images),
        )
        for number in range(parts)
    ]


class _Parts(Dataset[Batch]):
    def __init__(
        self,
        examples: Examples,
        metadata: MetadataBatch | None,
        parts: Sequence[Part],
        config: TrainConfig,
        epoch: int,
    ) -> None:
        self.examples, self.metadata, self.parts = examples, metadata, parts
        self.config, self.epoch = config, epoch

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Batch:
        part, examples, augment = self.parts[number], self.examples, self.config.augment
        mixed = augment.mixup or augment.cutmix  # with any image of the step's batch
        images = part.step_images if mixed else part.images
        copies = part.step_copies if mixed else part.copies
        truth = examples.truth(images, copies)
        given, targets = augment_batch(
            examples.batch(images, copies, self.metadata),
            F.one_hot(truth.labels, 2).float(),
            config=augment,
            ids=examples.ids(images),
            seed=self.config.seed,
            epoch=self.epoch,
        )
        if mixed:
            given, targets, truth = given[part.places], targets[part.places], truth[part.places]
        return Batch(
            part=part,
            given=given,
            targets=targets,
            masks=truth.masks,
            annotated=None if truth.annotated is None else truth.annotated & part.counted,
            teacher=truth.teacher,
        )


def load(
    examples: Examples,
    metadata: MetadataBatch | None,
    parts: Sequence[Part],
    config: TrainConfig,
    *,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """The parts' batches in order, read ahead by worker processes where there are any."""
    loader = DataLoader(
        _Parts(examples, metadata, parts, config, epoch),
        batch_size=None,
        num_workers=config.run.workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # or it would draw from the generator that dropout uses
        pin_memory=False,
    )
    for batch in loader:
        yield _weathered(moved(batch, device), examples, config, epoch)


def _weathered(batch: Batch, examples: Examples, config: TrainConfig, epoch: int) -> Batch:
    """With weather over the pixels, where it was asked for: all views of an image alike."""
    if config.weather == WeatherConfig() or not isinstance(batch.given, PixelInput):
        return batch
    pixels = batch.given.pixels
    seeds = [weather_seed(config.seed, epoch, name) for name in examples.ids(batch.part.images)]
    each = [seed for seed in seeds for _ in range(pixels.shape[1])]
    changed = weather(pixels.flatten(0, 1).float() / 255, config.weather, each)
    pixels = (changed * 255).round().byte().view_as(pixels)
    return dataclasses.replace(batch, given=dataclasses.replace(batch.given, pixels=pixels))


def _as_it_is(batch: Any) -> Any:
    return batch


def moved(value: T, device: torch.device) -> T:
    """The same with all its tensors on a device; dataclasses are gone through."""
    if device.type == "cpu":
        return value
    return cast(T, _moved(value, device))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        changed = {name: _moved(getattr(value, name), device) for name in names}
        return dataclasses.replace(value, **changed)
    if isinstance(value, dict):
        return {name: _moved(part, device) for name, part in value.items()}
    return value
