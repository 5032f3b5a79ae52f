"""The object that users hold: a loaded model that decides, and shows why."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.decide.description import Description
from workzone.decide.unsure import UnsureName
from workzone.engine.program import Answer, Program
from workzone.errors import ImageError, UsageError
from workzone.run.images import Encoded, ImageLike, encoded, name_of
from workzone.run.metadata import sample_from, says_anything
from workzone.run.overlay import Outlined, outlined, overlay
from workzone.run.pipeline import Pipeline, Result
from workzone.run.programs import open_program
from workzone.types import Prediction, Sample

T = TypeVar("T")


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
    >>> prediction.decision in ("roadwork", "none", "unsure") and 0 <= prediction.probability <= 1
    True
    """

    fetches_ahead = False
    """Images are read when their turn comes."""

    def __init__(self, program: Program | None = None, *, unsure: str = "off") -> None:
        """Hold a program; None: that of `DEFAULT_MODEL`. Of ``unsure`` see :func:`load`.

        Raises:
            BundleError: no model comes with this copy of workzone.
            UsageError: an unknown ``unsure``.
        """
        self._pipeline = Pipeline(program or open_program(None), unsure=unsure)
        self._warned = False

    @property
    def program(self) -> Program:
        """What judges the images."""
        return self._pipeline.program

    @property
    def unsure(self) -> UnsureName:
        """What is made of reasons for doubt."""
        return self._pipeline.unsure

    @property
    def description(self) -> Description:
        """The model but for its weights."""
        return self.program.description

    def described(self, description: Description) -> Predictor:
        """The same weights under another description: another share, view size, or looks."""
        return Predictor(self.program.described(description), unsure=self.unsure)

    @property
    def engine(self) -> str:
        """Which engine computes: onnx, openvino or torch."""
        return self.program.engine.name

    @property
    def precision(self) -> str:
        """In which precision."""
        return self.program.engine.precision

    def identity(self) -> str:
        """Changes with anything that changes an answer, engine and precision among it."""
        engine = self.program.engine
        doubts = ""
        if self.unsure != "off":
            doubts = f" unsure {self.unsure} {self.description.doubt_identity()}"
        return f"{self.description.identity()} {engine.name} {engine.precision}{doubts}"

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
            metadata: one mapping per image: ``latitude`` and ``longitude`` in degrees,
                ``weather``, ``daytime``, ``scene``, ``text``. None, NaN and places off the globe
                count as missing. Where all are missing the image alone is judged. A model that was
                trained without metadata warns once.

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
        if not isinstance(images, Iterable):
            raise UsageError(
                f"images are {type(images).__name__}: give an image, or a list of some"
            )
        images = list(images)
        inputs = [(name_of(image, number), (number, image)) for number, image in enumerate(images)]
        samples = self._samples([name for name, _ in inputs], metadata)

        def load(item: tuple[int, ImageLike]) -> Encoded:
            number, image = item
            return encoded(image, name_of(image, number))

        predictions = []
        for _, result in self.score(inputs, load, sample_of=lambda item: samples[item[0]]):
            if isinstance(result, ImageError):
                raise result
            predictions.append(result.prediction)
        return predictions

    def _samples(
        self, names: Sequence[str], metadata: Sequence[Mapping[str, Any]] | None
    ) -> Sequence[Sample | None]:
        """The metadata of each image, all of them checked before the first image is judged."""
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
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, Scored | ImageError]]:
        """Score a stream of any length; images that cannot be read come out as errors.

        Args, order and errors: see :meth:`workzone.run.pipeline.Pipeline.run`.
        """
        for name, result in self._pipeline.run(inputs, load, sample_of=sample_of):
            if isinstance(result, Result):
                answer = result.answer
                yield name, Scored(result.prediction, answer.view_shares, answer.boxes)
            else:
                yield name, result

    def answers(
        self, inputs: Iterable[tuple[str, T]], load: Callable[[T], Encoded]
    ) -> Iterator[Answer | ImageError]:
        """All that the model says of the images of a stream, in order; see :meth:`score`."""
        for _, result in self._pipeline.run(inputs, load):
            yield result.answer if isinstance(result, Result) else result

    def explain(
        self, image: ImageLike, metadata: Mapping[str, Any] | None = None
    ) -> tuple[Prediction, Image.Image]:
        """Decide on one image, and draw over it what argued for road work.

        Args:
            image: one image.
            metadata: its metadata, as in :meth:`predict`.

        Raises:
            ImageError: the image cannot be read.
            UsageError: an unknown key of the metadata, or a value of the wrong type.
        """
        name = name_of(image, 0)
        (sample,) = self._samples([name], None if metadata is None else [metadata])
        stream = self.explain_stream(
            [(name, image)], lambda image: encoded(image, name), sample_of=lambda _: sample
        )
        ((_, result),) = stream
        if isinstance(result, ImageError):
            raise result
        return result

    def explain_stream(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, tuple[Prediction, Image.Image] | ImageError]]:
        """As `score`, with an overlay of each image that can be read."""
        for name, result in self._pipeline.run(inputs, load, sample_of=sample_of):
            if isinstance(result, Result):
                yield name, (result.prediction, overlay(result, self.description.spec))
            else:
                yield name, result

    def outline_stream(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, Outlined | ImageError]]:
        """As `score`, with the objects that masks show, and a picture with their outlines.

        Raises:
            UsageError: the model has no mask head.
        """
        pipeline = Pipeline(self.program, masks=True, unsure=self.unsure)
        for name, result in pipeline.run(inputs, load, sample_of=sample_of):
            yield name, outlined(result) if isinstance(result, Result) else result


def load(
    path: str | Path | None = None,
    *,
    engine: str | None = None,
    precision: str | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
    unsure: str = "off",
) -> Predictor:
    """Load a model.

    Args:
        path: the folder of a bundle or of an exported program; None: `DEFAULT_MODEL`, which comes
            with workzone.
        engine: onnx, openvino or torch; None: torch for a bundle, for an exported program the one
            it was exported for.
        precision: float32, bfloat16, int8 or int8-bfloat16; of a bundle on a vision transformer
            also int8-weights or nf4-weights; None: the model's own. With neither named, bfloat16 on
            openvino runs an exported program that passed its gate so, where both can be had.
        weights: of a bundle's backbone, where it is not the embedded one and not to be downloaded.
        device: such as ``cpu`` or ``cuda`` of torch; ``cpu``, ``cuda`` or ``tensorrt`` of onnx.
        unsure: what is made of reasons for doubt, which a prediction's ``reason`` names (a picture
            that shows too little, one unlike all that the model learned from, both answers being
            likely): ``warn`` tells them, ``abstain`` has the decision be ``unsure`` as well,
            ``off`` looks for none.

    Raises:
        BundleError: no model there, a damaged one, or one of another backbone's weights.
        BackboneError: the backbone's weights cannot be had.
        MissingExtraError: the engine is not installed, or what the precision needs.
        UsageError: no such device, engine, precision or ``unsure``, or they do not fit the folder.
    """
    folder = None if path is None else Path(path)
    return Predictor(
        open_program(folder, engine=engine, precision=precision, weights=weights, device=device),
        unsure=unsure,
    )
