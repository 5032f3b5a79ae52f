"""Bytes in, results out: in order, in bounded memory, the same way for one image and for millions.

Files are read, decoded and cut into views by threads, ahead of the program, which judges the images
that are ready in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from workzone.data.images import content_hash
from workzone.decide.test_time import confident_mean
from workzone.decide.threshold import decision_of
from workzone.engine.program import Answer, Program, Seen
from workzone.errors import BundleError, ImageError, UsageError
from workzone.parallel import batches_ahead
from workzone.run.evidence import strongest
from workzone.run.images import Encoded
from workzone.run.metadata import SampleEncoder
from workzone.types import ImageRef, Prediction, Sample, Views
from workzone.views import preprocess, sample_views

T = TypeVar("T")

LOOKS_AHEAD = 16
"""Looks at images (each with all its views) that are kept in memory ahead of the program."""


@dataclass(frozen=True)
class Result:
    """A prediction, and what it was made of."""

    prediction: Prediction
    answer: Answer  # of the image itself, also where copies of it were judged too
    file: Encoded


@dataclass(frozen=True)
class _Prepared:
    """An image whose views are made."""

    file: Encoded
    looks: Sequence[Views]  # of the image, then of its copies


class Pipeline:
    """A program with what stands before and behind it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._encoder = SampleEncoder(program.description)
        test_time = program.description.test_time
        self._looks = 1 if test_time is None else 1 + test_time.copies

    def run(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
        batch: int = 1,
    ) -> Iterator[tuple[str, Result | ImageError]]:
        """Judge a stream of any length; images that cannot be read come out as errors.

        An image is given out as soon as it is judged, and judged as soon as the program is free:
        with those after it that are ready by then, up to ``batch``; see
        :func:`workzone.parallel.batches_ahead`, also for exceptions of ``inputs`` and ``load``.

        Args:
            inputs: ids, with whatever ``load`` takes.
            load: gives the image's file; called in threads.
            sample_of: gives the image's metadata; None: there are none of any image.
            batch: images that are judged at once at most, each with its copies where the model
                looks at some. On processors more is no faster, and takes more memory.

        Raises:
            UsageError: a batch below 1.
            BundleError: the model gave a value that is not a finite number, or the sentence model
                is not the one that the detector was trained with.
            BackboneError: the sentence model cannot be had.
        """
        if batch < 1:
            raise UsageError(f"batch={batch}: at least one image is judged at a time")

        def prepare(item: tuple[str, T]) -> _Prepared | ImageError:
            try:
                file = load(item[1])
                return _Prepared(file, self._views(file))
            except ImageError as error:
                return error

        ahead = max(2, batch, LOOKS_AHEAD // self._looks)
        with closing(batches_ahead(prepare, inputs, size=batch, ahead=ahead)) as groups:
            for group in groups:
                ready = [
                    (name, prepared, None if sample_of is None else sample_of(source))
                    for (name, source), prepared in group
                    if isinstance(prepared, _Prepared)
                ]
                results = self._judge(ready)
                for (name, _), prepared in group:
                    yield name, prepared if isinstance(prepared, ImageError) else next(results)

    def _views(self, file: Encoded) -> list[Views]:
        """The views of the image, and of its copies where the model looks at some.

        Copies are those that a feature store holds of the same image.
        """
        spec = self.program.description.spec
        if self._looks == 1:
            return [preprocess(file.data, spec.layout, name=file.name)]
        sample = Sample(file.name, ImageRef(file.name), content_hash=content_hash(file.data))
        return [
            sample_views(sample, file.data, spec.layout, augmentation=spec.augmentation, copy=copy)
            for copy in range(self._looks)
        ]

    def _judge(self, images: Sequence[tuple[str, _Prepared, Sample | None]]) -> Iterator[Result]:
        """Results of a batch, in order; a model that fails on one image fails at its turn."""
        if not images:
            return
        batch: list[Seen] = []
        for _, prepared, sample in images:
            metadata = self._encoder.encode(sample)
            batch += [Seen(views.pixels, views.boxes, metadata) for views in prepared.looks]
        try:
            answers = self.program.run(batch)
        except BundleError as error:
            if len(images) == 1:
                raise BundleError(f"{images[0][0]}: {error}") from error
            for image in images:
                yield from self._judge([image])
            return
        for number, (name, prepared, _) in enumerate(images):
            looks = answers[number * self._looks : (number + 1) * self._looks]
            yield Result(self._prediction(name, looks), looks[0], prepared.file)

    def _prediction(self, name: str, looks: Sequence[Answer]) -> Prediction:
        answer, engine = looks[0], self.program.engine
        probability = self._probability(looks)
        view, edges = strongest(answer)
        x0, y0, x1, y1 = (round(float(value), 6) for value in edges)
        return Prediction(
            id=name,
            probability=probability,
            decision=decision_of(probability),
            view=view,
            view_weight=float(answer.view_shares[view]),
            box=(x0, y0, x1, y1),
            inputs="image+metadata" if answer.with_metadata else "image",
            engine=engine.name,
            precision=engine.precision,
        )

    def _probability(self, looks: Sequence[Answer]) -> float:
        test_time = self.program.description.test_time
        if test_time is None:
            return looks[0].probability
        raw = confident_mean(np.array([answer.raw for answer in looks]), test_time)
        return float(self.program.calibration(looks[0].with_metadata).apply(raw))
