"""Bytes in, results out: in order, in bounded memory, the same way for one image and for millions.

Every core takes an image of its own, from the file to the result; a GPU is given batches of those
whose views are ready.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from workzone.data.images import content_hash
from workzone.data.quality import IN_WORDS, FaultName, fault_in_view
from workzone.decide.ensemble import Ensemble
from workzone.decide.test_time import combine_looks, settled
from workzone.decide.unsure import CONTRADICTED, UNDECIDED, UNLIKE, UnsureName, check_unsure, decide
from workzone.engine.program import Answer, Program, Seen
from workzone.errors import BundleError, ImageError
from workzone.parallel import judged_ahead
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

    name: str
    file: Encoded
    looks: Sequence[Sequence[Views]]  # of the image, then of the first copies; in every layout
    fault: FaultName | None  # that keeps it from being judged, where that was looked for
    sample: Sample | None  # what is known of it


class Pipeline:
    """A program with what stands before and behind it."""

    def __init__(self, program: Program, *, masks: bool = False, unsure: str = "off") -> None:
        """Hold a program.

        Args:
            program: the model.
            masks: whether its answers are to have masks.
            unsure: of `UnsureName`: what is made of reasons for doubt; off looks for none.

        Raises:
            UsageError: masks of a model that has none, or another word for ``unsure``.
        """
        if masks:
            program.description.check_masks()
        self.program, self._masks = program, masks
        self.unsure: UnsureName = check_unsure(unsure)
        self._encoder = SampleEncoder(program.description)
        test_time = program.description.test_time
        self._looks = 1 if test_time is None else 1 + test_time.copies
        self._first = 1 if test_time is None else test_time.first

    def run(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, Result | ImageError]]:
        """Judge a stream of any length; images that cannot be read come out as errors.

        On a processor as many threads as the engine has streams take an image each, from its file
        to its result: no two of them wait for each other. On a GPU threads make views ahead, and
        what is ready is judged together, as many images as the engine is best given. A single image
        has all cores to itself. Of order and exceptions see :mod:`workzone.parallel`.

        Args:
            inputs: ids, with whatever ``load`` takes.
            load: gives the image's file; called in threads.
            sample_of: gives the image's metadata; None: there are none of any image.

        Raises:
            BundleError: the model gave a value that is not a finite number, or the sentence model
                is not the one that the detector was trained with.
            BackboneError: the sentence model cannot be had.
        """

        def prepare(item: tuple[str, T]) -> _Prepared:
            name, source = item
            file = load(source)
            looks = self._views(file, range(self._first))
            found = None if self.unsure == "off" else self._fault(looks[0][0])
            sample = None if sample_of is None else sample_of(source)
            return _Prepared(name, file, looks, found, sample)

        engine = self.program.engine
        views = self._first * self.program.description.views_read
        results = judged_ahead(
            prepare,
            self._judge,
            inputs,
            streams=engine.streams,
            ahead=max(1, LOOKS_AHEAD // self._first),
            begin=engine.begin_stream,
            at_once=None if engine.device == "cpu" else max(1, engine.views_at_once // views),
        )
        with closing(results):
            for (name, _), result in results:
                yield name, result

    def _views(self, file: Encoded, copies: range) -> list[list[Views]]:
        """The views of some copies of an image, 0 being the image itself, by layout.

        Copies are those that a feature store holds of the same image.
        """
        layouts = self.program.layouts
        if self._looks == 1:
            return [[preprocess(file.data, layout, name=file.name) for layout in layouts]]
        sample = Sample(file.name, ImageRef(file.name), content_hash=content_hash(file.data))
        recipe = self.program.description.spec.augmentation
        return [
            [
                sample_views(sample, file.data, layout, augmentation=recipe, copy=copy)
                for layout in layouts
            ]
            for copy in copies
        ]

    def _fault(self, views: Views) -> FaultName | None:
        """What is wrong with an image, as its whole view shows it; None: nothing, or none such."""
        whole = self.program.description.spec.layout.global_view
        return fault_in_view(views) if whole else None

    def _judge(self, images: Sequence[_Prepared]) -> list[Result]:
        """Results of a batch, in order.

        Raises:
            BundleError: names the image that the model fails on.
        """
        try:
            batch = [seen for image in images for seen in self._seen(image)]
            answers = self.program.run(batch, masks=self._masks)
        except BundleError as error:
            if len(images) == 1:
                raise BundleError(f"{images[0].name}: {error}") from error
            return [result for image in images for result in self._judge([image])]
        results = []
        for number, image in enumerate(images):
            looks = answers[number * self._first : (number + 1) * self._first]
            if self._first < self._looks and not self._settled(looks):
                more = self._views(image.file, range(self._first, self._looks))
                rest = dataclasses.replace(image, looks=more)
                looks = [*looks, *self.program.run(self._seen(rest))]
            results.append(Result(self._prediction(image, looks), looks[0], image.file))
        return results

    def _seen(self, image: _Prepared) -> list[Seen]:
        """The looks at an image, as a program takes them."""
        metadata = self._encoder.encode(image.sample)
        return [
            Seen(views.pixels, views.boxes, metadata, tuple(others))
            for views, *others in image.looks
        ]

    def _settled(self, looks: Sequence[Answer]) -> bool:
        """Whether the first looks at an image decide it."""
        test_time = self.program.description.test_time
        assert test_time is not None
        cut = self.program.calibration(looks[0].with_metadata).cut
        return bool(settled([look.raw for look in looks], test_time, cut))

    def _prediction(self, image: _Prepared, looks: Sequence[Answer]) -> Prediction:
        answer, engine = looks[0], self.program.engine
        raw, probability = self._probability(looks)
        reasons, unlike = self._reasons(image, answer, raw)
        view, edges = strongest(answer)
        x0, y0, x1, y1 = (round(float(value), 6) for value in edges)
        return Prediction(
            id=image.name,
            probability=probability,
            decision=decide(probability, reasons, self.unsure),
            view=view,
            view_weight=float(answer.view_shares[view]),
            box=(x0, y0, x1, y1),
            inputs="image+metadata" if answer.with_metadata else "image",
            engine=engine.name,
            precision=engine.precision,
            reason="; ".join(reasons),
            unlike=unlike,
        )

    def _reasons(
        self, image: _Prepared, answer: Answer, raw: float
    ) -> tuple[list[str], float | None]:
        """Reasons for doubt, in words, and how unlike training the image is, where that is known.

        Raises:
            BundleError: the model gave a vector that is not finite.
        """
        if self.unsure == "off":
            return [], None
        description = self.program.description
        reasons = [] if image.fault is None else [IN_WORDS[image.fault]]
        unlike = None
        if answer.with_metadata:  # what follows is known of the image alone
            return reasons, None
        if description.familiarity is not None:
            unlike = float(description.familiarity.score(answer.scene[None])[0])
            reasons += [UNLIKE] if unlike > 1 else []
        conformal = description.conformal_sets
        if conformal is not None and conformal.undecided(raw):
            reasons.append(UNDECIDED)
        if isinstance(description, Ensemble) and description.disagree(answer.members):
            reasons.append(CONTRADICTED)
        return reasons, unlike

    def _probability(self, looks: Sequence[Answer]) -> tuple[float, float]:
        """Before and after calibration."""
        test_time = self.program.description.test_time
        if test_time is None:
            return looks[0].raw, looks[0].probability
        if len(looks) < self._looks:  # they settled it
            test_time = test_time.of_first()
        distances = None
        if test_time.choose == "familiar":
            familiarity = self.program.description.familiarity
            assert familiarity is not None  # a Description checks that
            distances = familiarity.score(np.stack([look.scene for look in looks]))
        test_time = dataclasses.replace(test_time, margin=0.0)
        raw = float(combine_looks([look.raw for look in looks], test_time, distances=distances))
        return raw, float(self.program.calibration(looks[0].with_metadata).apply(raw))
