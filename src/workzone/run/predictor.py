"""From images to decisions: the one object that users hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.images import content_hash, decode_pixels
from workzone.decide.description import Description
from workzone.decide.test_time import confident_mean
from workzone.decide.threshold import decision_of
from workzone.engine.program import Answer, Program, Seen
from workzone.errors import BundleError, ImageError, UsageError
from workzone.model.metadata.rows import Rows
from workzone.parallel import map_ahead
from workzone.report.overlay import draw_overlay, heat_from_views
from workzone.run.evidence import heat, strongest
from workzone.run.images import Encoded, ImageLike, encoded, name_of
from workzone.run.metadata import SampleEncoder, sample_from, says_anything
from workzone.run.programs import open_program
from workzone.types import ImageRef, Prediction, Sample, Views
from workzone.views import enough_side, preprocess, sample_views

HEAT_SIDE = 256
"""Longer side, in pixels, of the grid on which evidence is laid out."""


@dataclass(frozen=True)
class Scored:
    """A prediction with the evidence of every view."""

    prediction: Prediction
    view_shares: npt.NDArray[np.float32]  # [V], sum 1
    boxes: npt.NDArray[np.float32]  # [V, 4]


class Predictor:
    """A loaded model.

    >>> import workzone
    >>> model = workzone.load("my-model")
    >>> prediction = model.predict("street.jpg")[0]
    >>> prediction.decision in ("roadwork", "none") and 0 <= prediction.probability <= 1
    True
    """

    def __init__(self, program: Program | None = None) -> None:
        """Hold a program; None: that of `DEFAULT_MODEL`.

        Raises:
            BundleError: no model comes with this copy of workzone.
        """
        self.program = program or open_program(None)
        self._encoder = SampleEncoder(self.description)
        self._warned = False

    @property
    def description(self) -> Description:
        """What is known of the model beside its weights."""
        return self.program.description

    def described(self, description: Description) -> Predictor:
        """The same weights under another description: another share, view size, or looks."""
        return Predictor(Program(description, self.program.engine))

    def identity(self) -> str:
        """Changes with anything that changes a probability, engine and precision among it."""
        engine = self.program.engine
        return f"{self.description.identity()} {engine.name} {engine.precision}"

    @property
    def takes_metadata(self) -> bool:
        """Whether the detector was trained with metadata beside the image."""
        return self.description.metadata is not None

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Prediction]:
        """Decide on images.

        Args:
            images: one image or several.
            metadata: one mapping per image with what is known of it: ``latitude`` and
                ``longitude`` in degrees, ``weather``, ``daytime``, ``scene``, ``text``. None, NaN
                and places off the globe count as missing. Of an image of which nothing is known
                the image alone is judged. A model that was trained without metadata warns once.

        Returns:
            One prediction per image, in order; ids are paths, or numbers for images in memory.

        Raises:
            ImageError: an image cannot be read (to pass over such images, score a folder with
                :func:`workzone.run.bulk.predict_many`).
            UsageError: as many mappings as images are needed; an unknown key, or a value of the
                wrong type.
            BundleError: the sentence model is not the one that the detector was trained with.
        """
        if isinstance(images, str | Path | bytes | Image.Image | np.ndarray):
            images = [images]
        images = list(images)
        named = [(name_of(image, number), (number, image)) for number, image in enumerate(images)]
        samples = self._samples([name for name, _ in named], metadata)

        def load(item: tuple[int, ImageLike]) -> Encoded:
            number, image = item
            return encoded(image, name_of(image, number))

        scored = []
        for _, result in self.score(named, load, sample_of=lambda item: samples[item[0]]):
            if isinstance(result, ImageError):
                raise result
            scored.append(result.prediction)
        return scored

    def _samples(
        self, names: Sequence[str], metadata: Sequence[Mapping[str, Any]] | None
    ) -> Sequence[Sample | None]:
        """What is known of each image, all of it checked before the first one is judged."""
        if metadata is None:
            return [None] * len(names)
        if isinstance(metadata, Mapping):
            raise UsageError("metadata is one mapping; give a list with one mapping per image")
        if len(metadata) != len(names):
            raise UsageError(f"{len(names)} images, but metadata for {len(metadata)}")
        samples = [sample_from(one, name) for one, name in zip(metadata, names, strict=True)]
        if not self.takes_metadata and not self._warned and any(map(says_anything, samples)):
            self._warned = True
            warnings.warn(
                "this model was trained without metadata: it looks at the image alone, and the "
                "metadata given are not used",
                stacklevel=3,
            )
        return samples

    def score(
        self,
        named: Iterable[tuple[str, Any]],
        load: Callable[[Any], Encoded],
        *,
        sample_of: Callable[[Any], Sample | None] | None = None,
    ) -> Iterator[tuple[str, Scored | ImageError]]:
        """Score a stream of any length; images that cannot be read come out as errors.

        Args:
            named: ids, with whatever ``load`` takes.
            load: gives the image's file; called in threads, ahead of the backbone.
            sample_of: gives what is known of an image beside its pixels; None: nothing of any.
        """

        def looks(item: tuple[str, Any]) -> list[Views] | ImageError:
            try:
                return self._looks(load(item[1]))
            except ImageError as error:
                return error

        for (name, item), result in map_ahead(looks, named):
            if isinstance(result, ImageError):
                yield name, result
            else:
                known = self._encoder.encode(None if sample_of is None else sample_of(item))
                yield name, self._decide(name, self._run(name, result, known))

    def _run(
        self, name: str, looks: Sequence[Views], metadata: Rows | None
    ) -> tuple[Answer, float]:
        """What the program says of the image, and its probability by all looks at it."""
        seen = [Seen(views.pixels, views.boxes, metadata) for views in looks]
        try:
            first, *copies = self.program.run(seen)
        except BundleError as error:
            raise BundleError(f"{name}: {error}") from error
        test_time = self.description.test_time
        if test_time is None:
            return first, first.probability
        raw = confident_mean(np.array([first.raw, *(copy.raw for copy in copies)]), test_time)
        return first, float(self.program.calibration(first.with_metadata).apply(raw))

    def _looks(self, file: Encoded) -> list[Views]:
        """The views of the image, and of its copies where the bundle wants some.

        Copies are those that a feature store holds of the same image.
        """
        spec, test_time = self.description.spec, self.description.test_time
        if test_time is None:
            return [preprocess(file.data, spec.layout, name=file.name)]
        sample = Sample(file.name, ImageRef(file.name), content_hash=content_hash(file.data))
        return [
            sample_views(sample, file.data, spec.layout, augmentation=spec.augmentation, copy=copy)
            for copy in range(1 + test_time.copies)
        ]

    def _decide(self, name: str, said: tuple[Answer, float]) -> Scored:
        answer, probability = said
        view, edges = strongest(answer)
        x0, y0, x1, y1 = (round(float(value), 6) for value in edges)
        return Scored(
            prediction=Prediction(
                id=name,
                probability=probability,
                decision=decision_of(probability),
                view=view,
                view_weight=float(answer.view_shares[view]),
                box=(x0, y0, x1, y1),
                inputs="image+metadata" if answer.with_metadata else "image",
                engine=self.program.engine.name,
                precision=self.program.engine.precision,
            ),
            view_shares=answer.view_shares,
            boxes=answer.boxes,
        )

    def explain(
        self, image: ImageLike, metadata: Mapping[str, Any] | None = None
    ) -> tuple[Prediction, Image.Image]:
        """Decide on one image, and draw over it what argued for road work.

        Args:
            image: one image.
            metadata: what is known of it, as in :meth:`predict`.

        Raises:
            ImageError: the image cannot be read.
            UsageError: an unknown key of the metadata, or a value of the wrong type.
        """
        name = name_of(image, 0)
        (sample,) = self._samples([name], None if metadata is None else [metadata])
        return self.explain_file(name, encoded(image, name), sample)

    def explain_file(
        self, name: str, file: Encoded, sample: Sample | None
    ) -> tuple[Prediction, Image.Image]:
        """As `explain`, of an image's file and of what is known of it.

        Raises:
            ImageError: the image cannot be read.
        """
        spec = self.description.spec
        frame = decode_pixels(file.data, enough_side=enough_side(spec.layout), name=file.name)
        said = self._run(name, self._looks(file), self._encoder.encode(sample))
        scored = self._decide(name, said)
        grids, seen = heat(said[0], spec.pooling)
        height, width, _ = frame.shape
        scale = HEAT_SIDE / max(height, width)
        shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        dense = self.description.dense
        overlay = draw_overlay(
            frame,
            heat_from_views(grids, seen, shape),
            boxes=[scored.prediction.box] if dense else scored.boxes,
            view_weights=[1.0] if dense else scored.view_shares,
            labels=["strongest cell"] if dense else None,
            probability=scored.prediction.probability,
        )
        return scored.prediction, overlay


def load(
    path: str | Path | None = None,
    *,
    engine: str | None = None,
    precision: str | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> Predictor:
    """Load a model.

    Args:
        path: the folder of a bundle or of an exported program; None: `DEFAULT_MODEL`, which comes
            with workzone.
        engine: onnx, openvino or torch; None: torch for a bundle, for an exported program the one
            it was exported for.
        precision: float32 or bfloat16; None: the model's own.
        weights: of the backbone, where it is not the embedded one and not to be downloaded.
        device: such as ``cpu`` or ``cuda``, of torch.

    Raises:
        BundleError: no model there, a damaged one, or one of another backbone's weights.
        BackboneError: the backbone's weights cannot be had.
        MissingExtraError: the engine is not installed.
        UsageError: no such device, engine or precision, or they do not fit the folder.
    """
    folder = None if path is None else Path(path)
    return Predictor(
        open_program(folder, engine=engine, precision=precision, weights=weights, device=device)
    )
