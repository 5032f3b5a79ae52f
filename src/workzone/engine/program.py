"""A model as a program: views in, all that a prediction needs out, on whichever engine runs it.

A program is a description (what it needs, what its answers mean) and up to four graphs: a *reader*
of views, a *chooser* of the views that are worth reading, a *judge*, and an *outliner* that makes
masks of objects where they are asked for. Arrays are NumPy's; torch is not needed.
See :mod:`workzone.engine.graphs` for what goes in and out of each graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from workzone.decide.calibration import Calibration
from workzone.decide.description import Description
from workzone.errors import BundleError, UsageError
from workzone.model.metadata.rows import empty_rows
from workzone.model.scene import scene_vector
from workzone.types import Views
from workzone.views import ViewLayout, halved

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float32]
Arrays = Mapping[str, Array]

GraphName = Literal["reader", "chooser", "judge", "outliner"]


class Engine(Protocol):
    """What runs the graphs of one program."""

    @property
    def name(self) -> str:
        """Onnx, openvino or torch."""
        ...

    @property
    def precision(self) -> str:
        """That the graphs compute in, as read back from the engine."""
        ...

    @property
    def device(self) -> str:
        """What computes: cpu, cuda or tensorrt."""
        ...

    @property
    def views_at_once(self) -> int:
        """How many views the reader is best given at a time."""
        ...

    @property
    def streams(self) -> int:
        """How many threads had best run graphs at the same time, each on images of its own."""
        ...

    def begin_stream(self) -> None:
        """Let the calling thread be one of these: on a processor it then takes one core, not all.

        Threads that share a model's work wait for each other, which takes much longer where other
        work goes on beside them; threads with images of their own do not.
        """
        ...

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        """The outputs of a graph, by name; inputs that it does not ask for are left out."""
        ...


@dataclass(frozen=True)
class Answer:
    """What a program says of one image.

    Places are fractions of the upright frame. A judge of cells gives ``cells``, their logits, 0 at
    the cut; one of whole views gives ``feature_gradient``, from which and the ``grid`` follows what
    each cell of the views that were read adds to the logit.
    """

    probability: float  # calibrated, of road work, always finite
    raw: float  # before calibration
    boxes: Floats  # of all views [V, 4]
    view_shares: Floats  # [V], each view's share of what argues for road work; sum 1
    read: npt.NDArray[np.int64]  # the views that were read [k]
    penultimate: Floats  # [D'], what the last layer saw
    scene: Floats  # what the image as a whole looks like, see `AnyDetector.scene`
    with_metadata: bool
    cells: tuple[Floats, ...] = ()  # [V, h, w], and of views at half their size [V, h / 2, w / 2]
    grid: Floats | None = None  # of the views read [k, h, w, D]
    feature_gradient: Floats | None = None  # [k, D']
    masks: Floats | None = None  # logits [K, h, w], where they were asked for
    masks_box: Floats | None = None  # what they span [4]: the first view, or the frame
    members: tuple[float, ...] = ()  # calibrated probabilities of an ensemble's members


@dataclass(frozen=True)
class Seen:
    """One image as a program takes it: uint8 ``[V, 3, h, w]``, ``[V, 4]``, and metadata."""

    pixels: npt.NDArray[np.uint8]
    boxes: Floats
    metadata: Arrays | None = None  # rows of one, see workzone.model.metadata.rows
    others: tuple[Views, ...] = ()  # of an ensemble, the same in its further layouts


class Program:
    """A description and an engine that holds its graphs."""

    def __init__(self, description: Description, engine: Engine) -> None:
        self.description, self.engine = description, engine

    @property
    def layouts(self) -> tuple[ViewLayout, ...]:
        """How it sees an image."""
        return (self.description.spec.layout,)

    def described(self, description: Description) -> Program:
        """The same graphs under another description: another share, view size, or looks."""
        return Program(description, self.engine)

    def run(self, images: Sequence[Seen], *, masks: bool = False) -> list[Answer]:
        """Judge a batch of images.

        Args:
            images: the batch.
            masks: whether masks are wanted too.

        Raises:
            UsageError: views of another number or size than the description's, or masks of a model
                that has none.
            BundleError: the model gave a value that is not a finite number.
        """
        return self.run_each(images, [self], masks=masks)[0]

    def run_each(
        self, images: Sequence[Seen], programs: Sequence[Program], *, masks: bool = False
    ) -> list[list[Answer]]:
        """Read a batch of images once, and have each of several programs judge what was read.

        Args:
            images: as in :meth:`run`.
            programs: that read views as this one does.
            masks: as in :meth:`run`.

        Returns:
            The answers of each program. For what it raises see :meth:`run`.
        """
        if not images:
            return [[] for _ in programs]
        if masks:
            self.description.check_masks()
        self._check(images)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, image in enumerate(images):
            by_shape.setdefault(image.pixels.shape, []).append(row)
        answers: list[dict[int, Answer]] = [{} for _ in programs]
        for rows in by_shape.values():
            alike = [images[row] for row in rows]
            reading = self._read(alike)
            for found, program in zip(answers, programs, strict=True):
                found.update(zip(rows, program.judge_all(alike, reading, masks=masks), strict=True))
        return [[found[row] for row in range(len(images))] for found in answers]

    def judge_all(
        self, images: Sequence[Seen], reading: _Reading, *, masks: bool = False
    ) -> list[Answer]:
        """Judge images whose views have one shape."""
        answers: dict[int, Answer] = {}
        # Images with and without metadata have calibrations of their own, and pass apart.
        has_metadata = np.array([image.metadata is not None for image in images])
        for with_metadata in (False, True):
            rows = np.flatnonzero(has_metadata == with_metadata)
            if len(rows):
                judged = self._judge(images, reading, rows, with_metadata=with_metadata)
                answers |= zip(rows.tolist(), judged, strict=True)
        in_order = [answers[row] for row in range(len(images))]
        if not masks:
            return in_order
        everything = np.arange(len(images))
        outlined = self.engine.run("outliner", self._judged(images, reading, everything))["masks"]
        config = self.description.config.masks
        frame = np.array([0.0, 0.0, 1.0, 1.0], np.float32)
        on_canvas = config is not None and config.canvas > 0
        return [
            replace(answer, masks=masks, masks_box=frame if on_canvas else answer.boxes[0])
            for answer, masks in zip(in_order, outlined, strict=True)
        ]

    def calibration(self, with_metadata: bool) -> Calibration:
        """Of probabilities given with metadata, or on the image alone."""
        description = self.description
        if not with_metadata:
            return description.calibration
        assert description.metadata_calibration is not None  # a Description checks that
        return description.metadata_calibration

    def _check(self, images: Sequence[Seen]) -> None:
        layout = self.description.spec.layout
        for image in images:
            shape = image.pixels.shape
            fits = shape == (layout.count, 3, layout.size, layout.size)
            if layout.shorter:
                fits = shape[:2] == (1, 3) and all(
                    0 < side <= layout.size and side % layout.step == 0 for side in shape[2:]
                )
            if not fits or image.pixels.dtype != np.uint8:
                raise UsageError(
                    f"the program takes uint8 views of its layout ({layout.told()}), got "
                    f"{image.pixels.dtype} {list(shape)}: make them with its own layout"
                )

    def _read(self, images: Sequence[Seen]) -> _Reading:
        """Run the reader on what is worth it; views of equal pixels are read once."""
        boxes = np.stack([image.boxes for image in images]).astype(np.float32)
        rows, count = boxes.shape[:2]
        everything = np.tile(np.arange(count), (rows, 1))
        keep = self.description.views_read
        if keep >= count:
            return self._read_chosen(images, everything, boxes)
        first = self._read_chosen(images, everything[:, :1], boxes)
        if keep == 1:
            return first
        kept = self.engine.run(
            "chooser",
            {"grid": first.grid[:, 0], "boxes": boxes, "view_ids": everything},
        )["kept"].astype(np.int64)
        others = self._read_chosen(images, kept[:, 1:], boxes)  # the first is the global view
        return first.joined(others)

    def _read_chosen(
        self, images: Sequence[Seen], chosen: npt.NDArray[np.int64], boxes: Floats
    ) -> _Reading:
        distinct: list[npt.NDArray[np.uint8]] = []
        numbers = np.empty(chosen.shape, dtype=np.int64)
        for row, image in enumerate(images):
            alike: dict[bytes, int] = {}
            for column, view in enumerate(chosen[row]):
                key = image.pixels[view].tobytes()
                if key not in alike:
                    alike[key] = len(distinct)
                    distinct.append(image.pixels[view])
                numbers[row, column] = alike[key]
        parts = self._read_views(distinct)
        if self.description.spec.layout.halves:
            halves = [halved(view) for view in distinct]
            parts["half_grid"] = self._read_views(halves)["grid"]  # of halves nothing else is used
        return _Reading(
            ids=chosen,
            boxes=np.take_along_axis(boxes, chosen[..., None], axis=1),
            parts={name: value[numbers] for name, value in parts.items()},
        )

    def _read_views(self, views: Sequence[npt.NDArray[np.uint8]]) -> dict[str, Array]:
        step = self.engine.views_at_once
        read = [
            self.engine.run("reader", {"pixels": np.stack(views[start : start + step])})
            for start in range(0, len(views), step)
        ]
        return {name: np.concatenate([part[name] for part in read]) for name in read[0]}

    def _judge(
        self,
        images: Sequence[Seen],
        reading: _Reading,
        rows: npt.NDArray[np.int64],
        *,
        with_metadata: bool,
    ) -> list[Answer]:
        part = reading.of(rows)
        outputs = self._judge_scales(self._judged(images, part, rows))
        calibration = self.calibration(with_metadata)
        if not np.isfinite(outputs.get("penultimate", np.nan)).all():
            raise BundleError(
                "the model gave no penultimate vector, or one with a value that is not a finite "
                "number; its weights are damaged: export or train again"
            )
        logits = outputs["logits"].astype(np.float64)
        raw = 1 / (1 + np.exp(np.clip(logits[:, 0] - logits[:, 1], -700, 700)))
        if not np.isfinite(raw).all():  # a broken model must never answer NaN
            raise BundleError(
                "the model gave a probability that is not a finite number; its weights are "
                "damaged: export or train again"
            )
        probabilities = calibration.apply(raw)
        cut = np.float32(calibration.cut)
        answers = []
        for row in range(len(rows)):
            of_row = {name: value[row] for name, value in outputs.items()}
            gradient = of_row.get("feature_gradient")
            answers.append(
                Answer(
                    probability=float(probabilities[row]),
                    raw=float(raw[row]),
                    boxes=images[rows[row]].boxes,
                    view_shares=self._shares(of_row, part.ids[row]),
                    read=part.ids[row],
                    penultimate=of_row["penultimate"],
                    scene=part.scene(row) if "cells" in of_row else of_row["penultimate"],
                    with_metadata=with_metadata,
                    cells=tuple(of_row[n] - cut for n in ("cells", "half_cells") if n in of_row),
                    grid=None if gradient is None else part.grid[row],
                    feature_gradient=gradient,
                )
            )
        return answers

    def _judge_scales(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """The judge's outputs; of views and their halves, which it is given in turn, the mean."""
        outputs = self.engine.run("judge", inputs)
        if not self.description.spec.layout.halves:
            return outputs
        of_halves = self.engine.run("judge", inputs | {"grid": inputs["half_grid"]})
        both: dict[str, Array] = {}
        for name in outputs.keys() - {"cells"}:
            both[name] = np.stack([outputs[name], of_halves[name]]).astype(np.float32).mean(axis=0)
        return both | {"cells": outputs["cells"], "half_cells": of_halves["cells"]}

    def _judged(
        self, images: Sequence[Seen], part: _Reading, rows: npt.NDArray[np.int64]
    ) -> dict[str, Array]:
        """All that a judge may take, by name; the engine picks what its graph asks for."""
        inputs = part.parts | {
            "boxes": part.boxes,
            "view_ids": part.ids,
            "view_mask": np.ones(part.ids.shape, dtype=np.bool_),
        }
        if self.description.grids_judged != "all":
            inputs["grid"] = part.grid[:, 0]
        inputs |= {
            name: value[:, 0] for name, value in part.parts.items() if name.startswith("level_")
        }
        config = self.description.metadata
        if config is not None:
            nothing = empty_rows(1, config)
            metadata = [images[row].metadata or nothing for row in rows]
            inputs |= {
                f"metadata_{name}": np.concatenate([one[name] for one in metadata])
                for name in nothing
            }
        return inputs

    def _shares(self, outputs: Arrays, read: npt.NDArray[np.int64]) -> Floats:
        """Each view's share of what argues for road work ``[V]``, from the outputs of one image."""
        if "view_evidence" in outputs:
            positive = np.maximum(outputs["view_evidence"], 0)
            total = positive.sum()
            shares = positive / total if total > 0 else np.full_like(positive, 1 / len(positive))
        else:
            shares = outputs["view_weights"]
        on_all = np.zeros(self.description.spec.layout.count, dtype=np.float32)
        on_all[read] = shares
        return on_all


@dataclass(frozen=True)
class _Reading:
    """What the reader says of some views of every image."""

    ids: npt.NDArray[np.int64]  # [B, k]
    boxes: Floats  # [B, k, 4]
    parts: dict[str, Array]  # grid [B, k, h, w, D], half_grid, features [B, k, D']

    @property
    def grid(self) -> Array:
        return self.parts["grid"]

    def scene(self, row: int) -> Floats:
        """See `scene_vector`; halves tell nothing more."""
        return scene_vector(self.grid[row], self.boxes[row])

    def joined(self, others: _Reading) -> _Reading:
        return _Reading(
            np.concatenate([self.ids, others.ids], axis=1),
            np.concatenate([self.boxes, others.boxes], axis=1),
            {n: np.concatenate([v, others.parts[n]], axis=1) for n, v in self.parts.items()},
        )

    def of(self, rows: npt.NDArray[np.int64]) -> _Reading:
        parts = {name: value[rows] for name, value in self.parts.items()}
        return _Reading(self.ids[rows], self.boxes[rows], parts)
