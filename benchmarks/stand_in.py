"""A model that takes the mean of the pixels, for benchmarks and tests of what is around models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from workzone.data.images import decode_pixels
from workzone.errors import ImageError
from workzone.types import Prediction


class StandIn:
    """Stands for a predictor, and for the `ModelChoice` that loads it."""

    engine, precision, takes_metadata, fetches_ahead = "none", "float32", False, False
    model, weights, device = None, None, "cpu"

    def __init__(self, seconds: float = 0.0) -> None:
        """Sleep so long at each image."""
        self.seconds, self.judged = seconds, list[str]()

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
        """The mean of the pixels as a probability; ids go to ``judged``."""
        for name, source in inputs:
            self.judged.append(name)
            time.sleep(self.seconds)
            try:
                value = float(decode_pixels(load(source).data, name=name).mean()) / 255
            except ImageError as error:
                yield name, error
                continue
            decision = "roadwork" if value > 0.5 else "none"
            box = (0.0, 0.0, 1.0, 1.0)
            prediction = Prediction(
                name, value, decision, 0, 1.0, box, "image", self.engine, self.precision
            )
            yield name, SimpleNamespace(prediction=prediction)
