"""A model that takes the mean of the pixels, and may sleep: for benchmarks of what is around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from workzone.data.images import decode_pixels
from workzone.errors import ImageError
from workzone.types import Prediction


@dataclass(frozen=True)
class StandIn:
    """Stands for both a `ModelChoice` and the predictor that it loads."""

    seconds: float = 0.0  # slept for each image
    model: None = None
    weights: None = None
    device: str = "cpu"
    engine: str = "none"
    precision: str = "float32"
    takes_metadata: bool = False

    def load(self) -> StandIn:
        """Itself."""
        return self

    def identity(self) -> str:
        """Always the same."""
        return "stand-in"

    def score(
        self,
        inputs: Iterable[tuple[str, Any]],
        load: Callable[[Any], Any],
        *,
        sample_of: Any = None,
    ) -> Iterator[tuple[str, Any]]:
        """The mean of the pixels as a probability."""
        for name, source in inputs:
            try:
                pixels = decode_pixels(load(source).data, name=name)
            except ImageError as error:
                yield name, error
                continue
            time.sleep(self.seconds)
            value = float(pixels.mean()) / 255
            decision = "roadwork" if value > 0.5 else "none"
            box = (0.0, 0.0, 1.0, 1.0)
            prediction = Prediction(
                name, value, decision, 0, 1.0, box, "image", self.engine, self.precision
            )
            yield name, SimpleNamespace(prediction=prediction)
