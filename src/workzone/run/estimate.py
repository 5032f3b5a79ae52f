"""How long many images will take, from a measured few."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from workzone.run.predictor import Predictor
from workzone.run.sources import Found, Item

SAMPLE = 16
"""Images that are measured, from all parts of the list; two more come first, to warm up."""


@dataclass(frozen=True)
class Estimate:
    """Of a job before it begins."""

    images: int  # that are left
    seconds_each: float  # of one worker
    workers: int
    machines: int

    @property
    def hours(self) -> float:
        """Until all are done."""
        return self.images * self.seconds_each / self.workers / 3600

    @property
    def machine_hours(self) -> float:
        """Of all machines together."""
        return self.hours * self.machines

    def as_json(self) -> dict[str, float]:
        """All of it."""
        return asdict(self) | {"hours": self.hours, "machine_hours": self.machine_hours}

    def __str__(self) -> str:
        """In a sentence."""
        return (
            f"{self.images:,} images at {self.seconds_each * 1000:.0f} ms each on one worker, as "
            f"measured on a few: {_hours(self.hours)} with {self.workers:,} "
            f"{'worker' if self.workers == 1 else 'workers'}, {_hours(self.machine_hours)} of "
            f"{'this machine' if self.machines == 1 else f'{self.machines:,} machines together'}"
        )


def seconds_each(predictor: Predictor, found: Found) -> float:
    """Seconds that an image takes one stream of a model, from the file to the result.

    Images that cannot be read count as well: they are read in earnest too.
    """
    images = found.images
    step = max(1, len(images) // SAMPLE)
    chosen = [*images[:2], *images[::step][:SAMPLE]]
    scored = predictor.score(chosen, Item.load, sample_of=Item.known)
    begin = time.perf_counter()
    for number, _ in enumerate(scored, start=1):
        if number == min(2, len(chosen) - 1):
            begin = time.perf_counter()
    count = len(chosen) - min(2, len(chosen) - 1)
    engine = predictor.program.engine
    streams = min(engine.streams, count) if engine.device == "cpu" else 1
    return (time.perf_counter() - begin) * streams / count


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:,.1f} h"
