"""What judges a stream of images: a predictor, a service, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from workzone.errors import ImageError
from workzone.run.images import Encoded
from workzone.run.journal import Identified
from workzone.types import Prediction, Sample

T = TypeVar("T")


class Judged(Protocol):
    """A result of a `Scorer`."""

    @property
    def prediction(self) -> Prediction:
        """The decision."""
        ...


J_co = TypeVar("J_co", bound=Judged, covariant=True)


class Scorer(Identified, Protocol[J_co]):
    """A `Predictor`, or what stands for one that is elsewhere."""

    @property
    def fetches_ahead(self) -> bool:
        """Whether it reads images ahead by itself, as what waits for a network must."""
        ...

    def score(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, J_co | ImageError]]:
        """See :meth:`workzone.run.predictor.Predictor.score`."""
        ...
