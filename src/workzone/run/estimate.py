"""How long many images will take, from a measured few."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from workzone.run.fetching import fetched_ahead, load_fetched
from workzone.run.predictor import Predictor
from workzone.run.sources import Item

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


def seconds_each(
    predictor: Predictor, images: Sequence[tuple[str, Item]], *, image_only: bool = False
) -> float:
    """Seconds that an image takes one stream of a model, from its bytes to the result.

    Images that cannot be read count as well: they are read in earnest too. Of a network the time
    that files take to come is not counted, as they are fetched ahead.

    Args:
        predictor: the model.
        images: to be scored; some are, from all parts of the list.
        image_only: do not use what a manifest says.
    """
    step = max(1, len(images) // SAMPLE)
    chosen = [*images[:2], *images[::step][:SAMPLE]]
    fetched = list(fetched_ahead(chosen, Item.load))
    scored = predictor.score(
        fetched, load_fetched, sample_of=None if image_only else lambda one: one[0].known()
    )
    warm = min(2, len(chosen) - 1)
    begin = time.perf_counter()
    for number, _ in enumerate(scored, start=1):
        if number == warm:
            begin = time.perf_counter()
    count = len(chosen) - warm
    engine = predictor.program.engine
    streams = min(engine.streams, count) if engine.device == "cpu" else 1
    return (time.perf_counter() - begin) * streams / count


def _hours(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:,.1f} h"
