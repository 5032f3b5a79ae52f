"""A service in place of a loaded model: folders are sent to it, and the same files come of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from workzone.errors import ImageError
from workzone.parallel import map_ahead
from workzone.run.images import Encoded
from workzone.run.metadata import mapping_of, says_anything
from workzone.serve.client import Client, Remote, ServerError
from workzone.types import Prediction, Sample

T = TypeVar("T")

CONCURRENT = 8
"""Requests on their way at a time."""


class RemotePredictor:
    """What `workzone.run.bulk` needs of a predictor, asked of a service."""

    fetches_ahead = False

    def __init__(self, client: Client, *, concurrent: int = CONCURRENT) -> None:
        """Ask the service which model it has.

        Raises:
            ServerError: it cannot be reached, or refuses.
        """
        self._client, self._concurrent = client, concurrent
        self._about = client.model()

    @property
    def takes_metadata(self) -> bool:
        """Whether the model was trained with metadata beside the image."""
        return bool(self._about["takes_metadata"])

    @property
    def engine(self) -> str:
        """Which engine computes."""
        return str(self._about["engine"])

    @property
    def precision(self) -> str:
        """In which precision."""
        return str(self._about["precision"])

    def identity(self) -> str:
        """Changes with anything that changes a probability."""
        return str(self._about["identity"])

    def score(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, Remote | ImageError]]:
        """As :meth:`workzone.run.predictor.Predictor.score`.

        Raises:
            ServerError: the service is gone, has no time for us for long, or has another model now.
            BundleError: the model fails on an image.
        """
        yield from self._stream(inputs, load, sample_of, explain=False)

    def explain_stream(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, tuple[Prediction, bytes] | ImageError]]:
        """As :meth:`workzone.run.predictor.Predictor.explain_stream`, with overlays as JPEG."""
        for name, result in self._stream(inputs, load, sample_of, explain=True):
            if isinstance(result, ImageError):
                yield name, result
            else:
                assert result.overlay is not None
                yield name, (result.prediction, result.overlay)

    def _stream(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        sample_of: Callable[[T], Sample | None] | None,
        *,
        explain: bool,
    ) -> Iterator[tuple[str, Remote | ImageError]]:
        def ask(item: tuple[str, T]) -> Remote | ImageError:
            name, source = item
            sample = None if sample_of is None else sample_of(source)
            metadata = None
            if sample is not None and self.takes_metadata and says_anything(sample):
                metadata = {k: v for k, v in mapping_of(sample).items() if v is not None}
            try:
                file = load(source)
                said = self._client.predict(
                    file.data, name=file.name, metadata=metadata, explain=explain
                )
            except ImageError as error:
                return error
            if said.model != self.identity():
                raise ServerError(
                    "model-changed",
                    f"the service answers with the model {said.model}, it began with "
                    f"{self.identity()}: results of both in one file would be of no use. Start "
                    "anew, with another output",
                )
            prediction = dataclasses.replace(said.prediction, id=name)
            return dataclasses.replace(said, prediction=prediction)

        ahead = 2 * self._concurrent
        asked = map_ahead(ask, inputs, threads=self._concurrent, ahead=ahead)
        with closing(asked):
            for (name, _), result in asked:
                yield name, result
