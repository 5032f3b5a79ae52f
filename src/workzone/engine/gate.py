"""The gate that an exported program must pass: its answers beside the reference's.

Decisions count, not features: bfloat16 and int8 move features by several percent and flip hardly a
decision. So features are told, and probabilities, flips and MCC decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.decide.calibration_error import calibration_error
from workzone.decide.threshold import HALF, matthews
from workzone.engine.program import Answer, Array, Arrays, Engine, GraphName, Program, Seen
from workzone.errors import WorkzoneError
from workzone.progress import bar
from workzone.views import MAX_VIEWS

BATCHES = (1, 3, 8)
"""Sizes that are tried in turn: a program that was fixed to one size fails at the others."""

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, in float32."""
FLIPS = 0.005
"""Share of decisions that may change in a lower precision."""
MCC_LOSS = 0.01
MASK_DIFFERENCE = 1e-3
"""Of a cell's probability in float32: a mean over the whole frame goes into each."""
MASK_OVERLAP = 0.9
"""Of what is marked in all that either marks, in any precision."""


@dataclass(frozen=True)
class GateReport:
    """How a program compares with its reference."""

    engine: str
    precision: str
    images: int
    largest_difference: float  # of a probability
    mean_difference: float
    flips: int  # decisions that changed
    flipped: tuple[str, ...]  # the images they changed on, ten at most
    least_cosine: float  # of the penultimate features
    mean_cosine: float
    mcc: float | None  # of the program, where images have labels of both kinds
    reference_mcc: float | None
    calibration_error: float | None  # likewise
    reference_calibration_error: float | None
    furthest: str  # the image with the largest difference
    mask_difference: float | None = None  # largest, of a cell's probability, where there are masks
    mask_overlap: float | None = None  # of what both mark, in all that either does

    @property
    def failures(self) -> list[str]:
        """What keeps the program out, a sentence each."""
        found = []
        if self.precision == "float32":
            if not self.largest_difference <= LARGEST_DIFFERENCE:
                found.append(
                    f"a probability differs by {self.largest_difference:.2g} ({self.furthest}); "
                    f"float32 may differ by {LARGEST_DIFFERENCE:g}"
                )
            if self.flips:
                found.append(f"{self._flips()}; float32 flips none")
            if self.mask_difference is not None and not self.mask_difference <= MASK_DIFFERENCE:
                found.append(
                    f"a cell of a mask differs by {self.mask_difference:.2g}; float32 may differ "
                    f"by {MASK_DIFFERENCE:g}"
                )
        elif self.flips > FLIPS * self.images:
            found.append(f"{self._flips()}; at most {FLIPS:.1%} may flip")
        if self.mask_overlap is not None and not self.mask_overlap >= MASK_OVERLAP:
            found.append(
                f"masks overlap by {self.mask_overlap:.3f} with the reference's; {MASK_OVERLAP} is "
                "the least"
            )
        if self.mcc is not None and self.reference_mcc is not None:
            loss = self.reference_mcc - self.mcc
            if loss > MCC_LOSS:
                found.append(
                    f"MCC falls from {self.reference_mcc:.3f} to {self.mcc:.3f}; "
                    f"{MCC_LOSS} may be lost"
                )
        return found

    def _flips(self) -> str:
        names = ", ".join(self.flipped)
        return f"{self.flips} of {self.images} decisions flipped ({names})"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


class GateError(WorkzoneError):
    """An exported program that does not answer as its reference does."""


@dataclass(frozen=True)
class GateImage:
    """An image to compare on."""

    name: str
    seen: Seen
    label: int | None = None  # 1 road work, 0 none


def compare(program: Program, reference: Program, images: Iterable[GateImage]) -> GateReport:
    """Run both on the same images, in batches of several sizes, views all at once every other time.

    Raises:
        GateError: there are no images, or the program fails on a batch of some size.
    """
    names: list[str] = []
    labels: list[int | None] = []
    ours: list[Answer] = []
    theirs: list[Answer] = []
    sizes = 0
    programs = (program, Program(program.description, _AllAtOnce(program.engine)))
    pending, masks = list(images), program.description.config.masks is not None
    with bar("comparing", total=len(pending)) as handle:
        while pending:
            size = BATCHES[sizes % len(BATCHES)]
            sizes += 1
            batch, pending = pending[:size], pending[size:]
            theirs += reference.run([image.seen for image in batch], masks=masks)
            try:
                ours += programs[sizes % 2].run([image.seen for image in batch], masks=masks)
            except Exception as error:
                raise GateError(
                    f"{program.engine.name}: the program fails on a batch of {len(batch)}: {error}"
                ) from error
            names += [image.name for image in batch]
            labels += [image.label for image in batch]
            handle.advance(len(batch))
    if not names:
        raise GateError("there are no images to compare on: name some with --images")
    return report(program, names, labels, ours, theirs)


def report(
    program: Program,
    names: Sequence[str],
    labels: Sequence[int | None],
    ours: Sequence[Answer],
    theirs: Sequence[Answer],
) -> GateReport:
    """From the answers of both to what is told of them."""
    p = np.array([answer.probability for answer in ours])
    q = np.array([answer.probability for answer in theirs])
    difference = np.abs(p - q)
    flipped = np.flatnonzero((p > HALF) != (q > HALF))
    cosines = np.array(
        [_cosine(a.penultimate, b.penultimate) for a, b in zip(ours, theirs, strict=True)]
    )
    judged = [row for row, label in enumerate(labels) if label is not None]
    truth = np.array([labels[row] for row in judged], dtype=np.int64)
    both = len(np.unique(truth)) == 2
    return GateReport(
        engine=program.engine.name,
        precision=program.engine.precision,
        images=len(names),
        largest_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        flips=len(flipped),
        flipped=tuple(names[row] for row in flipped[:10]),
        least_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
        mcc=_mcc(truth, p[judged]) if both else None,
        reference_mcc=_mcc(truth, q[judged]) if both else None,
        calibration_error=calibration_error(truth, p[judged]) if both else None,
        reference_calibration_error=calibration_error(truth, q[judged]) if both else None,
        furthest=names[int(difference.argmax())],
        **_masks_beside(ours, theirs),
    )


def _masks_beside(ours: Sequence[Answer], theirs: Sequence[Answer]) -> dict[str, float | None]:
    """How masks differ, where both programs gave some."""
    largest, both, either = 0.0, 0, 0
    for one, other in zip(ours, theirs, strict=True):
        if one.masks is None or other.masks is None:
            return {}
        p, q = (
            1 / (1 + np.exp(-a.masks.clip(-60, 60))) for a in (one, other) if a.masks is not None
        )
        largest = max(largest, float(np.abs(p - q).max()))
        both += int(((p > HALF) & (q > HALF)).sum())
        either += int(((p > HALF) | (q > HALF)).sum())
    return {"mask_difference": largest, "mask_overlap": both / either if either else None}


def _cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else float(np.array_equal(a, b))


def _mcc(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float:
    called, true = probabilities > HALF, labels == 1
    return float(
        matthews(
            tp=(called & true).sum(),
            fp=(called & ~true).sum(),
            fn=(~called & true).sum(),
            tn=(~called & ~true).sum(),
        )
    )


def differences(
    program: Program, reference: Program, image: GateImage
) -> dict[tuple[str, str], float]:
    """How far each graph's outputs are from the reference's, given the reference's own inputs.

    Returns:
        By graph and output, the largest difference over the output's range.
    """
    recorder = _Recorder(reference.engine)
    masks = reference.description.config.masks is not None
    Program(reference.description, recorder).run([image.seen], masks=masks)
    found: dict[tuple[str, str], float] = {}
    for graph, inputs, wanted in recorder.calls:
        got = program.engine.run(graph, inputs)
        for name, value in wanted.items():
            scale = float(np.abs(value).max()) or 1.0
            apart = np.abs(got[name].astype(np.float64) - value.astype(np.float64)).max() / scale
            found[graph, name] = max(float(apart), found.get((graph, name), 0.0))
    return found


class _AllAtOnce:
    """An engine whose reader is given all views at once, as one on a GPU would be."""

    views_at_once = MAX_VIEWS * max(BATCHES)
    streams = 1

    def __init__(self, engine: Engine) -> None:
        self.name, self.precision, self._engine = engine.name, engine.precision, engine
        self.device = engine.device

    def begin_stream(self) -> None:
        self._engine.begin_stream()

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        return self._engine.run(graph, inputs)


class _Recorder(_AllAtOnce):
    """And that keeps what goes in and out."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.calls: list[tuple[GraphName, Arrays, Arrays]] = []

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        outputs = super().run(graph, inputs)
        self.calls.append((graph, inputs, outputs))
        return outputs
