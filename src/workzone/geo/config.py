"""What the map assumes of zones, cars and cameras."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workzone.errors import UsageError
from workzone.geo.ground import Floats


@dataclass(frozen=True, slots=True)
class MapConfig:
    """The assumptions, set by hand; ``present`` did better on simulated streets than another value.

    ``docs/map.md`` has both.
    """

    near: float = 5.0  # metres ahead of the car, where road work leaves the picture
    far: float = 35.0  # metres ahead, where a frame begins to be called road work
    hit: float = 0.75  # probability that a pass sees a zone that is there
    false_alarm: float = 0.15  # that it sees one in a cell without
    prior: float = 0.03  # that a place has road work, of which nothing else is known
    days: float = 30.0  # how long zones last, on average
    certain: float = 4.0  # log-odds that no amount of evidence exceeds
    suspected: float = 0.07  # probability from which on there is an event
    present: float = 0.9  # from which on it is present
    gone: float = 0.05  # below which it is gone
    gap: float = 50.0  # metres between two stretches that are one zone
    recent: int = 15  # the last sightings whose ends are averaged

    def __post_init__(self) -> None:
        ordered = 0 < self.prior < self.gone < self.suspected <= self.present < 1
        rates = 0 < self.false_alarm < self.hit < 1
        sizes = 0 <= self.near < self.far and min(self.days, self.certain, self.recent) > 0
        if not (ordered and rates and sizes and self.gap >= 0):
            raise UsageError(
                "settings of a map have 0 < prior < gone < suspected <= present < 1, "
                f"0 < false_alarm < hit < 1, 0 <= near < far and the rest above 0: got {self}"
            )

    @property
    def decay(self) -> float:
        """A second; how fast what is known of a place becomes the prior again."""
        return 1 / (self.days * 86400 * (1 - self.prior))

    @property
    def seen(self) -> float:
        """Log-odds that a sighting adds."""
        return math.log(self.hit / self.false_alarm)

    @property
    def missed(self) -> float:
        """Log-odds that a pass adds which sees nothing; below 0."""
        return math.log((1 - self.hit) / (1 - self.false_alarm))

    def aged(self, probability: npt.ArrayLike, seconds: npt.ArrayLike) -> Floats:
        """What probabilities have become so many seconds later, elementwise; none before that."""
        known, age = np.asarray(probability, np.float64), np.maximum(0.0, seconds)
        later: Floats = self.prior + (known - self.prior) * np.exp(-self.decay * age)
        return later

    def lasts(self, probability: float) -> float:
        """Seconds until it has fallen to ``gone`` without another pass; 0 if it is there."""
        if probability <= self.gone:
            return 0.0
        return math.log((probability - self.prior) / (self.gone - self.prior)) / self.decay

    def to_json(self) -> str:
        """As text."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> MapConfig:
        """What `to_json` gave."""
        return MapConfig(**json.loads(text))
