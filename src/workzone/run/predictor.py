"""From images to decisions: the one object that users hold."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from workzone.backbones import Backbone, pool
from workzone.data.images import content_hash, decode
from workzone.decide.bundle import Bundle, default_model, read_bundle
from workzone.decide.test_time import confident_mean
from workzone.decide.threshold import decision_of
from workzone.errors import BundleError, ImageError, UsageError
from workzone.features.reading import read_views
from workzone.model.evidence import cell_evidence, strongest_cell, view_shares
from workzone.model.inputs import DetectorInput
from workzone.model.kernels import log_attention_kernel
from workzone.model.metadata.batch import MetadataBatch
from workzone.parallel import map_ahead
from workzone.report.overlay import draw_overlay, heat_from_views
from workzone.run.backbone import bundle_backbone
from workzone.run.images import Encoded, ImageLike, encoded, name_of
from workzone.run.metadata import SampleEncoder, sample_from, says_anything
from workzone.types import BackboneOutput, Box, DetectorOutput, ImageRef, Prediction, Sample, Views
from workzone.views import enough_side, preprocess, sample_views

HEAT_SIDE = 256
"""Longer side, in pixels, of the grid on which evidence is laid out."""


@dataclass(frozen=True)
class Scored:
    """A prediction with the evidence of every view."""

    prediction: Prediction
    view_shares: npt.NDArray[np.float32]  # [V], sum 1
    boxes: npt.NDArray[np.float32]  # [V, 4]


@dataclass(frozen=True)
class _Reading:
    """What the backbone says of the views that it read, on the CPU."""

    output: BackboneOutput
    view_ids: torch.Tensor  # int64 [k], ascending; 0 is the first where there is a global view

    def with_grid(self, grid: torch.Tensor) -> _Reading:
        """The same with another patch grid ``[k, N, D]``."""
        return _Reading(dataclasses.replace(self.output, grid=grid), self.view_ids)


class Predictor:
    """A loaded model.

    >>> import workzone
    >>> model = workzone.load("my-model")
    >>> prediction = model.predict("street.jpg")[0]
    >>> prediction.decision in ("roadwork", "none") and 0 <= prediction.probability <= 1
    True
    """

    def __init__(self, bundle: Bundle | None = None, backbone: Backbone | None = None) -> None:
        """Join a bundle and its backbone; None: `DEFAULT_MODEL`, and the bundle's own.

        Raises:
            BundleError: the backbone has other weights than the ones the detector was trained on,
                or no model comes with this copy of workzone.
        """
        bundle = bundle or read_bundle(default_model())
        backbone = backbone or bundle_backbone(bundle)
        if backbone.weight_hash != bundle.spec.weight_hash:
            raise BundleError(
                f"the detector was trained on {bundle.spec.backbone} with weights "
                f"{bundle.spec.weight_hash}, these are {backbone.weight_hash}; "
                "load the same weights (--weights)"
            )
        if (backbone.mean, backbone.std) != (bundle.spec.mean, bundle.spec.std):
            raise BundleError(
                f"the detector was trained on images normalised with mean {bundle.spec.mean} and "
                f"deviation {bundle.spec.std}, these weights want {backbone.mean} and "
                f"{backbone.std}: name their folder with its old preprocessor_config.json"
            )
        self.bundle, self.backbone = bundle, backbone
        self._encoder = SampleEncoder(bundle)
        self._warned = False

    @property
    def takes_metadata(self) -> bool:
        """Whether the detector was trained with metadata beside the image."""
        return self.bundle.detector.config.metadata is not None

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
                given = [self._given(self._read(views), views, known) for views in result]
                yield name, self._decide(name, result[0], given)

    def _looks(self, file: Encoded) -> list[Views]:
        """The views of the image, and of its copies where the bundle wants some.

        Copies are those that a feature store holds of the same image.
        """
        spec, test_time = self.bundle.spec, self.bundle.test_time
        if test_time is None:
            return [preprocess(file.data, spec.layout, name=file.name)]
        sample = Sample(file.name, ImageRef(file.name), content_hash=content_hash(file.data))
        return [
            sample_views(sample, file.data, spec.layout, augmentation=spec.augmentation, copy=copy)
            for copy in range(1 + test_time.copies)
        ]

    def _read(self, views: Views) -> _Reading:
        """Run the backbone on the views that are worth it: all, where there is no glance."""
        glance = self.bundle.detector.glance
        if glance is None or len(views.boxes) <= glance.config.keep:
            return _Reading(self._output(views.pixels), torch.arange(len(views.boxes)))
        first = self._output(views.pixels[:1])
        kept = glance(
            first.grid,
            grid_size=first.grid_size,
            boxes=torch.from_numpy(views.boxes)[None],
            view_ids=torch.arange(len(views.boxes))[None],
        )[0]
        others = kept[1:]  # the global view, 0, is the first of them
        if not len(others):
            return _Reading(first, kept)
        return _Reading(_joined(first, self._output(views.pixels[others])), kept)

    def _output(self, pixels: torch.Tensor) -> BackboneOutput:
        output = read_views(self.backbone, pixels, self.bundle.spec)
        cls = None if output.cls is None else output.cls.cpu()
        return BackboneOutput(cls, output.grid.cpu(), output.grid_size)

    def _given(self, reading: _Reading, views: Views, known: MetadataBatch | None) -> DetectorInput:
        config, grid = self.bundle.detector.config, None
        if config.mask_evidence or config.cells is not None:  # other masks are for training
            grids = reading.output.grid
            grid = grids if config.needs_all_grids else grids[0]
        return DetectorInput(
            features=pool(reading.output, self.bundle.spec.pooling)[None],
            boxes=torch.from_numpy(views.boxes)[None, reading.view_ids],
            view_ids=reading.view_ids[None],
            metadata=known,
            grid=None if grid is None else grid[None],
            grid_size=reading.output.grid_size,
        )

    def _decide(self, name: str, views: Views, looks: Sequence[DetectorInput]) -> Scored:
        """From what the detector is given of the image itself, first, and of its copies."""
        detector, test_time, given = self.bundle.detector, self.bundle.test_time, looks[0]
        with torch.no_grad():
            outputs = [detector.run(look) for look in looks]
        raws = np.concatenate(
            [torch.softmax(o.logits.double(), dim=-1)[:, 1].numpy() for o in outputs]
        )
        if not np.isfinite(raws).all():  # a broken model must never answer NaN
            raise BundleError(
                f"{name}: the model gave a probability that is not a finite number; its weights "
                "are damaged: train again"
            )
        raw = float(raws[0] if test_time is None else confident_mean(raws, test_time))
        calibration = self.bundle.calibration
        if given.metadata is not None:
            assert self.bundle.metadata_calibration is not None  # a Bundle checks that
            calibration = self.bundle.metadata_calibration
        probability = float(calibration.apply(raw))
        cells = self._cells(outputs[0])
        if cells is None:
            weights = view_shares(detector, given, views=len(views.boxes))[0].numpy()
        else:
            weights = outputs[0].view_weights[0].numpy()
        heaviest = int(weights.argmax())
        edges = views.boxes[heaviest]
        if cells is not None:
            heaviest, edges = strongest_cell(outputs[0], views.boxes)
        x0, y0, x1, y1 = (round(float(value), 6) for value in edges)
        box: Box = (x0, y0, x1, y1)
        return Scored(
            prediction=Prediction(
                id=name,
                probability=probability,
                decision=decision_of(probability),
                view=heaviest,
                view_weight=float(weights[heaviest]),
                box=box,
                inputs="image" if given.metadata is None else "image+metadata",
            ),
            view_shares=weights,
            boxes=views.boxes,
        )

    def _cells(self, output: DetectorOutput) -> npt.NDArray[np.float32] | None:
        """Logits ``[V, h, w]`` of one image's cells, 0 at the cut; None without a dense head.

        Of a view that is read at half its size too, the higher ones.
        """
        if output.cells is None:
            return None
        cells = output.cells[0]
        if output.half_cells is not None:
            halves = output.half_cells[0].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
            cells = torch.maximum(cells, halves)
        cut = np.float32(self.bundle.calibration.cut)
        above: npt.NDArray[np.float32] = cells.numpy() - cut
        return above

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
        layout = self.bundle.spec.layout
        frame = decode(file.data, enough_side=enough_side(layout), name=file.name)
        views, *copies = self._looks(file)
        reading = self._read(views)
        known = self._encoder.encode(sample)
        given = [self._given(reading, views, known)]
        given += [self._given(self._read(copy), copy, known) for copy in copies]
        scored = self._decide(name, views, given)
        with torch.no_grad():
            dense = self._cells(self.bundle.detector.run(given[0]))
        if dense is not None:
            grids, seen = dense.clip(min=0), views.boxes
        else:
            cells = cell_evidence(
                self.bundle.detector,
                reading.output.grid,
                lambda grid: self._given(reading.with_grid(grid), views, known),
            )
            grids = cells.unflatten(1, reading.output.grid_size).clamp(min=0).numpy()
            seen = views.boxes[reading.view_ids.numpy()]
        _, height, width = frame.shape
        scale = HEAT_SIDE / max(height, width)
        shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        heat = heat_from_views(grids, seen, shape)
        overlay = draw_overlay(
            frame,
            heat,
            boxes=views.boxes if dense is None else [scored.prediction.box],
            view_weights=scored.view_shares if dense is None else [1.0],
            labels=None if dense is None else ["strongest cell"],
            probability=scored.prediction.probability,
        )
        return scored.prediction, overlay


def _joined(first: BackboneOutput, others: BackboneOutput) -> BackboneOutput:
    cls = None
    if first.cls is not None and others.cls is not None:
        cls = torch.cat([first.cls, others.cls])
    return BackboneOutput(cls, torch.cat([first.grid, others.grid]), first.grid_size)


def load(
    path: str | Path | None = None, *, weights: str | Path | None = None, device: str = "cpu"
) -> Predictor:
    """Load a model.

    Args:
        path: the bundle's folder; None: `DEFAULT_MODEL`, which comes with workzone.
        weights: of the backbone, where it is not the embedded one and not to be downloaded.
        device: such as ``cpu`` or ``cuda``.

    Raises:
        BundleError: no bundle there, a damaged one, or one of another backbone's weights.
        BackboneError: the backbone's weights cannot be had.
        UsageError: no such device.
    """
    bundle = read_bundle(default_model() if path is None else Path(path))
    backbone = bundle_backbone(bundle, weights=weights, device=device)
    log_attention_kernel(bundle.detector.config, bundle.detector.feature_mean.device)
    return Predictor(bundle, backbone)
