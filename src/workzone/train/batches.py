"""What one step is given: batches of images, cut alike for any number of processes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch.utils.data import DataLoader, Dataset

from workzone.model.inputs import DetectorInput
from workzone.model.metadata_batch import MetadataBatch
from workzone.train.examples import Examples

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which images a process takes in one pass: of a step's batch, its share."""

    images: torch.Tensor  # int64 [b], row numbers
    copies: torch.Tensor  # int64 [b], which copy of each
    counted: torch.Tensor  # bool [b], False for padding
    padded: float  # rows of the step's batch with its padding, over those without: 1 or more


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A part with what the detector is given of it."""

    part: Part
    given: DetectorInput
    labels: torch.Tensor  # int64 [b]
    masks: torch.Tensor | None = None  # [b, K, h, w]
    annotated: torch.Tensor | None = None  # bool [b], rows whose masks are known


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
            images=images[places[number::parts]],
            copies=copies[places[number::parts]],
            counted=counted[number::parts],
            padded=size * parts / len(images),
        )
        for number in range(parts)
    ]


class _Parts(Dataset[Batch]):
    def __init__(
        self, examples: Examples, metadata: MetadataBatch | None, parts: Sequence[Part]
    ) -> None:
        self.examples, self.metadata, self.parts = examples, metadata, parts

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, number: int) -> Batch:
        part, examples = self.parts[number], self.examples
        masks = annotated = None
        if examples.masks is not None:
            masks, annotated = examples.masks.batch(part.images.numpy())
            annotated &= (part.copies == 0) & part.counted  # copies are cropped and flipped
        return Batch(
            part=part,
            given=examples.batch(part.images, part.copies, self.metadata),
            labels=examples.labels[part.images],
            masks=masks,
            annotated=annotated,
        )


def load(
    examples: Examples,
    metadata: MetadataBatch | None,
    parts: Sequence[Part],
    *,
    workers: int,
    device: torch.device,
) -> Iterator[Batch]:
    """The parts' batches in order, read ahead by worker processes where there are any."""
    loader = DataLoader(
        _Parts(examples, metadata, parts),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # or it would draw from the generator that dropout uses
        pin_memory=False,
    )
    for batch in loader:
        yield moved(batch, device)


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
